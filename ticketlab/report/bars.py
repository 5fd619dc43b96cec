"""Charts of bars, a row per strategy and setting: tickets sold, outcomes, retries. Judges nothing."""

from math import ceil
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ticketlab.history.recording import RETRIES
from ticketlab.outcomes import Cause, Outcome
from ticketlab.report import findings
from ticketlab.report.grouping import GROUP, matching_rows
from ticketlab.report.layout import (
    BAR,
    HEADING_PT,
    LEGEND_COLUMNS,
    LEGEND_LINE_IN,
    dots,
    heading,
    key_text,
    legend,
    row_sheet,
    spaced,
    value_label,
    with_positions,
)
from ticketlab.report.phrases import exact, has_multiple, number, percent, pluralize
from ticketlab.report.style import INK, MUTED, RED, THOUSANDS, Chart, style_for
from ticketlab.report.summary import summarise

# Neutral tones and hatches: colours tell strategies apart, and red is kept for what was oversold.
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
    """Bars of the median of tickets sold; what was sold beyond the seats in red."""
    rows = summarise(measures)
    subtitle = f"{key_text(rows, 'Bar', interval=False)} Red: tickets sold beyond the seats."
    chart, axes = row_sheet(rows, findings.tickets_sold(measures).title, subtitle, conditions)
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
    heading(axes, "median (beyond the seats)")
    _name_seats(axes, rows, most := max(rows["seats"].max(), measures["tickets"].max()))
    axes.set_xlim(0, most * 1.04)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("tickets in the database when the trial was over")
    return chart


def outcomes(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Stacked shares of how purchases ended, with conflicts and retries written beside them."""
    rows = summarise(measures)
    subtitle = (
        "Shares of all purchases of all repeats. Beside: purchases given up to conflicts, as a share of those not "
        "refused as sold out; retries per sale."
    )
    counts = rows[list(_OUTCOME_COLUMNS.values())].astype(float)
    shares = counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0).fillna(0) * 100
    shown = [outcome for outcome, column in _OUTCOME_COLUMNS.items() if counts[column].any()]
    legend_in = (1 + ceil(len(shown) / LEGEND_COLUMNS)) * LEGEND_LINE_IN
    title = findings.outcomes(measures).title
    chart, axes = row_sheet(rows, title, subtitle, conditions, legend_in=legend_in)
    conflict_share = findings.conflict_share(rows)
    for index, (place, row) in enumerate(with_positions(rows)):
        left = 0.0
        for outcome in shown:
            share = shares[_OUTCOME_COLUMNS[outcome]].iloc[index]
            axes.barh(place, share, BAR, left=left, edgecolor=MUTED, linewidth=0.5, **OUTCOME_LOOKS[outcome])
            left += share
        value_label(axes, place, f"{percent(conflict_share.iloc[index])} · {number(row['retries_per_sale'])}")
    heading(axes, "conflicts · retries per sale")
    handles = [Patch(edgecolor=MUTED, linewidth=0.5, label=spaced(each), **OUTCOME_LOOKS[each]) for each in shown]
    legend(chart, axes, handles, above_pt=HEADING_PT)  # where names are long, it is wider than the axes
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of all purchases, %")
    return chart


def retries(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Stacked bars of the retries per sale by their cause, of the rows that had any; their sum beside them."""
    title = findings.retries(measures).title
    again = measures.groupby(list(GROUP))["retries"].transform("sum") > 0
    # Where nobody tried again all keep their empty rows: a chart of nothing would not say of whom.
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
        value_label(axes, place, findings.retries_text(row, trials))
    heading(axes, "retries per sale")
    handles = [Patch(edgecolor=MUTED, linewidth=0.5, label=spaced(each), **CAUSE_LOOKS[each]) for each in shown]
    legend(chart, axes, handles, above_pt=HEADING_PT)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("attempts that were followed by another, per sale")
    return chart


def _sold_text(row: pd.Series, over: float) -> tuple[str, str]:
    text = exact(row["sold"]) + (f" (+{exact(over)})" if over else "")
    if row["oversold"] > over:
        text += f", at worst +{number(row['oversold'])}"
    return text, RED if row["oversold"] else INK


def _name_seats(axes: Axes, rows: pd.DataFrame, most: float) -> None:
    """The seats' number over their line, on the side where nothing else stands."""
    seats = rows["seats"].iloc[0]
    right = seats > most / 2
    name = "seats" if has_multiple(rows["seats"]) else pluralize(seats, "seat")
    axes.annotate(
        name, (seats, 1), xycoords=("data", "axes fraction"),
        xytext=(2 if right else -2, 3), textcoords="offset points", ha="right" if right else "left", fontsize=8.5,
    )  # fmt: skip
