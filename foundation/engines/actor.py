"""Workers that are actors of a Ray cluster, and how the driver sees one."""

import queue
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.engines import Work
from foundation.engines.pool import Died
from foundation.engines.serving import Message, serve
from foundation.errors import FoundationError, InputError
from foundation.mirror import sending

if TYPE_CHECKING:
    from foundation.adapter import Placement
    from foundation.requests import Packet
    from foundation.spec import ModelSpec

SILENCE = 10.0
"""Seconds without a message after which the driver asks whether any can still come."""
AHEAD = 8
"""Messages of a worker that wait for the driver, at most."""


class Actor:
    """A worker on some machine of the cluster."""

    def __init__(self, spec: "ModelSpec", placement: "Placement", work: Work) -> None:
        self._orders: queue.Queue[Packet] = queue.Queue()
        self._answers: queue.Queue[Message] = queue.Queue(AHEAD)
        self._work = threading.Thread(target=self._serve, args=(spec, placement, work), daemon=True)
        self._work.start()

    def exchange(self, packets: "list[Packet]") -> list[Message]:
        """Take packets and wait for at least one message."""
        for packet in packets:
            self._orders.put(packet)
        messages = [self._answers.get()]
        while not self._answers.empty():
            messages.append(self._answers.get())
        return messages

    def _serve(self, spec: "ModelSpec", placement: "Placement", work: Work) -> None:
        send = self._answers.put
        if work.folder.is_dir() or not _writes(spec):
            serve(spec, placement, work, self._orders.get, send)
        elif work.output is None:
            told = (
                f"{work.folder} is not there on a worker's machine: choose a folder all share, "
                "or engine.output=<an address such as s3://bucket/run>"
            )
            send(("failed", InputError(told)))
        else:
            with tempfile.TemporaryDirectory(prefix="foundation-") as own:
                sent = sending(work.output, Path(own), send)
                serve(spec, placement, replace(work, folder=Path(own)), self._orders.get, sent)


def _writes(spec: "ModelSpec") -> bool:
    """Whether a worker writes files of its own into the run folder."""
    from foundation import registry

    kept = registry.domain(spec.domain).keep is not None
    return kept or hasattr(registry.resolve(spec.adapter), "split")


class Remote:
    """An actor, seen from the driver; packets travel with the next question for messages.

    gone: asked while there is no answer; raises what ends the wait.
    """

    def __init__(self, ray: Any, actor: Any, gone: Callable[[], None]) -> None:
        self._ray, self._actor, self._gone = ray, actor, gone
        self._packets: list[Packet] = []
        self._messages: list[Message] = []

    def give(self, items: "Packet") -> None:
        self._packets.append(items)

    def take(self) -> Message:
        if not self._messages:
            packets, self._packets = self._packets, []
            try:
                self._messages = self._answer(self._actor.exchange.remote(packets))
            except self._ray.exceptions.RayTaskError as error:
                raise FoundationError(f"a Ray worker failed: {error}") from error
            except self._ray.exceptions.RayError as error:
                raise Died(" ".join(str(error).split())[:300]) from None
        return self._messages.pop(0)

    def _answer(self, asked: Any) -> list[Message]:
        while True:
            try:
                messages: list[Message] = self._ray.get(asked, timeout=SILENCE)
                return messages
            except self._ray.exceptions.GetTimeoutError:
                self._gone()

    def close(self) -> None:
        self._ray.kill(self._actor)
