"""The layout of the rows and the panels of a chart, and their labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from ticketlab.report._style import INK, MUTED, THOUSANDS, Chart, log_axis, needs_log_scale, new_chart, truncate_middle
from ticketlab.report.phrases import display_name, pluralize, setting_parts, varying_columns

ROW_IN: Final = 0.34
LEGEND_LINE_IN: Final = 0.2
LEGEND_COLUMNS: Final = 3
HEADING_PT: Final = 14.0
BAR: Final = 0.62
_MANY: Final = 40
_DENSE_ROW_IN: Final = 0.25
_AXIS_IN: Final = 0.8
_NAME_LENGTH: Final = 30
_TICKS: Final = 5


def row_sheet(
    rows: pd.DataFrame, title: str, subtitle: str, conditions: str, *, row_in: float | None = None, legend_in: float = 0
) -> tuple[Chart, Axes]:
    """An empty chart with a labelled row for each row of the summary, the first on top."""
    places = [place for place, _ in with_positions(rows)]
    row_in = row_in or (ROW_IN if len(rows) <= _MANY else _DENSE_ROW_IN)
    body_in = _AXIS_IN + legend_in + row_in * (max(places, default=0) + 1)
    chart = new_chart(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    axes: Axes = chart.subplots()
    axes.set_yticks(places, labels=_names(rows))
    axes.set_ylim(max(places, default=0) + 0.6, -0.6)
    axes.grid(visible=False, axis="y")
    return chart, axes


def with_positions(rows: pd.DataFrame) -> Iterable[tuple[float, pd.Series]]:
    """The rows with their positions on the y axis; a gap separates strategies with several rows."""
    gap = 0.5 if varying_columns(rows) else 0.0
    starts = rows["strategy"].ne(rows["strategy"].shift()).cumsum() - 1
    return [(index + gap * float(starts.iloc[index]), row) for index, (_, row) in enumerate(rows.iterrows())]


def _names(rows: pd.DataFrame) -> list[str]:
    """The label of each row: the strategy at its first row, and the setting if it varies."""
    first = rows["strategy"].ne(rows["strategy"].shift())
    names = [
        truncate_middle(display_name(strategy, safe), _NAME_LENGTH)
        for strategy, safe in zip(rows["strategy"], rows["safe"], strict=True)
    ]
    if not varying_columns(rows):
        return names
    settings = [", ".join(setting_parts(row, rows)) for _, row in rows.iterrows()]
    return [f"{name}   {each}" if new else each for name, each, new in zip(names, settings, first, strict=True)]


def key_text(rows: pd.DataFrame, mark: str, *, interval: bool, dot: bool = True, middle: str = "median") -> str:
    """What a mark, its line and the dots mean. A single repeat has no median and no range."""
    least, most = rows["repeats"].min(), rows["repeats"].max()
    if most == 1:
        return f"{mark}: the only repeat, which shows no spread."
    repeats = pluralize(most, "repeat") if least == most else f"{least} to {most} repeats"
    return (
        f"{mark}: {middle} of {repeats}."
        + (" Line: least to most." if interval else "")
        + (" Dot: one repeat." if dot else "")
    )


def dots(axes: Axes, place: float, values: Iterable[float]) -> None:
    """Draw the repeats."""
    shown = list(values)
    axes.plot(
        shown, [place] * len(shown), linestyle="", marker="o", markersize=3.6, color=INK, markeredgecolor="white",
        markeredgewidth=0.6, gid="repeats", zorder=4, clip_on=False,
    )  # fmt: skip


def interval(axes: Axes, place: float, least: float, most: float, color: str) -> None:
    """Draw the range of the repeats."""
    # A round or projecting cap would extend beyond the values.
    axes.plot([least, most], [place] * 2, color=color, linewidth=4, alpha=0.4, solid_capstyle="butt", gid="interval")


def mark(axes: Axes, place: float, value: float, color: str, marker: str) -> None:
    """Draw the median of the repeats."""
    axes.plot(value, place, marker=marker, markersize=8, color=color, markeredgecolor="white", clip_on=False)


def value_label(axes: Axes, place: float, text: str, color: str = INK) -> None:
    """Write a number in the column right of the rows."""
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", color=color, fontsize=8.5)


def heading(axes: Axes, text: str) -> None:
    """Write the heading of the column right of the rows."""
    axes.annotate(
        text, (1.02, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", color=MUTED, fontsize=8
    )


def legend(chart: Chart, axes: Axes, handles: list[Any], *, above_pt: float = 0) -> None:
    """Draw the keys above the axes, `above_pt` points higher if a heading needs the line below them."""
    raised = axes.transAxes + ScaledTranslation(0, above_pt / 72, chart.dpi_scale_trans)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), bbox_transform=raised, ncols=LEGEND_COLUMNS,
        borderaxespad=0.3,
    )  # fmt: skip


def spaced(name: str) -> str:
    """A name with spaces instead of underscores."""
    return name.replace("_", " ")


def value_axis(axes: Axes, measures: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Set the x axis for the values of these columns: from 0, or a log axis that is labelled as such."""
    values = measures[list(columns)].to_numpy(dtype=float)
    if needs_log_scale(values.flat):
        log_axis(axes.xaxis, values.flat)
        axes.set_xlabel(f"{name} (log scale)")
        return
    most = np.nanmax(values) if np.isfinite(values).any() else 0
    axes.set_xlim(0, most * 1.06 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))  # next to long names more numbers would touch
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel(name)


FEW: Final = 6
GREY: Final = "#c3c9cf"
"""The colour of the lines behind those of a panel."""
_LINE_NAME_LENGTH: Final = 26
_KEY_COLUMNS: Final = 3
_KEY_LINE_IN: Final = 0.2
_NAME_HEIGHT_IN: Final = 0.19
_AROUND_IN: Final = 0.45
"""The part of a panel's height for its name and its x axis."""
_TICK_LABEL_IN: Final = 0.36
"""The width of the number at a tick, with the space to the next."""
_WIDE: Final = 4
"""A larger ratio of the extreme values needs a log axis."""


# From the start of the name: a line from its middle would cross the names above and below.
_TIE: Final[dict[str, Any]] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLabel:
    """The end of a line in data coordinates, and its label."""

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
    """An empty chart with a grid of axes, each `panel_in` inches high.

    A `key` of labelled artists is drawn above them. All share the x axis, and with `one_scale` also the y axis.
    """
    lines = ceil(count / columns)
    body_in = 0.35 + key_height_in(len(key)) + lines * panel_in
    chart = new_chart(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    if key:
        key_above(chart, key)
    grid = chart.subplots(lines, columns, sharex=True, sharey=one_scale, squeeze=False).flatten()
    for unused in grid[count:]:
        unused.remove()
    for place, axes in enumerate(grid[:count]):
        # The last panel of each column shows the numbers of the x axis.
        axes.tick_params(labelbottom=place + columns >= count)
    return chart, list(grid[:count])


def key_height_in(count: int) -> float:
    """The height in inches of a key with so many entries."""
    return ceil(count / _KEY_COLUMNS) * _KEY_LINE_IN


def key_above(chart: Chart, key: Sequence[Artist]) -> None:
    """Draw a key of labelled artists over the whole width; the axes are laid out below it."""
    engine = chart.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # set by `new_chart`
    left, bottom, width, height = engine.get()["rect"]
    top = bottom + height
    engine.set(rect=(left, bottom, width, height - key_height_in(len(key)) / chart.get_figheight()))
    chart.legend(
        handles=list(key), loc="upper left", bbox_to_anchor=(left, top), borderaxespad=0, ncols=_KEY_COLUMNS
    )  # fmt: skip


def label(all_axes: Sequence[Axes], x_label: str, y_label: str) -> None:
    """Label the y axis of the first panel of each row, and the x axis of the last panel of each column."""
    for axes in all_axes:
        spec = axes.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axes.set_ylabel(y_label)
        if axes.xaxis.get_tick_params()["labelbottom"]:
            axes.set_xlabel(x_label)


def line_name(strategy: str, *, safe: bool, most: int = _LINE_NAME_LENGTH) -> str:
    """A strategy's name, shortened to fit next to its line or over its panel; a control stays marked as such."""
    mark = display_name("", safe)
    return truncate_middle(strategy, most - len(mark)) + mark


def name_panel(axes: Axes, name: str) -> None:
    """Write the name of a panel above it."""
    axes.set_title(name, fontsize=8.5)


def name_lines(axes: Axes, ends: Sequence[LineLabel], *, panel_in: float) -> None:
    """Write the name of each line at its end; names that would touch are moved apart, with a line to their ends.

    The limits of the axes must have been set.
    """
    to_fraction = axes.transScale + axes.transLimits
    places = {id(end): float(to_fraction.transform((end.x, end.y))[1]) for end in ends}
    ascending = sorted(ends, key=lambda end: places[id(end)])
    heights = spread_labels(
        [places[id(end)] for end in ascending], gap=_NAME_HEIGHT_IN / (panel_in - _AROUND_IN), top=1
    )
    for end, height in zip(ascending, heights, strict=True):
        axes.annotate(
            end.name, (end.x, end.y), xytext=(1.04, height), textcoords="axes fraction", color=INK, fontsize=8.5,
            va="center", arrowprops=_TIE | {"color": end.color},
        )  # fmt: skip


def spread_labels(wanted: Sequence[float], *, gap: float, top: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, as little as possible, none above `top`."""
    heights: list[float] = []
    for height in wanted:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    for place in range(len(heights) - 1, -1, -1):
        ceiling = top if place == len(heights) - 1 else heights[place + 1] - gap
        heights[place] = min(heights[place], ceiling)
    return heights


def count_axis(axes: Axes, counts: pd.Series, *, width_in: float) -> None:
    """Set a tick at each number that was run, with its number if there is room.

    It applies to all axes that share this x axis. Call it after the lines are drawn.
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
    """Whether the numbers need a log axis."""
    return bool(counts.max() > _WIDE * counts.min())


def _with_room(ticks: Sequence[float], places_in: Sequence[float]) -> set[float]:
    """The ticks whose numbers do not touch; the largest, where the lines end, has priority."""
    kept: dict[float, float] = {}
    for tick, place in zip(reversed(ticks), reversed(places_in), strict=True):
        if all(abs(place - other) >= _TICK_LABEL_IN for other in kept.values()):
            kept[tick] = place
    return set(kept)
