"""How far the work is: a bar on a terminal, now and then a plain line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Task

EVERY_SECONDS = 10.0


class Report(Protocol):
    """Called with how much is done and figures to show beside it; it may be called often."""

    def __call__(self, done: int, **values: Any) -> None: ...


@contextmanager
def progress(
    total: int | None, noun: str, *, done: int = 0, stream: TextIO | None = None
) -> Iterator[Report]:
    """Show on `stream` (standard error) how many of `total` are done, the rate and the time left.

    total: None where no one knows. done: how many were there before, which the rate leaves out.
    """
    out = stream or sys.stderr
    show = _bar if out.isatty() else _lines
    with show(total, noun, done, out) as report:
        yield report


@contextmanager
def _lines(total: int | None, noun: str, before: int, out: TextIO) -> Iterator[Report]:
    began = last = time.monotonic()
    latest: tuple[int, dict[str, Any]] | None = None

    def say(done: int, values: dict[str, Any]) -> None:
        seconds = time.monotonic() - began
        # Whoever read us may have gone (`foundation 2>&1 | head`): the work goes on.
        with suppress(OSError):
            print(plain(total, noun, done, done - before, seconds, values), file=out, flush=True)

    def report(done: int, **values: Any) -> None:
        nonlocal last, latest
        latest = (done, values)
        if time.monotonic() - last >= EVERY_SECONDS:
            last, latest = time.monotonic(), None
            say(done, values)

    try:
        yield report
    finally:
        if latest is not None:
            say(*latest)


def plain(
    total: int | None, noun: str, done: int, new: int, seconds: float, values: dict[str, Any]
) -> str:
    """One line: `412 of 1,000 results, 103/s, 6 s left, valid 98.1 %`."""
    rate = new / seconds if seconds > 0 else 0.0
    parts = [f"{done:,}{f' of {total:,}' if total is not None else ''} {noun}", f"{speed(rate)}"]
    if total is not None and rate > 0 and done < total:
        parts.append(f"{span((total - done) / rate)} left")
    return ", ".join([*parts, *(f"{name} {shown(value)}" for name, value in values.items())])


def speed(rate: float) -> str:
    """`1,234/s`, `12.3/s`, and below one a second `7.5 s each`."""
    if rate >= 100:
        return f"{rate:,.0f}/s"
    if rate >= 1 or rate <= 0:
        return f"{rate:.1f}/s"
    return f"{span(1 / rate)} each"


def span(seconds: float) -> str:
    """`6 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def shown(value: Any) -> str:
    """A figure as people write it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


@contextmanager
def _bar(total: int | None, noun: str, before: int, out: TextIO) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(file=out)
    began = time.monotonic()

    def count(task: "Task") -> str:
        of = "" if task.total is None else f"/{task.total:,.0f}"
        return f"{task.completed:,.0f}{of} {noun}"

    def rate(task: "Task") -> float:
        return (task.completed - before) / max(1e-9, time.monotonic() - began)

    def left(task: "Task") -> str:
        if task.total is None or rate(task) <= 0 or task.completed >= task.total:
            return span(time.monotonic() - began)
        return f"{span((task.total - task.completed) / rate(task))} left"

    bar = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=30),
        _text(count),
        _text(lambda task: speed(rate(task))),
        _text(left),
        TextColumn("{task.fields[beside]}"),
        console=console,
        refresh_per_second=4,
    )
    with bar:
        task = bar.add_task(noun, total=total, completed=before, beside="")

        def report(done: int, **values: Any) -> None:
            beside = ", ".join(f"{name} {shown(value)}" for name, value in values.items())
            bar.update(task, completed=done, beside=beside)

        yield report


def _text(render: "Callable[[Task], str]") -> Any:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Column(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(render(task), no_wrap=True)

    return Column()
