"""The charts of a report, each usable alone. Frames in, figures out; measures and judges nothing.

`measures` has one row per trial: `trial`, `strategy`, `safe`, `buyers`, `pool_size`, `repeat`, the fields of
`ticketlab.history.measures.Measures`, and `verdict`. `stock` has `strategy`, `repeat`, `buyers`, `pool_size`,
`seconds` and `left`. `conditions` is the line at the foot of the chart with the conditions under which the numbers
hold. The name of a time column ends in its unit. The chart of an empty frame says that it is empty.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import pandas as pd

from ticketlab.report import _bars, _lines, captions, curves
from ticketlab.report._style import MUTED, Chart, new_chart, with_style
from ticketlab.report._timeline import timeline as draw_timeline
from ticketlab.report.captions import captions_of, has_timeline
from ticketlab.report.phrases import NO_TRIALS, varying_columns

__all__ = [
    "captions_of",
    "comparison",
    "controls_of",
    "drawings",
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
    """Tickets sold against the seats; oversold tickets are red."""
    return _empty(conditions) if measures.empty else _bars.tickets_sold(measures, conditions=conditions)


@with_style
def stock_over_time(stock: pd.DataFrame, conditions: str = "", *, controls: Collection[str] = ()) -> Chart:
    """Tickets left over time, one curve per trial; `controls` are the strategies to mark as controls."""
    return (
        _empty(conditions) if stock.empty else curves.stock_over_time(stock, conditions=conditions, controls=controls)
    )


@with_style
def outcomes(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """How purchases ended, as shares of all purchases."""
    return _empty(conditions) if measures.empty else _bars.outcomes(measures, conditions=conditions)


@with_style
def throughput(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Sales per second: one row per strategy, or lines over the buyers or the pool if these vary."""
    if measures.empty:
        return _empty(conditions)
    chart = _lines.throughput if varying_columns(measures) else _bars.throughput
    return chart(measures, conditions=conditions)


@with_style
def latency(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Latency percentiles in ms: one row per strategy, or lines over the buyers or the pool if these vary."""
    if measures.empty:
        return _empty(conditions)
    chart = _lines.latency if varying_columns(measures) else _bars.latency
    return chart(measures, conditions=conditions)


@with_style
def retries(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Retries per sale by their cause."""
    return _empty(conditions) if measures.empty else _bars.retries(measures, conditions=conditions)


@with_style
def wasted(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """The share of wasted attempts; see `summary.wasted`."""
    if measures.empty:
        return _empty(conditions)
    chart = _lines.wasted if varying_columns(measures) else _bars.wasted
    return chart(measures, conditions=conditions)


@with_style
def comparison(measures: pd.DataFrame, conditions: str = "") -> Chart:
    """Sales per second of several runs with their ratio to the first run: one mark per run in each row.

    `measures` also has the column `run`. `conditions` are those of all runs, in one text.
    """
    return _empty(conditions) if measures.empty else _bars.comparison(measures, conditions=conditions)


@with_style
def timeline(
    operations: pd.DataFrame, conditions: str = "", *, title: str = "", crashes_ns: Collection[int] = ()
) -> Chart:
    """Up to 20 operations as bars from call to answer, with the versions that they made or saw.

    Args:
        operations: rows of a history or of a verdict's evidence, with any of their columns. Rows without times (see
            `has_timeline`) give an empty chart. A column `wrong` has a few words for each row with something wrong:
            these rows are marked.
        conditions: the line at the foot of the chart.
        title: by default what the operations show by themselves.
        crashes_ns: when the server crashed, in ns since the start of the trial.
    """
    if not has_timeline(operations):
        return _empty(conditions, captions.timeline(operations.head(0)).title)
    return draw_timeline(operations, conditions=conditions, title=title, crashes_ns=crashes_ns)


def figures(measures: pd.DataFrame, stock: pd.DataFrame, conditions: str = "") -> dict[str, Chart]:
    """All charts by name, in the order of the report; those of retries and of wasted attempts only if there are any."""
    return {name: draw() for name, draw in drawings(measures, stock, conditions).items()}


def drawings(measures: pd.DataFrame, stock: pd.DataFrame, conditions: str = "") -> dict[str, Callable[[], Chart]]:
    """The functions that draw `figures`, by name."""

    def of_trials(chart: Callable[[pd.DataFrame, str], Chart]) -> Callable[[], Chart]:
        return partial(chart, measures, conditions)

    charts: dict[str, Callable[[], Chart]] = {
        "tickets_sold": of_trials(tickets_sold),
        "stock_over_time": partial(stock_over_time, stock, conditions, controls=controls_of(measures)),
        "outcomes": of_trials(outcomes),
        "throughput": of_trials(throughput),
        "latency": of_trials(latency),
    }
    if measures["retries"].any():
        charts["retries"] = of_trials(retries)
    if measures[["retries", "conflicts"]].any(axis=None):
        charts["wasted"] = of_trials(wasted)
    return charts


def controls_of(measures: pd.DataFrame) -> set[str]:
    """The names of the strategies that are known to be unsafe."""
    return set(measures.loc[~measures["safe"].astype(bool), "strategy"])


_EMPTY_IN: Final = 0.6


def _empty(conditions: str, title: str = NO_TRIALS) -> Chart:
    """A chart that says that there is nothing to draw."""
    chart = new_chart(title=title, subtitle="", conditions=conditions, body_in=_EMPTY_IN)
    chart.text(0.5, 0.5, "no data", ha="center", va="center", color=MUTED)
    return chart
