"""Charts with one row per strategy and setting: bars of counts, marks of measurements, and marks of several runs."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ticketlab.history.statistics import geometric_mean
from ticketlab.outcomes import RETRIES, Cause, Outcome
from ticketlab.report import captions, summary
from ticketlab.report._layout import (
    BAR,
    HEADING_PT,
    LEGEND_COLUMNS,
    LEGEND_LINE_IN,
    ROW_IN,
    dots,
    heading,
    interval,
    key_above,
    key_height_in,
    key_text,
    legend,
    mark,
    row_sheet,
    spaced,
    value_axis,
    value_label,
    with_positions,
)
from ticketlab.report._style import INK, MUTED, RED, THOUSANDS, Chart, shades, style_for, truncate_middle
from ticketlab.report.phrases import GROUP, exact, has_multiple, matching_rows, number, percent, pluralize
from ticketlab.report.summary import summarise

# Neutral tones and hatches: colours identify strategies, and red is reserved for oversold tickets.
OUTCOME_LOOKS: Final[dict[str, dict[str, Any]]] = {
    Outcome.SOLD: {"facecolor": "#3b4a5a"},
    Outcome.SOLD_OUT: {"facecolor": "#dde1e5"},
    Outcome.CONFLICT: {"facecolor": "#f2c14e", "hatch": "////"},
    Outcome.FAILED: {"facecolor": "#8a5a3b", "hatch": "\\\\\\\\"},
    Outcome.UNAVAILABLE: {"facecolor": "#a9b8c9", "hatch": "...."},
    Outcome.UNKNOWN: {"facecolor": "white", "hatch": "xxxx"},
    Outcome.REFUNDED: {"facecolor": "#c9d6c3", "hatch": "----"},
}
CAUSE_LOOKS: Final[dict[str, dict[str, Any]]] = {
    Cause.STALE_VERSION: {"facecolor": "#3b4a5a"},
    Cause.CONCURRENT_UPDATE: {"facecolor": "#a9b8c9"},
    Cause.SERIALIZATION: {"facecolor": "#dde1e5", "hatch": "////"},
    Cause.DEADLOCK: {"facecolor": "#7d6f5f", "hatch": "xxxx"},
    Cause.LOCK_TIMEOUT: {"facecolor": "#d9cfc0", "hatch": "\\\\\\\\"},
    Cause.POOL_TIMEOUT: {"facecolor": "white", "hatch": "...."},
}
_OUTCOME_COLUMNS: Final = {
    Outcome.SOLD: "sales",
    Outcome.SOLD_OUT: "sold_out",
    Outcome.CONFLICT: "conflicts",
    Outcome.FAILED: "failed",
    Outcome.UNAVAILABLE: "unavailable",
    Outcome.UNKNOWN: "unknown",
}


def tickets_sold(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Bars of the median of tickets sold; oversold tickets in red."""
    rows = summarise(measures)
    subtitle = f"{key_text(rows, 'Bar', interval=False)} Red: oversold."
    chart, axes = row_sheet(rows, captions.tickets_sold(measures).title, subtitle, conditions)
    for place, row in with_positions(rows):
        look = style_for(row["strategy"])
        trials = matching_rows(measures, row)
        over = float(trials["oversold"].median())
        axes.barh(place, row["sold"] - over, BAR, color=look.color, hatch=look.hatch, edgecolor="white", linewidth=0)
        axes.barh(place, over, BAR, left=row["sold"] - over, color=RED, linewidth=0, gid="oversold")
        axes.plot([row["seats"]] * 2, [place - 0.5, place + 0.5], color=INK, linewidth=1.4, gid="seats")
        dots(axes, place, trials["tickets"])
        text, color = _sold_text(row, over)
        value_label(axes, place, text, color)
    heading(axes, "median (oversold)")
    _name_seats(axes, rows, most := max(rows["seats"].max(), measures["tickets"].max()))
    axes.set_xlim(0, most * 1.04)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("tickets in the database after the trial")
    return chart


def outcomes(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Stacked shares of how purchases ended, with numbers of conflicts and retries."""
    rows = summarise(measures)
    subtitle = (
        "Shares of all purchases of all repeats. Right: share of purchases given up after conflicts, not counting "
        "'sold out' answers; retries per sale."
    )
    counts = rows[list(_OUTCOME_COLUMNS.values())].astype(float)
    shares = counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0).fillna(0) * 100
    shown = [outcome for outcome, column in _OUTCOME_COLUMNS.items() if counts[column].any()]
    legend_in = (1 + ceil(len(shown) / LEGEND_COLUMNS)) * LEGEND_LINE_IN
    title = captions.outcomes(measures).title
    chart, axes = row_sheet(rows, title, subtitle, conditions, legend_in=legend_in)
    conflict_share = captions.conflict_share(rows)
    for index, (place, row) in enumerate(with_positions(rows)):
        left = 0.0
        for outcome in shown:
            share = shares[_OUTCOME_COLUMNS[outcome]].iloc[index]
            axes.barh(place, share, BAR, left=left, edgecolor=MUTED, linewidth=0.5, **OUTCOME_LOOKS[outcome])
            left += share
        value_label(axes, place, f"{percent(conflict_share.iloc[index])} · {number(row['retries_per_sale'])}")
    heading(axes, "conflicts · retries per sale")
    handles = [Patch(edgecolor=MUTED, linewidth=0.5, label=spaced(each), **OUTCOME_LOOKS[each]) for each in shown]
    legend(chart, axes, handles, above_pt=HEADING_PT)  # with long names it is wider than the axes
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of all purchases, %")
    return chart


def retries(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Stacked bars of the retries per sale by their cause, of the rows that have any."""
    title = captions.retries(measures).title
    again = measures.groupby(list(GROUP))["retries"].transform("sum") > 0
    # Without any retry all rows are kept, so that the chart names the strategies.
    drawn = measures[again] if again.any() else measures
    rows = summarise(drawn)
    per_sale = rows[list(RETRIES.values())].astype(float).div(rows["sales"].where(rows["sales"] > 0), axis=0)
    shown = [cause for cause, column in RETRIES.items() if rows[column].any()]
    legend_in = (1 + ceil(len(shown) / LEGEND_COLUMNS)) * LEGEND_LINE_IN
    subtitle = f"Bar: all repeats together.{' Dot: one repeat.' if rows['repeats'].max() > 1 else ''}"
    subtitle += " Not drawn: rows without a retry." if len(drawn) < len(measures) else ""
    chart, axes = row_sheet(rows, title, subtitle, conditions, legend_in=legend_in)
    for index, (place, row) in enumerate(with_positions(rows)):
        left = 0.0
        for cause in shown:
            length = float(per_sale[RETRIES[cause]].fillna(0).iloc[index])
            axes.barh(place, length, BAR, left=left, edgecolor=MUTED, linewidth=0.5, gid=cause, **CAUSE_LOOKS[cause])
            left += length
        trials = matching_rows(measures, row)
        if len(trials) > 1:
            dots(axes, place, trials["retries"] / trials["sales"].where(trials["sales"] > 0))
        value_label(axes, place, captions.retries_text(row, trials))
    heading(axes, "retries per sale")
    handles = [Patch(edgecolor=MUTED, linewidth=0.5, label=spaced(each), **CAUSE_LOOKS[each]) for each in shown]
    legend(chart, axes, handles, above_pt=HEADING_PT)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("retries per sale")
    return chart


def _sold_text(row: pd.Series, over: float) -> tuple[str, str]:
    text = exact(row["sold"]) + (f" (+{exact(over)})" if over else "")
    if row["oversold"] > over:
        text += f", at worst +{number(row['oversold'])}"
    return text, RED if row["oversold"] else INK


def _name_seats(axes: Axes, rows: pd.DataFrame, most: float) -> None:
    """The number of seats above their line, on the side that is free."""
    seats = rows["seats"].iloc[0]
    right = seats > most / 2
    name = "seats" if has_multiple(rows["seats"]) else pluralize(seats, "seat")
    axes.annotate(
        name, (seats, 1), xycoords=("data", "axes fraction"),
        xytext=(2 if right else -2, 3), textcoords="offset points", ha="right" if right else "left", fontsize=8.5,
    )  # fmt: skip


_BELOW: Final = 0.28
"""The distance of the repeats below the mark of their median, which would hide one of them."""
_PERCENTILE_LOOKS: Final = {"p50_ms": ("o", -0.22), "p95_ms": ("D", 0.0), "p99_ms": (">", 0.22)}


def throughput(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The median of the sales per second, with the range of the repeats and each repeat."""
    rows = summarise(measures)
    subtitle = key_text(rows, "Mark", interval=True)
    chart, axes = row_sheet(rows, captions.throughput(measures).title, subtitle, conditions)
    for place, row in with_positions(rows):
        look = style_for(row["strategy"])
        interval(axes, place, row["per_s_min"], row["per_s_max"], look.color)
        mark(axes, place, row["per_s"], look.color, look.marker)
        dots(axes, place + _BELOW, matching_rows(measures, row)["purchases_per_s"])
        value_label(axes, place, captions.rate_text(row))
    heading(axes, "median (least to most)")
    value_axis(axes, measures, ["purchases_per_s"], "sales/s")
    return chart


def latency(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The medians of p50, p95 and p99, each with the range of the repeats."""
    rows = summarise(measures)
    subtitle = f"{key_text(rows, 'Mark', interval=True, dot=False)} Purchases sold or given up after conflicts."
    chart, axes = row_sheet(
        rows, captions.latency(measures).title, subtitle, conditions, row_in=ROW_IN * 1.25, legend_in=LEGEND_LINE_IN
    )
    for place, row in with_positions(rows):
        look, trials = style_for(row["strategy"]), matching_rows(measures, row)
        for column, (marker, offset) in _PERCENTILE_LOOKS.items():
            values = trials[column].dropna()
            if values.empty:
                continue
            y = place + offset
            interval(axes, y, values.min(), values.max(), look.color)
            mark(axes, y, row[column], look.color, marker)
        value_label(axes, place, " / ".join(number(row[column]) for column in _PERCENTILE_LOOKS))
    heading(axes, "p50 / p95 / p99, ms")
    legend(chart, axes, [_key(spaced(column)[:3], MUTED, marker) for column, (marker, _) in _PERCENTILE_LOOKS.items()])
    value_axis(axes, measures, list(_PERCENTILE_LOOKS), "latency, ms")
    return chart


def wasted(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The median of the share of wasted attempts, with the range of the repeats and each repeat."""
    measures = measures.assign(wasted=summary.wasted(measures))
    rows = summarise(measures)
    shares = summary.spread(measures, "wasted")
    subtitle = f"{key_text(rows, 'Mark', interval=True)} {captions.WASTED}"
    chart, axes = row_sheet(rows, captions.wasted(measures).title, subtitle, conditions)
    for (place, row), (_, share) in zip(with_positions(rows), shares.iterrows(), strict=True):
        look = style_for(row["strategy"])
        interval(axes, place, share["least"], share["most"], look.color)
        mark(axes, place, share["median"], look.color, look.marker)
        dots(axes, place + _BELOW, matching_rows(measures, row)["wasted"])
        value_label(axes, place, captions.share_text(share))
    heading(axes, "median (least to most)")
    axes.set_xlim(0, 100)
    axes.set_xlabel("wasted attempts, %")
    return chart


_LINE_IN: Final = 0.2
_BETWEEN_IN: Final = 0.16
_RUN_LENGTH: Final = 26
# Markers and lightness, because colours identify strategies.
_MARKERS: Final = ("o", "D", "s", "^", "v", "P", "X")


def comparison(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Sales per second of each run with the range of its repeats, and their ratio to the first run.

    The mark is the geometric mean, so that the numbers in the chart give the ratio that is compared.
    """
    rows = summarise(measures)
    looks = _looks(list(measures["run"].unique()))
    row_in = _BETWEEN_IN + _LINE_IN * len(looks)
    subtitle = key_text(captions.rates_by_run(measures), "Mark", interval=True, middle="geometric mean")
    subtitle += " Right: its value, and its ratio to the first run."
    title = captions.comparison(measures).title
    chart, axes = row_sheet(rows, title, subtitle, conditions, row_in=row_in, legend_in=key_height_in(len(looks)))
    key_above(chart, [_key(truncate_middle(run, _RUN_LENGTH), *look) for run, look in looks.items()])
    changes = captions.changes_of(measures)
    for place, row in with_positions(rows):
        for line, (run, look) in enumerate(looks.items()):
            y = place + (line - (len(looks) - 1) / 2) * _LINE_IN / row_in
            rates = matching_rows(measures[measures["run"] == run], row)["purchases_per_s"]
            if not rates.empty:
                middle, change = geometric_mean(rates.tolist()), matching_rows(changes[changes["run"] == run], row)
                _draw_run(axes, y, rates, middle, look)
                value_label(axes, y, number(middle) + _change_text(change))
    heading(axes, "mean · × first run")
    value_axis(axes, measures, ["purchases_per_s"], "sales/s")
    return chart


def _looks(runs: list[str]) -> dict[str, tuple[str, str]]:
    """The colour and the marker of each run; the last is the darkest."""
    markers = [_MARKERS[place % len(_MARKERS)] for place in range(len(runs))]
    return dict(zip(runs, zip(shades(INK, len(runs)), markers, strict=True), strict=True))


def _draw_run(axes: Axes, place: float, rates: pd.Series[float], middle: float, look: tuple[str, str]) -> None:
    color, marker = look
    interval(axes, place, rates.min(), rates.max(), color)
    mark(axes, place, middle, color, marker)
    if len(rates) > 1:
        dots(axes, place, rates)


def _change_text(change: pd.DataFrame) -> str:
    """The ratio to the first run, and whether it is clear."""
    if change.empty:
        return ""
    row = change.iloc[0]
    return f" · × {number(row['ratio'])}" + ("" if row["clear"] else ", unclear")


def _key(name: str, color: str, marker: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=color, markersize=6.5, label=name)
