"""Charts of marks with their intervals, a row per strategy and setting: throughput, latency, waste. Judges nothing."""

from typing import Final

import pandas as pd
from matplotlib.lines import Line2D

from ticketlab.report import findings, summary
from ticketlab.report.grouping import matching_rows
from ticketlab.report.layout import (
    LEGEND_LINE_IN,
    ROW_IN,
    dots,
    heading,
    interval,
    key_text,
    legend,
    mark,
    row_sheet,
    spaced,
    value_axis,
    value_label,
    with_positions,
)
from ticketlab.report.phrases import number
from ticketlab.report.style import MUTED, Chart, style_for

_BELOW: Final = 0.28
"""The repeats stand so far below the mark of their median, which would hide one of them."""
_PERCENTILE_LOOKS: Final = {"p50_ms": ("o", -0.22), "p95_ms": ("D", 0.0), "p99_ms": (">", 0.22)}


def throughput(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The median of the purchases per second, with the interval over the repeats and each repeat."""
    rows = summary.summarise(measures)
    subtitle = key_text(rows, "Mark", interval=True)
    chart, axes = row_sheet(rows, findings.throughput(measures).title, subtitle, conditions)
    for place, row in with_positions(rows):
        look = style_for(row["strategy"])
        interval(axes, place, row["per_s_min"], row["per_s_max"], look.color)
        mark(axes, place, row["per_s"], look.color, look.marker)
        dots(axes, place + _BELOW, matching_rows(measures, row)["purchases_per_s"])
        value_label(axes, place, findings.rate_text(row))
    heading(axes, "median (least to most)")
    value_axis(axes, measures, ["purchases_per_s"], "purchases sold per second")
    return chart


def latency(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The medians of p50, p95 and p99, each with its interval over the repeats."""
    rows = summary.summarise(measures)
    subtitle = f"{key_text(rows, 'Mark', interval=True, dot=False)} Purchases sold, or given up after conflicts."
    chart, axes = row_sheet(
        rows, findings.latency(measures).title, subtitle, conditions, row_in=ROW_IN * 1.25, legend_in=LEGEND_LINE_IN
    )
    for place, row in with_positions(rows):
        look = style_for(row["strategy"])
        for column, (marker, offset) in _PERCENTILE_LOOKS.items():
            values = matching_rows(measures, row)[column].dropna()
            if values.empty:
                continue
            y = place + offset
            interval(axes, y, values.min(), values.max(), look.color)
            mark(axes, y, row[column], look.color, marker)
        value_label(axes, place, " / ".join(number(row[column]) for column in _PERCENTILE_LOOKS))
    heading(axes, "p50 / p95 / p99, ms")
    legend(chart, axes, [_key(marker, spaced(column)[:3]) for column, (marker, _) in _PERCENTILE_LOOKS.items()])
    value_axis(axes, measures, list(_PERCENTILE_LOOKS), "latency, ms")
    return chart


def wasted(measures: pd.DataFrame, *, conditions: str) -> Chart:
    """The median of the share of attempts made for nothing, with the interval over the repeats and each repeat."""
    measures = measures.assign(wasted=summary.wasted(measures))
    rows = summary.summarise(measures)
    shares = summary.spread(measures, "wasted")
    subtitle = f"{key_text(rows, 'Mark', interval=True)} {findings.WASTED}"
    chart, axes = row_sheet(rows, findings.wasted(measures).title, subtitle, conditions)
    for (place, row), (_, share) in zip(with_positions(rows), shares.iterrows(), strict=True):
        look = style_for(row["strategy"])
        interval(axes, place, share["least"], share["most"], look.color)
        mark(axes, place, share["median"], look.color, look.marker)
        dots(axes, place + _BELOW, matching_rows(measures, row)["wasted"])
        value_label(axes, place, findings.share_text(share))
    heading(axes, "median (least to most)")
    axes.set_xlim(0, 100)
    axes.set_xlabel("attempts made for nothing, %")
    return chart


def _key(marker: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=MUTED, markersize=6.5, label=label)
