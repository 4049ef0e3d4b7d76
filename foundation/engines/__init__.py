"""Where the stream runs: in this process, in several, or on a cluster.

local.py     several processes of this machine
ray.py       actors of a Ray cluster
pool.py      requests -> workers -> results, whatever a worker is: leases, retries, halving
process.py   a worker that is a process
actor.py     a worker that is an actor
serving.py   what a worker does with the requests it is given
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from foundation.errors import InputError, UnknownName
from foundation.placement.host import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from foundation.adapter import Placement
    from foundation.requests import Item
    from foundation.results import Result
    from foundation.spec import ModelSpec

RUN = ("range", "ranges", "output")
"""What any engine takes, read where the run begins."""
LOCAL = ("workers", *RUN)


@dataclass(frozen=True)
class Work:
    """What is done with each request of a run; the same wherever it is done.

    checks: the columns wanted, None for all. batch: rows of a batch. folder: the run's, for what is
    too heavy for a table. checkers: processes that check beside the model; 0 checks in its own.
    screens: see foundation.trust.screens. output: the address that keeps a copy of the folder.
    """

    task: str
    checks: tuple[str, ...] | None
    batch: int
    seed: int
    folder: Path
    checkers: int = field(default_factory=cores)
    screens: "Mapping[str, Mapping[str, Any]]" = field(default_factory=dict)
    output: str | None = None

    def on(self, share: int) -> "Work":
        """The same for a worker on a share of the cores: with one core it checks what it makes."""
        return replace(self, checkers=0 if share == 1 else share)


class Engine(Protocol):
    """Runs work beside or away from this process, which alone writes the run folder."""

    name: str

    def results(
        self,
        spec: "ModelSpec",
        placement: "Placement",
        work: Work,
        items: "Iterable[Item]",
        left: int | None,
        lost: "Callable[[Item, str], Result]",
        stop: "Callable[[], bool]",
        events: list[str],
    ) -> "Iterator[Result]":
        """Results in the order they are done.

        left: how many items there are, where known. lost: the row of a request that ends workers.
        events: what happened to workers, for the record.
        """
        ...

    def width(self) -> int | None:
        """The width of the model's vectors, once a worker has loaded it."""
        ...

    def described(self) -> dict[str, Any]:
        """What a record says of the engine."""
        ...


def engine(wanted: "str | Mapping[str, Any]" = "local", device: str = "auto") -> Engine | None:
    """The engine of a configuration; None where the stream runs in this process.

    wanted: a name, or the settings of the group `engine`. device: the one asked for.
    """
    given = {"name": wanted} if isinstance(wanted, str) else dict(wanted)
    name = str(given.pop("name", "local"))
    if name == "local":
        from foundation.engines.local import Local

        for key in given:
            if key not in LOCAL:
                raise UnknownName("setting", f"engine.{key}", [f"engine.{k}" for k in LOCAL])
        workers = whole("workers", given.get("workers"))
        return None if workers is None else Local(workers, device)
    if name == "ray":
        from foundation.engines.ray import Ray

        return Ray.of(given)
    raise UnknownName("engine", name, ("local", "ray"))


def refuse_engine(task: str, given: "Mapping[str, Any]") -> None:
    """InputError where an engine was chosen for a task that trains, which no engine runs."""
    chosen = {key: value for key, value in given.items() if value is not None}
    if chosen and chosen != {"name": "local"}:
        raise InputError(
            f"engine=... is for tasks that answer requests, and task={task} trains: leave it out"
            + (" and start several processes with torchrun" if task == "tune" else "")
        )


def whole(name: str, value: Any) -> int | None:
    """A setting of the engine that is a whole number of at least 1, or None."""
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise InputError(f"engine.{name} must be a whole number of at least 1, got '{value}'")
    return value
