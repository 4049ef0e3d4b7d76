"""Several processes of this machine, each with a model of its own on a device or a share of cores.

A worker on a share of cores computes with as many threads, so that workers do not fight; with one
thread it also checks what it makes, with more it has processes for that. Weights that are mapped
from a file are in memory once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from foundation.engines import Work
from foundation.engines.pool import Pool
from foundation.engines.process import Process
from foundation.placement.host import cores
from foundation.results import Result

if TYPE_CHECKING:
    from foundation.adapter import Placement
    from foundation.requests import Item
    from foundation.spec import ModelSpec


class Local:
    """`workers` processes. device: as asked for; without a number, workers take all in turn."""

    name = "local"

    def __init__(self, workers: int, device: str = "auto") -> None:
        self._workers, self._device = workers, device
        self._pool: Pool | None = None

    def results(
        self,
        spec: "ModelSpec",
        placement: "Placement",
        work: Work,
        items: "Iterable[Item]",
        left: int | None,
        lost: "Callable[[Item, str], Result]",
        stop: Callable[[], bool],
        events: list[str],
    ) -> Iterator[Result]:
        share = placement.threads or max(1, cores() // self._workers)
        work = work.on(share)
        places = [replace(placement, threads=share, device=d) for d in self._devices(placement)]

        def start(number: int) -> Process:
            return Process(spec, places[number % len(places)], work)

        self._pool = Pool(start, self._workers, work.batch, left, lost, events)
        return self._pool.results(items, stop)

    def width(self) -> int | None:
        """The width of the model's vectors, once a worker has loaded it."""
        return None if self._pool is None else self._pool.width

    def described(self) -> dict[str, Any]:
        """What a record says of the engine."""
        return {"name": self.name, "workers": self._workers}

    def _devices(self, placement: "Placement") -> list[str]:
        if not placement.device.startswith("cuda") or ":" in self._device:
            return [placement.device]
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
