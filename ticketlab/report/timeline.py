"""The chart of a few operations as a timeline, from call to return. Knows the columns of a history; judges nothing."""

from collections.abc import Collection
from math import ceil
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ticketlab.evidence.history import NOT_SEEN
from ticketlab.outcomes import Outcome
from ticketlab.report import findings
from ticketlab.report.bars import OUTCOME_LOOKS
from ticketlab.report.rows import BAR, LEGEND_COLUMNS, LEGEND_LINE_IN, beside, legend, spaced
from ticketlab.report.style import INK, MUTED, THOUSANDS, Chart, sheet
from ticketlab.report.words import counted, number, several

_ROW_IN: Final = 0.26
_AXIS_IN: Final = 0.75


def timeline(operations: pd.DataFrame, *, conditions: str) -> Chart:
    """A bar an operation from its call to its return, in order of the versions; the same version is tied together."""
    drawn = _in_order(operations.head(findings.MOST_OPERATIONS))
    outcomes = [each for each in Outcome if each in set(drawn.get("outcome", ()))]
    body_in = _AXIS_IN + ceil(len(outcomes) / LEGEND_COLUMNS) * LEGEND_LINE_IN + _ROW_IN * len(drawn)
    title, subtitle = findings.timeline(drawn).title, _subtitle(drawn, of=len(operations))
    chart = sheet(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    axes: Axes = chart.subplots()
    _bars(axes, drawn)
    _tie(axes, drawn)
    axes.set_yticks(range(len(drawn)), labels=[_who(operation) for _, operation in drawn.iterrows()])
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("ms since the first of them was called")
    keys = [Patch(edgecolor=MUTED, linewidth=0.6, label=spaced(each), **OUTCOME_LOOKS[each]) for each in outcomes]
    if keys:
        legend(chart, axes, keys)
    return chart


def _in_order(operations: pd.DataFrame) -> pd.DataFrame:
    """By event and version, so that those who made the same stand together; else as they were called."""
    by = [column for column in ("event", "version", "invoked_ns") if column in operations]
    return operations.sort_values(by, kind="stable").reset_index(drop=True)


def _subtitle(drawn: pd.DataFrame, *, of: int) -> str:
    text = "Bar: from call to return. In order of the version that each made or saw."
    if "available" in drawn:
        text += " Left: the stock at that version."
    if findings.made_twice(drawn).any():
        text += " Tied together: sales that made the same version."
    if findings.overwrote(drawn).any():
        text += " Overwrote: what it left is not what the one before it left, less its own tickets."
    return text + (f" The first {len(drawn)} of {number(of)}." if of > len(drawn) else "")


def _bars(axes: Axes, drawn: pd.DataFrame) -> None:
    begin_ns = drawn["invoked_ns"].min()
    told_apart = [name for name in ("event", "outcome") if name in drawn and several(drawn[name])]
    overwrote = findings.overwrote(drawn)
    for place, (_, operation) in enumerate(drawn.iterrows()):
        from_ms, to_ms = ((operation[name] - begin_ns) / 1e6 for name in ("invoked_ns", "completed_ns"))
        look: dict[str, Any] = OUTCOME_LOOKS.get(operation.get("outcome", ""), {"facecolor": MUTED})
        axes.barh(place, to_ms - from_ms, BAR, left=from_ms, edgecolor=MUTED, linewidth=0.6, gid="operation", **look)
        beside(axes, place, _told(operation, told_apart) + (" · overwrote" if overwrote[place] else ""))


def _who(operation: pd.Series) -> str:
    return f"buyer {operation['buyer']}" if "buyer" in operation else ""


def _told(operation: pd.Series, told_apart: Collection[str]) -> str:
    """What stands beside a bar: version, quantity and stock as far as they are known, event and outcome if several."""
    parts = [f"event {operation['event']}"] if "event" in told_apart else []
    if "version" in operation:
        parts.append("no version" if operation["version"] == NOT_SEEN else f"version {operation['version']:,}")
    if "quantity" in operation:
        parts.append(counted(operation["quantity"], "ticket"))
    if operation.get("available", NOT_SEEN) != NOT_SEEN:
        parts.append(f"{operation['available']:,} left")
    if "outcome" in told_apart:
        parts.append(spaced(operation["outcome"]))
    return "  " + " · ".join(parts)


def _tie(axes: Axes, drawn: pd.DataFrame) -> None:
    """A bracket beside the rows of sales that made the same version of an event: the lost update itself."""
    twice = drawn[findings.made_twice(drawn)]
    if twice.empty:  # and perhaps without the columns to group by
        return
    for _, rows in twice.groupby(["event", "version"]):
        top, bottom = rows.index.min() - 0.3, rows.index.max() + 0.3
        axes.plot(
            [1.005, 1.015, 1.015, 1.005], [top, top, bottom, bottom], transform=axes.get_yaxis_transform(),
            color=INK, linewidth=1.2, clip_on=False, gid="made twice",
        )  # fmt: skip
