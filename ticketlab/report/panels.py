"""Axes in a grid, and names at the ends of lines. Knows no measure.

Up to FEW strategies share one pair of axes. More would be a tangle: then each has axes of its own, all of one scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ticketlab.report.style import INK, Chart, elided, sheet
from ticketlab.report.words import shown_name

FEW: Final = 6
GREY: Final = "#c3c9cf"
"""What stands behind the lines of a panel for comparison."""
_NAME_LENGTH: Final = 26
_KEY_COLUMNS: Final = 3
_KEY_LINE_IN: Final = 0.2
_NAME_HEIGHT_IN: Final = 0.19
_AROUND_IN: Final = 0.45
"""What of a panel's height is left to its name and to the axis below."""
_TICK_LABEL_IN: Final = 0.36
"""The width that the number at a tick needs, with the space to the next."""
_WIDE: Final = 4
"""Values that are so many times apart stand on a log axis."""


# From the beginning of the name: a line from its middle would run through the names above and below.
_TIE: Final[dict[str, Any]] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Where a line ends, in data coordinates, and what is to stand there."""

    x: float
    y: float
    name: str
    color: str


def panels(
    count: int,
    *,
    columns: int,
    panel_in: float,
    title: str,
    subtitle: str,
    conditions: str,
    key: Sequence[Artist] = (),
    one_scale: bool = True,
) -> tuple[Chart, list[Axes]]:
    """An empty chart with its axes, in lines of so many columns, each `panel_in` inches high.

    A `key` of labelled artists stands over them. All have one scale; below they always have, beside where it is said.
    """
    lines = ceil(count / columns)
    body_in = 0.35 + key_height_in(len(key)) + lines * panel_in
    chart = sheet(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    if key:
        key_above(chart, key)
    grid = chart.subplots(lines, columns, sharex=True, sharey=one_scale, squeeze=False).flatten()
    for unused in grid[count:]:
        unused.remove()
    for place, axes in enumerate(grid[:count]):
        # The last of a column has nothing below it that could carry the numbers of the axis.
        axes.tick_params(labelbottom=place + columns >= count)
    return chart, list(grid[:count])


def key_height_in(count: int) -> float:
    """The inches of height that a key of so many entries takes."""
    return ceil(count / _KEY_COLUMNS) * _KEY_LINE_IN


def key_above(chart: Chart, key: Sequence[Artist]) -> None:
    """A key of labelled artists on top of what is drawn, over the whole width; the rest is laid out below it."""
    engine = chart.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # as a sheet is made
    left, bottom, width, height = engine.get()["rect"]
    top = bottom + height
    engine.set(rect=(left, bottom, width, height - key_height_in(len(key)) / chart.get_figheight()))
    chart.legend(
        handles=list(key), loc="upper left", bbox_to_anchor=(left, top), borderaxespad=0, ncols=_KEY_COLUMNS
    )  # fmt: skip


def label(all_axes: Sequence[Axes], below: str, beside: str) -> None:
    """Both labels once a row and a column, as the numbers of the axes stand."""
    for axes in all_axes:
        spec = axes.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axes.set_ylabel(beside)
        if axes.xaxis.get_tick_params()["labelbottom"]:
            axes.set_xlabel(below)


def line_name(strategy: str, *, safe: bool, most: int = _NAME_LENGTH) -> str:
    """A strategy's name as it fits beside its line or over its panel; that it is a control is never left out."""
    mark = shown_name("", safe)
    return elided(strategy, most - len(mark)) + mark


def name_panel(axes: Axes, name: str) -> None:
    """What a panel shows, in a line over it."""
    axes.set_title(name, fontsize=8.5)


def name_lines(axes: Axes, ends: Sequence[End], *, panel_in: float) -> None:
    """The name of each line at its end; names that would touch are moved apart, and tied to their ends.

    The limits of the axes must have been set.
    """
    to_fraction = axes.transScale + axes.transLimits
    places = {id(end): float(to_fraction.transform((end.x, end.y))[1]) for end in ends}
    ascending = sorted(ends, key=lambda end: places[id(end)])
    heights = spread([places[id(end)] for end in ascending], gap=_NAME_HEIGHT_IN / (panel_in - _AROUND_IN), top=1)
    for end, height in zip(ascending, heights, strict=True):
        axes.annotate(
            end.name, (end.x, end.y), xytext=(1.04, height), textcoords="axes fraction", color=INK, fontsize=8.5,
            va="center", arrowprops=_TIE | {"color": end.color},
        )  # fmt: skip


def spread(wanted: Sequence[float], *, gap: float, top: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, as little as need be, and none above `top`."""
    heights: list[float] = []
    for height in wanted:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    for place in range(len(heights) - 1, -1, -1):
        ceiling = top if place == len(heights) - 1 else heights[place + 1] - gap
        heights[place] = min(heights[place], ceiling)
    return heights


def count_axis(axes: Axes, counts: pd.Series, *, width_in: float) -> None:
    """A tick at each number that was run, and nowhere else; a number where there is room for it.

    It holds for all axes that share this one's scale, and must come when the lines are drawn.
    """
    if wide(counts):
        axes.set_xscale("log", base=2)
    ticks = sorted(counts.unique())
    to_fraction = axes.transScale + axes.transLimits
    places = [float(to_fraction.transform((tick, 0))[0]) * width_in for tick in ticks]
    numbered = _with_room(ticks, places)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}" if tick in numbered else ""))


def wide(counts: pd.Series) -> bool:
    """Whether the numbers lie so far apart that they stand on a log axis."""
    return bool(counts.max() > _WIDE * counts.min())


def _with_room(ticks: Sequence[float], places_in: Sequence[float]) -> set[float]:
    """The ticks whose numbers do not touch, the largest before all others: there the lines end."""
    kept: dict[float, float] = {}
    for tick, place in zip(reversed(ticks), reversed(places_in), strict=True):
        if all(abs(place - other) >= _TICK_LABEL_IN for other in kept.values()):
            kept[tick] = place
    return set(kept)
