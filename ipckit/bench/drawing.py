"""The two kinds of plot of the report, drawn by matplotlib as SVG that takes its colours from the page."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 9.0  # inches; the page scales it
LINE_HEIGHT, LEGEND_ROW, LEGEND_FRAME = 4.6, 0.18, 0.6
RANGE_ROW, RANGE_FRAME = 0.26, 0.7
MARKERS = "os^DvPX"  # rows of one family share a colour, and differ in this

# Colours that no series has, and that are replaced by the page's own, which differ on a dark screen and on paper.
INK, GRID = "#010203", "#040506"
PAGE_COLOURS = {INK: "currentColor", GRID: "var(--grid)"}
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "ipckit",  # the same figures give the same file
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Series:
    """One row of a plot: points (x, y, low, high) of a line, or values in ascending order of a range."""

    name: str
    colour: str
    dashed: bool
    points: Sequence[tuple[float, float, float, float]] = ()
    values: Sequence[float] = ()
    interval: tuple[float, float] = (0.0, 0.0)


def lines(series: Sequence[Series], x_text: Callable[[float], str], y_text: Callable[[float], str]) -> str:
    """Lines over sizes, both axes logarithmic; the legend is in the order of the last points."""

    def draw(axes: Any) -> None:
        of_colour: Counter[str] = Counter()
        for one in sorted(series, key=lambda one: -one.points[-1][1]):
            x, y, low, high = zip(*one.points, strict=True)
            style = "--" if one.dashed else "-"
            marker = MARKERS[of_colour[one.colour] % len(MARKERS)]
            of_colour[one.colour] += 1
            axes.plot(x, y, style, color=one.colour, marker=marker, markersize=5, label=one.name)
            axes.vlines(x, low, high, color=one.colour, alpha=0.5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sorted({point[0] for one in series for point in one.points}), minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: x_text(value))
        axes.yaxis.set_major_formatter(lambda value, _: y_text(value))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")

    return _svg(max(LINE_HEIGHT, LEGEND_FRAME + LEGEND_ROW * len(series)), draw)


def ranges(series: Sequence[Series], text: Callable[[float], str]) -> str:
    """One row for each series, from its first to its last value: a dot for the first, ticks for the others."""

    def draw(axes: Any) -> None:
        for at, one in enumerate(series):
            axes.hlines(at, one.values[0], one.values[-1], color=one.colour, alpha=0.55)
            axes.hlines(at, *one.interval, color=one.colour, alpha=0.3, linewidth=6)
            axes.plot(one.values[0], at, "o", color=one.colour)
            axes.plot(one.values[1:], [at] * (len(one.values) - 1), "|", color=one.colour, markersize=9)
            furthest = max(one.values[-1], one.interval[1])
            axes.annotate(text(one.values[0]), (furthest, at), (8, 0), textcoords="offset points", va="center")
        axes.set_xscale("log")
        axes.set_yticks(range(len(series)), [one.name for one in series])
        axes.set_ylim(len(series) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.xaxis.set_major_formatter(lambda value, _: text(value))
        axes.xaxis.set_minor_formatter(lambda _value, _: "")

    return _svg(RANGE_FRAME + RANGE_ROW * len(series), draw)


def _svg(height: float, draw: Callable[[Any], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for sentinel, colour in PAGE_COLOURS.items():
        text = text.replace(sentinel, colour)
    return text
