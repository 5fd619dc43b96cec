"""Charts with a row per strategy and setting: tickets sold, outcomes, throughput, latency.

Knows the columns of measures; neither judges nor measures. The numbers stand in a column of their own beside the
rows, so that they never lie on what is drawn.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from ticketlab.outcomes import Outcome
from ticketlab.report import findings
from ticketlab.report.setting import alike, setting_parts, varied
from ticketlab.report.style import INK, MUTED, RED, THOUSANDS, Chart, elided, far_apart, log_axis, look_of, sheet
from ticketlab.report.summary import summarise
from ticketlab.report.words import counted, exact, number, percent, several, shown_name

_ROW_IN: Final = 0.34
_AXIS_IN: Final = 0.8
_LEGEND_LINE_IN: Final = 0.2
_LEGEND_COLUMNS: Final = 3
_HEADING_PT: Final = 14.0
_BAR: Final = 0.62
_BELOW: Final = 0.28
"""The repeats stand so far below the mark of their median, which would hide one of them."""
_NAME_LENGTH: Final = 30

# Neutral tones and hatches: colours tell strategies apart, and red is kept for what was oversold.
OUTCOME_LOOKS: Final[dict[str, dict[str, Any]]] = {
    Outcome.SOLD: {"facecolor": "#3b4a5a"},
    Outcome.SOLD_OUT: {"facecolor": "#dde1e5"},
    Outcome.CONFLICT: {"facecolor": "#f2c14e", "hatch": "////"},
    Outcome.FAILED: {"facecolor": "#8a5a3b", "hatch": "\\\\\\\\"},
    Outcome.UNAVAILABLE: {"facecolor": "#a9b8c9", "hatch": "...."},
    Outcome.UNKNOWN: {"facecolor": "white", "hatch": "xxxx"},
}
_OUTCOME_COLUMNS: Final = {
    Outcome.SOLD: "sales",
    Outcome.SOLD_OUT: "sold_out",
    Outcome.CONFLICT: "conflicts",
    Outcome.FAILED: "failed",
    Outcome.UNAVAILABLE: "unavailable",
    Outcome.UNKNOWN: "unknown",
}
_PERCENTILE_LOOKS: Final = {"p50_ms": ("o", -0.22), "p95_ms": ("D", 0.0), "p99_ms": (">", 0.22)}


def tickets_sold(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """Bars of the median of tickets sold; what was sold beyond the seats in red."""
    rows = summarise(measures)
    subtitle = f"{_key_text(rows, 'Bar', interval=False)} Red: tickets sold beyond the seats."
    chart, axes = _sheet(rows, findings.tickets_sold(measures).title, subtitle, conditions)
    for place, row in _placed(rows):
        look = look_of(row["strategy"])
        trials = alike(measures, row)
        over = float(trials["oversold"].median())
        axes.barh(place, row["sold"] - over, _BAR, color=look.color, hatch=look.hatch, edgecolor="white", linewidth=0)
        axes.barh(place, over, _BAR, left=row["sold"] - over, color=RED, linewidth=0, gid="oversold")
        axes.plot([row["seats"]] * 2, [place - 0.5, place + 0.5], color=INK, linewidth=1.4, gid="seats")
        _dots(axes, place, trials["tickets"])
        text, color = _sold_text(row, over)
        _beside(axes, place, text, color)
    _heading(axes, "median (beyond the seats)")
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
    legend_in = (1 + ceil(len(shown) / _LEGEND_COLUMNS)) * _LEGEND_LINE_IN
    title = findings.outcomes(measures).title
    chart, axes = _sheet(rows, title, subtitle, conditions, legend_in=legend_in)
    conflict_share = findings.conflict_share(rows)
    for index, (place, row) in enumerate(_placed(rows)):
        left = 0.0
        for outcome in shown:
            share = shares[_OUTCOME_COLUMNS[outcome]].iloc[index]
            axes.barh(place, share, _BAR, left=left, edgecolor=MUTED, linewidth=0.5, **OUTCOME_LOOKS[outcome])
            left += share
        _beside(axes, place, f"{percent(conflict_share.iloc[index])} · {number(row['retries_per_sale'])}")
    _heading(axes, "conflicts · retries per sale")
    handles = [Patch(edgecolor=MUTED, linewidth=0.5, label=_spaced(each), **OUTCOME_LOOKS[each]) for each in shown]
    _legend(chart, axes, handles, above_pt=_HEADING_PT)  # where names are long, it is wider than the axes
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of all purchases, %")
    return chart


def throughput(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The median of the purchases per second, with the interval over the repeats and each repeat."""
    rows = summarise(measures)
    subtitle = _key_text(rows, "Mark", interval=True)
    chart, axes = _sheet(rows, findings.throughput(measures).title, subtitle, conditions)
    for place, row in _placed(rows):
        look = look_of(row["strategy"])
        _interval(axes, place, row["per_s_min"], row["per_s_max"], look.color)
        _mark(axes, place, row["per_s"], look.color, look.marker)
        _dots(axes, place + _BELOW, alike(measures, row)["purchases_per_s"])
        _beside(axes, place, findings.rate_text(row))
    _heading(axes, "median (least to most)")
    _value_axis(axes, measures, ["purchases_per_s"], "purchases sold per second")
    return chart


def latency(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The medians of p50, p95 and p99, each with its interval over the repeats."""
    rows = summarise(measures)
    subtitle = f"{_key_text(rows, 'Mark', interval=True, dot=False)} Purchases sold, or given up after conflicts."
    chart, axes = _sheet(
        rows, findings.latency(measures).title, subtitle, conditions, row_in=_ROW_IN * 1.25, legend_in=_LEGEND_LINE_IN
    )
    for place, row in _placed(rows):
        look = look_of(row["strategy"])
        for column, (marker, offset) in _PERCENTILE_LOOKS.items():
            values = alike(measures, row)[column].dropna()
            if values.empty:
                continue
            y = place + offset
            _interval(axes, y, values.min(), values.max(), look.color)
            _mark(axes, y, row[column], look.color, marker)
        _beside(axes, place, " / ".join(number(row[column]) for column in _PERCENTILE_LOOKS))
    _heading(axes, "p50 / p95 / p99, ms")
    _legend(chart, axes, [_key(marker, _spaced(column)[:3]) for column, (marker, _) in _PERCENTILE_LOOKS.items()])
    _value_axis(axes, measures, list(_PERCENTILE_LOOKS), "latency, ms")
    return chart


def _sheet(
    rows: pd.DataFrame, title: str, subtitle: str, conditions: str, *, row_in: float = _ROW_IN, legend_in: float = 0
) -> tuple[Chart, Axes]:
    """An empty chart with a named row for each row of the summary, the first on top."""
    places = [place for place, _ in _placed(rows)]
    body_in = _AXIS_IN + legend_in + row_in * (max(places, default=0) + 1)
    chart = sheet(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    axes: Axes = chart.subplots()
    axes.set_yticks(places, labels=_names(rows))
    axes.set_ylim(max(places, default=0) + 0.6, -0.6)
    axes.grid(visible=False, axis="y")
    return chart, axes


def _placed(rows: pd.DataFrame) -> Iterable[tuple[float, pd.Series]]:
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


def _key_text(rows: pd.DataFrame, mark: str, *, interval: bool, dot: bool = True) -> str:
    """What a mark, its line and the dots stand for. One repeat has no median, and no spread to be shown."""
    least, most = rows["repeats"].min(), rows["repeats"].max()
    if most == 1:
        return f"{mark}: the only repeat; it shows no spread."
    repeats = counted(most, "repeat") if least == most else f"{least} to {most} repeats"
    return (
        f"{mark}: median of {repeats}."
        + (" Line: least to most of them." if interval else "")
        + (" Dot: one repeat." if dot else "")
    )


def _sold_text(row: pd.Series, over: float) -> tuple[str, str]:
    text = exact(row["sold"]) + (f" (+{exact(over)})" if over else "")
    if row["oversold"] > over:
        text += f", at worst +{number(row['oversold'])}"
    return text, RED if row["oversold"] else INK


def _name_seats(axes: Axes, rows: pd.DataFrame, most: float) -> None:
    """The seats' number over their line, on the side where nothing else stands."""
    seats = rows["seats"].iloc[0]
    right = seats > most / 2
    axes.annotate(
        "seats" if several(rows["seats"]) else counted(seats, "seat"), (seats, 1), xycoords=("data", "axes fraction"),
        xytext=(2 if right else -2, 3), textcoords="offset points", ha="right" if right else "left", fontsize=8.5,
    )  # fmt: skip


def _dots(axes: Axes, place: float, values: Iterable[float]) -> None:
    shown = list(values)
    axes.plot(
        shown, [place] * len(shown), linestyle="", marker="o", markersize=3.6, color=INK, markeredgecolor="white",
        markeredgewidth=0.6, gid="repeats", zorder=4, clip_on=False,
    )  # fmt: skip


def _interval(axes: Axes, place: float, least: float, most: float, color: str) -> None:
    # Cut off square: a cap would reach beyond the values.
    axes.plot([least, most], [place] * 2, color=color, linewidth=4, alpha=0.4, solid_capstyle="butt", gid="interval")


def _mark(axes: Axes, place: float, value: float, color: str, marker: str) -> None:
    axes.plot(value, place, marker=marker, markersize=8, color=color, markeredgecolor="white", clip_on=False)


def _beside(axes: Axes, place: float, text: str, color: str = INK) -> None:
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", color=color, fontsize=8.5)


def _heading(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (1.02, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", color=MUTED, fontsize=8
    )


def _legend(chart: Chart, axes: Axes, handles: list[Any], *, above_pt: float = 0) -> None:
    """The keys over the axes, `above_pt` points higher where a heading needs the line below them."""
    raised = axes.transAxes + ScaledTranslation(0, above_pt / 72, chart.dpi_scale_trans)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), bbox_transform=raised, ncols=_LEGEND_COLUMNS,
        borderaxespad=0.3,
    )  # fmt: skip


def _key(marker: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=MUTED, markersize=6.5, label=label)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _value_axis(axes: Axes, measures: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """An axis of what these columns hold, from 0, or a log one that is named as such."""
    values = measures[list(columns)].to_numpy(dtype=float)
    if far_apart(values.flat):
        log_axis(axes.xaxis, values.flat)
        axes.set_xlabel(f"{name} (log scale)")
        return
    most = np.nanmax(values) if np.isfinite(values).any() else 0
    axes.set_xlim(0, most * 1.06 or 1)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel(name)
