"""The charts of a report, each usable alone. Frames in, figures out: nothing is measured or judged here.

`measures` has a row a trial: `trial`, `strategy`, `safe`, `buyers`, `pool_size`, `repeat`, the fields of
`ticketlab.evidence.measures.Measures`, and `verdict`. `stock` has `strategy`, `repeat`, `buyers`, `pool_size`,
`seconds` and `left`. `conditions` is the line that says under which the numbers hold; it stands at the foot of the
chart. Times are in the unit that a column's name ends in. Every chart of an empty frame says that it is empty.
"""

from collections.abc import Collection
from typing import Final

import pandas as pd

from ticketlab.report import bars, curves, findings, lines, marks
from ticketlab.report.findings import Finding
from ticketlab.report.setting import varied
from ticketlab.report.style import MUTED, Chart, drawn, sheet
from ticketlab.report.words import NO_TRIALS


@drawn
def tickets_sold(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Tickets sold against the seats there were; tickets beyond the seats are red."""
    return _empty(conditions) if measures.empty else bars.tickets_sold(measures, conditions=conditions)


@drawn
def stock_over_time(stock: pd.DataFrame, conditions: str = "", *, controls: Collection[str] = ()) -> Chart:
    """Tickets left over time, a curve a trial; `controls` are the strategies to be marked as such."""
    return (
        _empty(conditions) if stock.empty else curves.stock_over_time(stock, conditions=conditions, controls=controls)
    )


@drawn
def outcomes(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """How purchases ended, as shares of them all."""
    return _empty(conditions) if measures.empty else bars.outcomes(measures, conditions=conditions)


@drawn
def throughput(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Purchases sold per second: a row a strategy, or a line over the buyers or the pool where they differ."""
    if measures.empty:
        return _empty(conditions)
    chart = lines.throughput if varied(measures) else marks.throughput
    return chart(measures, conditions=conditions)


@drawn
def latency(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """The latency percentiles in milliseconds: a row a strategy, or lines where the buyers or the pool differ."""
    if measures.empty:
        return _empty(conditions)
    chart = lines.latency if varied(measures) else marks.latency
    return chart(measures, conditions=conditions)


def figures(measures: pd.DataFrame, stock: pd.DataFrame, conditions: str = "") -> dict[str, Chart]:
    """All charts by name, in the order of the report."""
    controls = controls_of(measures)
    return {
        "tickets_sold": tickets_sold(measures, conditions),
        "stock_over_time": stock_over_time(stock, conditions, controls=controls),
        "outcomes": outcomes(measures, conditions),
        "throughput": throughput(measures, conditions),
        "latency": latency(measures, conditions),
    }


def controls_of(measures: pd.DataFrame) -> set[str]:
    """The names of the strategies that are known to be unsafe."""
    return set(measures.loc[~measures["safe"].astype(bool), "strategy"])


def captions(measures: pd.DataFrame, stock: pd.DataFrame) -> dict[str, Finding]:
    """What each chart shows, by the names of `figures`: its title, its caption and its alt text."""
    return {
        "tickets_sold": findings.tickets_sold(measures),
        "stock_over_time": findings.stock_over_time(stock),
        "outcomes": findings.outcomes(measures),
        "throughput": findings.throughput(measures),
        "latency": findings.latency(measures),
    }


_EMPTY_IN: Final = 0.6


def _empty(conditions: str) -> Chart:
    """A chart that says that there is nothing to draw."""
    chart = sheet(title=NO_TRIALS, subtitle="", conditions=conditions, body_in=_EMPTY_IN)
    chart.text(0.5, 0.5, "no data", ha="center", va="center", color=MUTED)
    return chart
