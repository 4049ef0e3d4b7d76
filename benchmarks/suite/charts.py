"""Charts as SVG by matplotlib; their letters and lines take the page's colour."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.suite.figures import Row
    from benchmarks.suite.page import Grown

INK = "#123456"
"""Stands for the page's own colour until the SVG is written."""
ACCENTS = {"good": "#1a7f4b", "bad": "#c4432b", "unsure": "#8a6d00", "plain": INK}


def ratios(rows: "Sequence[Row]") -> str:
    """Each ratio with its interval, on a logarithmic axis; 1 is where both take the same."""
    if not rows:
        return ""
    with _figure(6, 1 + 0.5 * len(rows)) as (figure, axes):
        for place, row in enumerate(reversed(rows)):
            middle, low, high = row.interval or (1.0, 1.0, 1.0)
            colour = ACCENTS[row.verdict.state]
            axes.plot([low, high], [place, place], color=colour, linewidth=3)
            axes.plot([middle], [place], "o", color=colour, markersize=6)
            words, across = row.what.replace("`", ""), axes.get_yaxis_transform()
            size = 11 * min(1, 76 / len(words))  # the longest one in a line
            axes.text(0, place + 0.32, words, transform=across, fontsize=size, va="center")
        axes.axvline(1, color=INK, linewidth=1, linestyle=":")
        axes.set_xscale("log")
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("times (1: both take the same)")
        _ticks(axes, [0.5, 0.7, 1, 1.4, 2, 3, 5, 10])
        return _svg(figure, "Ratios with 95 % intervals, the numbers of the table below")


def growth(grown: "Sequence[Grown]") -> str:
    """Each measure over the work, both relative to the least work."""
    if not grown:
        return ""
    with _figure(6, 5.5) as (figure, axes):
        for each, mark in zip(grown, "osv^D<>phX*" * 9, strict=False):
            work = [size / each.work[0] for size in each.work]
            took = [value / each.usual[0] for value in each.usual]
            label = f"{each.title}: {each.measure}".replace("`", "")
            axes.plot(work, took, marker=mark, label=label)
        axes.plot([1, 16], [1, 16], color=INK, linestyle=":", label="as much as the work")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xlabel("work, times the least")
        axes.set_ylabel("times the least")
        _ticks(axes, [1, 4, 16], both=True)
        figure.legend(frameon=False, fontsize=9, labelcolor=INK, loc="outside lower left")
        return _svg(figure, "Growth of time and memory with the work; the table has the exponents")


@contextmanager
def _figure(wide: float, high: float) -> Iterator[tuple[Any, Any]]:
    import matplotlib

    settings = {
        "svg.fonttype": "none", "svg.hashsalt": "foundation", "font.family": "sans-serif",
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
        "ytick.color": INK, "font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(wide, high), layout="constrained")
        yield figure, figure.subplots()


def _ticks(axes: Any, values: Sequence[float], both: bool = False) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    for axis in (axes.xaxis, axes.yaxis)[: 1 + both]:
        axis.set_major_locator(FixedLocator(list(values)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _svg(figure: Any, title: str) -> str:
    """Without the parts that only a file of its own needs, and told to a screen reader."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' width="[^"]+pt"| height="[^"]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
