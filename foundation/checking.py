"""Outputs -> results: the domain's checks, run in other processes while the model goes on."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from foundation.registry import resolve
from foundation.results import Result
from foundation.stream import Made
from foundation.worker import Workers

if TYPE_CHECKING:
    from concurrent.futures import Future

CHUNK = 64
CHUNK_SECONDS = 0.25
Checks = dict[str, Any]
T = TypeVar("T")


class Checker:
    """Adds a task's checks to outputs.

    check: `module:function(values, columns) -> list of dicts` or None, where every value is valid.
    columns: the checks wanted, None for all. processes: 0 checks in this one. common: what all
    results share, e.g. the seed.
    """

    def __init__(
        self,
        check: str | None,
        columns: Sequence[str] | None,
        processes: int,
        common: Mapping[str, Any],
    ) -> None:
        self._processes, self._common = processes, common
        self._workers: Workers | _Here | None = None
        if check is not None and processes:
            self._workers = Workers(check, (columns,), processes, _died)
        elif check is not None:
            self._workers = _Here(resolve(check), columns)

    def results(self, made: Iterable[Made]) -> Iterator[Result]:
        """Results in the order of the outputs; at most a few chunks are under way."""
        if self._workers is None:
            yield from (self._result(pair, {}) for pair in made)
            return
        under_way: deque[tuple[list[Made], Future[list[Checks]]]] = deque()
        for chunk in chunks(made):
            under_way.append((chunk, self._submit(chunk)))
            while under_way and (under_way[0][1].done() or len(under_way) > 4 * self._processes):
                yield from self._collect(under_way.popleft())
        while under_way:
            yield from self._collect(under_way.popleft())

    def close(self) -> None:
        """End the processes."""
        if self._workers is not None:
            self._workers.close()

    def _submit(self, chunk: list[Made]) -> "Future[list[Checks]]":
        assert self._workers is not None
        return self._workers.submit([output.value for _, output in chunk if output.reason is None])

    def _collect(self, entry: "tuple[list[Made], Future[list[Checks]]]") -> Iterator[Result]:
        chunk, future = entry
        answers = iter(future.result())
        for pair in chunk:
            yield self._result(pair, next(answers) if pair[1].reason is None else {})

    def _result(self, pair: Made, checks: Checks) -> Result:
        item, output = pair
        valid, reason = checks.pop("valid", True), checks.pop("reason", None)
        reason = output.reason or reason
        return Result(
            id=item.id,
            input=item.input,
            output=output.value,
            valid=reason is None and valid,
            reason=reason,
            checks={**checks, **output.extra} if checks else output.extra,
            refused=output.refused,
            usage=output.usage,
            **self._common,
        )


class _Here:
    """Checks in this process, where it is one of several that run the model."""

    def __init__(self, check: Callable[..., list[Checks]], columns: Sequence[str] | None) -> None:
        self._check, self._columns = check, columns

    def submit(self, values: Sequence[Any]) -> "Future[list[Checks]]":
        from concurrent.futures import Future

        answered: Future[list[Checks]] = Future()
        answered.set_result(self._check(values, self._columns))
        return answered

    def close(self) -> None: ...


def _died(reason: str) -> Checks:
    return {"valid": False, "reason": reason}


def chunks(made: Iterable[T], clock: Callable[[], float] = time.monotonic) -> Iterator[list[T]]:
    """Chunks of CHUNK of what is made, or fewer where it comes slowly."""
    chunk: list[T] = []
    began = clock()
    for each in made:
        chunk.append(each)
        if len(chunk) >= CHUNK or clock() - began > CHUNK_SECONDS:
            yield chunk
            chunk, began = [], clock()
    if chunk:
        yield chunk
