"""The charts of a report, each usable alone. Frames in, figures out: nothing is measured or judged here.

`measures` has a row a trial: `trial`, `strategy`, `safe`, `buyers`, `pool_size`, `repeat`, the fields of
`ticketlab.history.measures.Measures`, and `verdict`. `stock` has `strategy`, `repeat`, `buyers`, `pool_size`,
`seconds` and `left`. `conditions` is the line that says under which the numbers hold; it stands at the foot of the
chart. Times are in the unit that a column's name ends in. Every chart of an empty frame says that it is empty.
"""

from collections.abc import Collection
from typing import Final

import pandas as pd

from ticketlab.report import bars, curves, findings, lines, marks
from ticketlab.report.comparison import comparison as draw_comparison
from ticketlab.report.findings import Caption, has_timeline
from ticketlab.report.grouping import varying_columns
from ticketlab.report.phrases import NO_TRIALS
from ticketlab.report.style import MUTED, Chart, new_chart, with_style
from ticketlab.report.timeline import timeline as draw_timeline

__all__ = [
    "captions_of",
    "comparison",
    "controls_of",
    "figures",
    "has_timeline",
    "latency",
    "outcomes",
    "retries",
    "stock_over_time",
    "throughput",
    "tickets_sold",
    "timeline",
    "wasted",
]


@with_style
def tickets_sold(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Tickets sold against the seats there were; tickets beyond the seats are red."""
    return _empty(conditions) if measures.empty else bars.tickets_sold(measures, conditions=conditions)


@with_style
def stock_over_time(stock: pd.DataFrame, conditions: str = "", *, controls: Collection[str] = ()) -> Chart:
    """Tickets left over time, a curve a trial; `controls` are the strategies to be marked as such."""
    return (
        _empty(conditions) if stock.empty else curves.stock_over_time(stock, conditions=conditions, controls=controls)
    )


@with_style
def outcomes(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """How purchases ended, as shares of them all."""
    return _empty(conditions) if measures.empty else bars.outcomes(measures, conditions=conditions)


@with_style
def throughput(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Purchases sold per second: a row a strategy, or a line over the buyers or the pool where they differ."""
    if measures.empty:
        return _empty(conditions)
    chart = lines.throughput if varying_columns(measures) else marks.throughput
    return chart(measures, conditions=conditions)


@with_style
def latency(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """The latency percentiles in milliseconds: a row a strategy, or lines where the buyers or the pool differ."""
    if measures.empty:
        return _empty(conditions)
    chart = lines.latency if varying_columns(measures) else marks.latency
    return chart(measures, conditions=conditions)


@with_style
def retries(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Attempts that were followed by another, per sale and by their cause."""
    return _empty(conditions) if measures.empty else bars.retries(measures, conditions=conditions)


@with_style
def wasted(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """The share of attempts made for nothing though seats were left; see `summary.wasted`."""
    if measures.empty:
        return _empty(conditions)
    chart = lines.wasted if varying_columns(measures) else marks.wasted
    return chart(measures, conditions=conditions)


@with_style
def comparison(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Purchases sold per second of several runs, with one more column `run`: a mark a run in each row.

    Beside them stands how many times the first run's rate each is. `conditions` are those of all runs, in one text.
    """
    return _empty(conditions) if measures.empty else draw_comparison(measures, conditions=conditions)


@with_style
def timeline(
    operations: pd.DataFrame, conditions: str = "", *, title: str = "", crashes_ns: Collection[int] = ()
) -> Chart:
    """Up to 20 operations as bars from call to answer, with the versions that they made or saw.

    `operations` are rows of a history or of a verdict's evidence, with as many of their columns as there are. Where
    they have no times, as `has_timeline` says, there is nothing to draw, and the chart says so. A column `wrong` says
    of each what is wrong with it, in a few words or none: those with words are marked. `title` stands in the place of
    what the operations show by themselves; `crashes_ns` are the instants at which the server was crashed.
    """
    if not has_timeline(operations):
        return _empty(conditions, findings.timeline(operations.head(0)).title)
    return draw_timeline(operations, conditions=conditions, title=title, crashes_ns=crashes_ns)


def figures(measures: pd.DataFrame, stock: pd.DataFrame, conditions: str = "") -> dict[str, Chart]:
    """All charts by name, in the order of the report; of retries and of waste only where there were any."""
    controls = controls_of(measures)
    charts = {
        "tickets_sold": tickets_sold(measures, conditions),
        "stock_over_time": stock_over_time(stock, conditions, controls=controls),
        "outcomes": outcomes(measures, conditions),
        "throughput": throughput(measures, conditions),
        "latency": latency(measures, conditions),
    }
    if measures["retries"].any():
        charts["retries"] = retries(measures, conditions)
    if _any_wasted(measures):
        charts["wasted"] = wasted(measures, conditions)
    return charts


def controls_of(measures: pd.DataFrame) -> set[str]:
    """The names of the strategies that are known to be unsafe."""
    return set(measures.loc[~measures["safe"].astype(bool), "strategy"])


def captions_of(measures: pd.DataFrame, stock: pd.DataFrame) -> dict[str, Caption]:
    """What each chart shows, by the names of `figures`: its title, its caption and its alt text."""
    found = {
        "tickets_sold": findings.tickets_sold(measures),
        "stock_over_time": findings.stock_over_time(stock),
        "outcomes": findings.outcomes(measures),
        "throughput": findings.throughput(measures),
        "latency": findings.latency(measures),
    }
    if measures["retries"].any():
        found["retries"] = findings.retries(measures)
    if _any_wasted(measures):
        found["wasted"] = findings.wasted(measures)
    return found


def _any_wasted(measures: pd.DataFrame) -> bool:
    return bool(measures[["retries", "conflicts"]].any(axis=None))


_EMPTY_IN: Final = 0.6


def _empty(conditions: str, title: str = NO_TRIALS) -> Chart:
    """A chart that says that there is nothing to draw."""
    chart = new_chart(title=title, subtitle="", conditions=conditions, body_in=_EMPTY_IN)
    chart.text(0.5, 0.5, "no data", ha="center", va="center", color=MUTED)
    return chart
