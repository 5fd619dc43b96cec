"""The hand of the charts with a row per strategy and setting. Knows the columns of a summary; draws no measure.

The numbers stand in a column of their own beside the rows, so that they never lie on what is drawn.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from ticketlab.report.setting import setting_parts, varied
from ticketlab.report.style import INK, MUTED, THOUSANDS, Chart, elided, far_apart, log_axis, sheet
from ticketlab.report.words import counted, shown_name

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
    """An empty chart with a named row for each row of the summary, the first on top."""
    places = [place for place, _ in placed(rows)]
    row_in = row_in or (ROW_IN if len(rows) <= _MANY else _DENSE_ROW_IN)
    body_in = _AXIS_IN + legend_in + row_in * (max(places, default=0) + 1)
    chart = sheet(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    axes: Axes = chart.subplots()
    axes.set_yticks(places, labels=_names(rows))
    axes.set_ylim(max(places, default=0) + 0.6, -0.6)
    axes.grid(visible=False, axis="y")
    return chart, axes


def placed(rows: pd.DataFrame) -> Iterable[tuple[float, pd.Series]]:
    """The rows with their heights on the axis; strategies with several rows stand a little apart."""
    gap = 0.5 if varied(rows) else 0.0
    starts = rows["strategy"].ne(rows["strategy"].shift()).cumsum() - 1
    return [(index + gap * float(starts.iloc[index]), row) for index, (_, row) in enumerate(rows.iterrows())]


def _names(rows: pd.DataFrame) -> list[str]:
    """What stands at each row: the strategy, and the setting where it differs."""
    first = rows["strategy"].ne(rows["strategy"].shift())
    names = [
        elided(shown_name(strategy, safe), _NAME_LENGTH)
        for strategy, safe in zip(rows["strategy"], rows["safe"], strict=True)
    ]
    if not varied(rows):
        return names
    settings = [", ".join(setting_parts(row, rows)) for _, row in rows.iterrows()]
    return [f"{name}   {each}" if new else each for name, each, new in zip(names, settings, first, strict=True)]


def key_text(rows: pd.DataFrame, mark: str, *, interval: bool, dot: bool = True, middle: str = "median") -> str:
    """What a mark, its line and the dots stand for. One repeat has no middle, and no spread to be shown."""
    least, most = rows["repeats"].min(), rows["repeats"].max()
    if most == 1:
        return f"{mark}: the only repeat; it shows no spread."
    repeats = counted(most, "repeat") if least == most else f"{least} to {most} repeats"
    return (
        f"{mark}: {middle} of {repeats}."
        + (" Line: least to most of them." if interval else "")
        + (" Dot: one repeat." if dot else "")
    )


def dots(axes: Axes, place: float, values: Iterable[float]) -> None:
    """The repeats themselves."""
    shown = list(values)
    axes.plot(
        shown, [place] * len(shown), linestyle="", marker="o", markersize=3.6, color=INK, markeredgecolor="white",
        markeredgewidth=0.6, gid="repeats", zorder=4, clip_on=False,
    )  # fmt: skip


def interval(axes: Axes, place: float, least: float, most: float, color: str) -> None:
    """From the least to the most of the repeats."""
    # Cut off square: a cap would reach beyond the values.
    axes.plot([least, most], [place] * 2, color=color, linewidth=4, alpha=0.4, solid_capstyle="butt", gid="interval")


def mark(axes: Axes, place: float, value: float, color: str, marker: str) -> None:
    """The median of the repeats."""
    axes.plot(value, place, marker=marker, markersize=8, color=color, markeredgecolor="white", clip_on=False)


def beside(axes: Axes, place: float, text: str, color: str = INK) -> None:
    """A number in the column beside the rows."""
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", color=color, fontsize=8.5)


def heading(axes: Axes, text: str) -> None:
    """What the numbers beside the rows are."""
    axes.annotate(
        text, (1.02, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", color=MUTED, fontsize=8
    )


def legend(chart: Chart, axes: Axes, handles: list[Any], *, above_pt: float = 0) -> None:
    """The keys over the axes, `above_pt` points higher where a heading needs the line below them."""
    raised = axes.transAxes + ScaledTranslation(0, above_pt / 72, chart.dpi_scale_trans)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), bbox_transform=raised, ncols=LEGEND_COLUMNS,
        borderaxespad=0.3,
    )  # fmt: skip


def spaced(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ")


def value_axis(axes: Axes, measures: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """An axis of what these columns hold, from 0, or a log one that is named as such."""
    values = measures[list(columns)].to_numpy(dtype=float)
    if far_apart(values.flat):
        log_axis(axes.xaxis, values.flat)
        axes.set_xlabel(f"{name} (log scale)")
        return
    most = np.nanmax(values) if np.isfinite(values).any() else 0
    axes.set_xlim(0, most * 1.06 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))  # beside long names more numbers would touch
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel(name)
