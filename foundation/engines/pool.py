"""Requests -> workers -> results, whatever a worker is.

A worker holds a lease: items it takes packet by packet, until there are no more. So that the last
workers end together, it is to pause when it has its share, which keeps it from reading too far
ahead. What a worker that died has not answered is tried once more; if that ends a worker, too, in
halves, until the request that does it stands alone and becomes a row with its reason.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from foundation.engines.serving import Message
from foundation.errors import FoundationError
from foundation.requests import Item, Packet
from foundation.results import Result

PACKET = 64
"""Items of a packet, at most."""
SECONDS = 0.25
"""What a packet should last, where that is more than a batch: each costs some processor time."""
LAST = 8
"""A packet is at most a worker's part of what is left, divided by this."""
SHARE = 2
"""A share is a worker's part of what is left, divided by this."""
UNKNOWN = 32
"""Batches of a share where no one knows how many items are left."""
STARTS = 3
"""Workers that may die one after another before they have loaded the model."""
GIVEN_UP = 20
"""Requests that may end their workers one after another before it is no longer their fault."""
LOOK = 0.1


class Died(Exception):
    """A worker is gone; the message says how."""


class Worker(Protocol):
    """One worker, seen from the driver."""

    def give(self, items: Packet) -> None:
        """Send a packet; None is a pause, and an empty one ends the lease. Died."""
        ...

    def take(self) -> Message:
        """Wait for the worker's next message. Died."""
        ...

    def close(self) -> None:
        """End the worker, from any thread; what it does is lost."""
        ...


@dataclass
class _Lease:
    """Items for one worker.

    held: given, not yet answered. tried: they ended a worker before. made: how many are answered.
    """

    items: Iterator[Item | None]
    tried: bool = False
    held: dict[int, Item] = field(default_factory=dict)
    made: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.made / max(time.monotonic() - self.began, LOOK)


class Pool:
    """`count` workers over one stream of items.

    start: starts worker number n. left: how many items there are, None where no one knows. lost:
    the row of a request that ends workers, with its reason. events: takes what happened.
    """

    def __init__(
        self,
        start: Callable[[int], Worker],
        count: int,
        batch: int,
        left: int | None,
        lost: Callable[[Item, str], Result],
        events: list[str],
    ) -> None:
        self._start, self._lost, self._events = start, lost, events
        self._batch, self._left = batch, left
        self._count = count
        self._state = threading.Condition()
        self._again: deque[list[Item]] = deque()
        self._source: Iterator[Item] = iter(())
        self._open, self._closed, self._busy = True, False, 0
        self._starts = self._given_up = 0
        self._workers: dict[int, Worker] = {}
        # Bounded: who does not take results is given none, and the workers wait.
        self._made: queue.Queue[list[Result] | BaseException | None] = queue.Queue(4 * count)
        self.width: int | None = None  # of the model's vectors, once a worker has loaded it

    def results(self, items: Iterable[Item], stop: Callable[[], bool]) -> Iterator[Result]:
        """Results as they come; what was not answered when `stop` says so is left."""
        self._source = iter(items)
        threads = [
            threading.Thread(target=self._drive, args=(number,), daemon=True)
            for number in range(self._count)
        ]
        for thread in threads:
            thread.start()
        try:
            while not stop():
                try:
                    made = self._made.get(timeout=LOOK)
                except queue.Empty:
                    continue
                if made is None:
                    return
                if isinstance(made, BaseException):
                    raise made
                yield from made
        finally:
            self._close(threads)

    def _close(self, threads: list[threading.Thread]) -> None:
        with self._state:
            self._closed = True
            workers = list(self._workers.values())
            self._state.notify_all()
        for worker in workers:
            worker.close()
        while any(thread.is_alive() for thread in threads):
            try:
                self._made.get(timeout=LOOK)
            except queue.Empty:
                continue

    def _drive(self, number: int) -> None:
        """One worker's thread: leases until there are none left."""
        worker: Worker | None = None
        try:
            while self._more():
                lease: _Lease | None = None
                try:
                    worker = worker or self._ready_worker(number)
                    lease = self._next()
                    if lease is not None:
                        self._run(worker, lease)
                except Died as died:
                    self._forget(number)
                    worker = None
                    self._bury(lease, str(died))
                finally:
                    if lease is not None:
                        self._rest()
            self._put(None)  # the first to find that nothing is left says so
        except BaseException as error:
            self._put(error)
        finally:
            self._forget(number)

    def _ready_worker(self, number: int) -> Worker:
        worker = self._start(number)
        with self._state:
            closed = self._closed
            self._workers[number] = worker
        if closed:
            raise Died("the pool is closed")
        kind, value = worker.take()
        if kind == "failed":
            raise value
        self.width = self.width or value["width"]
        self._starts = 0
        return worker

    def _run(self, worker: Worker, lease: _Lease) -> None:
        first = self._packet_of(lease)
        if not first:
            return
        worker.give(first)
        while True:
            kind, value = worker.take()
            if kind == "more":
                worker.give(self._packet_of(lease))
            elif kind == "made":
                for result in value:
                    lease.held.pop(result.id, None)
                lease.made += len(value)
                self._given_up = 0
                self._put(value)
            elif kind == "told":
                self._events += value
            elif kind == "idle":
                if lease.held:
                    ids = ", ".join(map(str, list(lease.held)[:5]))
                    raise FoundationError(f"a worker gave no result for request {ids}")
                return
            else:
                raise value

    def _packet_of(self, lease: _Lease) -> Packet:
        with self._state:
            most = min(PACKET, max(self._batch, int(SECONDS * lease.rate)), self._part(LAST))
            packet = list(islice(lease.items, most))
        lease.held |= {item.id: item for item in packet if item is not None}
        return packet

    def _more(self) -> bool:
        """Whether there is work, waiting while some may still come of another worker's death."""
        with self._state:
            while not (self._closed or self._again or self._open):
                if not self._busy:
                    self._state.notify_all()
                    return False
                self._state.wait()
            return not self._closed

    def _next(self) -> _Lease | None:
        """The next lease; None where others were faster."""
        with self._state:
            if self._again:
                lease = _Lease(iter(self._again.popleft()), tried=True)
            elif self._open:
                lease = _Lease(self._shares())
            else:
                return None
            self._busy += 1
            return lease

    def _rest(self) -> None:
        with self._state:
            self._busy -= 1
            self._state.notify_all()

    def _shares(self) -> Iterator[Item | None]:
        """Items of the source, a pause after each share; called and used under the lock."""
        while True:
            for _ in range(self._batch * max(1, self._part(SHARE) // self._batch)):
                item = next(self._source, None)
                if item is None:
                    self._open = False
                    return
                if self._left is not None:
                    self._left -= 1
                yield item
            yield None

    def _part(self, divided: int) -> int:
        """A worker's part of the items that are left, divided; at least 1."""
        if self._left is None:
            return UNKNOWN * self._batch
        return max(1, self._left // (divided * self._count))

    def _bury(self, lease: _Lease | None, reason: str) -> None:
        """A worker died: what it held is tried again, or is found to be the cause."""
        with self._state:
            if self._closed:
                return
            held = [] if lease is None else list(lease.held.values())
            if lease is not None and lease.tried:
                held += filter(None, lease.items)
        if lease is None:
            self._starts += 1
            if self._starts > STARTS * self._count:
                raise FoundationError(f"workers die before they have loaded the model: {reason}")
            return
        many = f"{len(held)} requests" if len(held) != 1 else f"request {held[0].id}"
        self._events.append(f"a worker that held {many} was replaced: {reason}")
        half = -(-len(held) // 2)
        if not lease.tried:
            self._retry([held] if held else [])
        elif len(held) > 1:
            self._retry([held[:half], held[half:]])
        elif held:
            self._give_up(held[0], reason)

    def _retry(self, groups: list[list[Item]]) -> None:
        with self._state:
            self._again.extend(groups)

    def _give_up(self, item: Item, reason: str) -> None:
        self._given_up += 1
        if self._given_up > GIVEN_UP:
            raise FoundationError(f"{GIVEN_UP} requests in a row ended their workers: {reason}")
        why = f"its worker ended twice: {reason}"
        self._events.append(f"request {item.id} is given up: {why}")
        self._put([self._lost(item, why)])

    def _forget(self, number: int) -> None:
        with self._state:
            worker = self._workers.pop(number, None)
        if worker is not None:
            worker.close()

    def _put(self, made: list[Result] | BaseException | None) -> None:
        self._made.put(made)
