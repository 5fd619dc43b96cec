"""The chart of several runs side by side: a mark a run in the row of each strategy and setting. Judges nothing."""

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ticketlab.history.statistics import geometric_mean
from ticketlab.report import findings
from ticketlab.report.grouping import matching_rows
from ticketlab.report.layout import (
    dots,
    heading,
    interval,
    key_above,
    key_height_in,
    key_text,
    mark,
    row_sheet,
    value_axis,
    value_label,
    with_positions,
)
from ticketlab.report.phrases import number
from ticketlab.report.style import INK, Chart, shades, truncate_middle
from ticketlab.report.summary import summarise

_LINE_IN: Final = 0.2
_BETWEEN_IN: Final = 0.16
_RUN_LENGTH: Final = 26
# Markers and lightness: colours tell strategies apart.
_MARKERS: Final = ("o", "D", "s", "^", "v", "P", "X")


def comparison(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Purchases per second of each run, with the interval over its repeats, and what they are of the first run's.

    The mark is what is divided: the geometric mean, so that the numbers beside it give their ratio.
    """
    rows = summarise(measures)
    looks = _looks(list(measures["run"].unique()))
    row_in = _BETWEEN_IN + _LINE_IN * len(looks)
    subtitle = key_text(findings.rates_by_run(measures), "Mark", interval=True, middle="geometric mean")
    subtitle += " Beside: what it is, and how many times that of the first run."
    title = findings.comparison(measures).title
    chart, axes = row_sheet(rows, title, subtitle, conditions, row_in=row_in, legend_in=key_height_in(len(looks)))
    key_above(chart, [_key(truncate_middle(run, _RUN_LENGTH), look) for run, look in looks.items()])
    changes = findings.changes_of(measures)
    for place, row in with_positions(rows):
        for line, (run, look) in enumerate(looks.items()):
            y = place + (line - (len(looks) - 1) / 2) * _LINE_IN / row_in
            rates = matching_rows(measures[measures["run"] == run], row)["purchases_per_s"]
            if not rates.empty:
                middle, change = geometric_mean(rates.tolist()), matching_rows(changes[changes["run"] == run], row)
                _draw_run(axes, y, rates, middle, look)
                value_label(axes, y, number(middle) + _change_text(change))
    heading(axes, "mean · × the first")
    value_axis(axes, measures, ["purchases_per_s"], "purchases sold per second")
    return chart


def _looks(runs: list[str]) -> dict[str, tuple[str, str]]:
    """The colour and the marker of each run, the last the darkest."""
    markers = [_MARKERS[place % len(_MARKERS)] for place in range(len(runs))]
    return dict(zip(runs, zip(shades(INK, len(runs)), markers, strict=True), strict=True))


def _draw_run(axes: Axes, place: float, rates: "pd.Series[float]", middle: float, look: tuple[str, str]) -> None:
    color, marker = look
    interval(axes, place, rates.min(), rates.max(), color)
    mark(axes, place, middle, color, marker)
    if len(rates) > 1:
        dots(axes, place, rates)


def _change_text(change: pd.DataFrame) -> str:
    """How many times the first run's rate, and whether that is clear."""
    if change.empty:
        return ""
    row = change.iloc[0]
    return f" · × {number(row['ratio'])}" + ("" if row["clear"] else ", unclear")


def _key(name: str, look: tuple[str, str]) -> Line2D:
    color, marker = look
    return Line2D([], [], linestyle="", marker=marker, color=color, markersize=6.5, label=name)
