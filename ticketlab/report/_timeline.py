"""The chart of a few operations as a timeline, from call to answer. Judges nothing."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ticketlab.outcomes import NOT_SEEN, Outcome
from ticketlab.report import captions
from ticketlab.report._bars import OUTCOME_LOOKS
from ticketlab.report._layout import BAR, LEGEND_COLUMNS, LEGEND_LINE_IN, legend, spaced, value_label
from ticketlab.report._style import INK, MUTED, RED, THOUSANDS, Chart, new_chart
from ticketlab.report.phrases import format_id, has_multiple, number, pluralize

_ROW_IN: Final = 0.26
_TEXT_ROW_IN: Final = 0.46
_TEXT_UP: Final = 0.4
_THIN: Final = 0.36
"""The height of a bar with text above it."""
_AXIS_IN: Final = 0.75
_TICKS: Final = 4
"""The most ticks next to texts."""
_MARGIN: Final = 0.05
_LEAST_MS: Final = 0.01
_OPEN_END: Final = 3
"""The number of margins right of an operation without an answer."""


def timeline(operations: pd.DataFrame, *, conditions: str, title: str = "", crashes_ns: Collection[int] = ()) -> Chart:
    """One bar per operation from its call to its answer; a bracket joins sales of one version, and red is wrong.

    Operations with a column `wrong` (a few words on what is wrong with each, or "") are in the order of their calls;
    others in version order.
    """
    drawn = _in_order(operations.head(captions.MOST_OPERATIONS))
    outcomes = [each for each in Outcome if each in set(drawn.get("outcome", ()))]
    row_in = _TEXT_ROW_IN if "wrong" in drawn else _ROW_IN
    body_in = _AXIS_IN + ceil(len(outcomes) / LEGEND_COLUMNS) * LEGEND_LINE_IN + row_in * len(drawn)
    title = title or captions.timeline(drawn).title
    subtitle = _subtitle(drawn, of=len(operations), crashed=bool(crashes_ns))
    chart = new_chart(title=title, subtitle=subtitle, conditions=conditions, body_in=body_in)
    axes: Axes = chart.subplots()
    _span(axes, drawn, crashes_ns)
    _bars(axes, drawn)
    _join_same_versions(axes, drawn)
    axes.set_yticks(range(len(drawn)), labels=[_buyer_label(operation) for _, operation in drawn.iterrows()])
    axes.set_ylim(len(drawn) - (0.6 if "wrong" in drawn else 0.4), -0.8 if "wrong" in drawn else -0.6)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("ms since the start of the trial")
    handles = [Patch(edgecolor=MUTED, linewidth=0.6, label=spaced(each), **OUTCOME_LOOKS[each]) for each in outcomes]
    if handles:
        legend(chart, axes, handles)
    return chart


def _in_order(operations: pd.DataFrame) -> pd.DataFrame:
    """In the order of the calls if there are marks, else by event and version."""
    columns = ("invoked_ns",) if "wrong" in operations else ("event", "version", "invoked_ns")
    by = [column for column in columns if column in operations]
    return operations.sort_values(by, kind="stable").reset_index(drop=True)


def _subtitle(drawn: pd.DataFrame, *, of: int, crashed: bool) -> str:
    text = "Bar: from call to answer."
    if "wrong" not in drawn:
        text += " In version order."
    if "available" in drawn:
        text += " Left: the stock at that version."
    if captions.made_twice(drawn).any():
        text += " Bracket: sales that made the same version."
    if "wrong" not in drawn and captions.overwrote(drawn).any():
        text += " Overwrote: its stock is not the stock before, less its own tickets."
    if _wrong(drawn).any():
        text += " Red: what is wrong."
    if _open(drawn).any():
        text += " Dotted: no answer, so it may have taken effect at any later time."
    if crashed:
        text += " Dashed line: server crash."
    return text + (f" The first {len(drawn)} of {number(of)}." if of > len(drawn) else "")


def _wrong(drawn: pd.DataFrame) -> pd.Series[bool]:
    return drawn["wrong"] != "" if "wrong" in drawn else pd.Series(data=False, index=drawn.index)


def _open(drawn: pd.DataFrame) -> pd.Series[bool]:
    """Mask of the operations without an answer."""
    return drawn["outcome"] == Outcome.UNKNOWN if "outcome" in drawn else pd.Series(data=False, index=drawn.index)


def _span(axes: Axes, drawn: pd.DataFrame, crashes_ns: Collection[int]) -> None:
    """Set the x axis from the first call to the last answer or crash, and draw the crashes."""
    first, last = drawn["invoked_ns"].min() / 1e6, drawn["completed_ns"].max() / 1e6
    crashes = [ns / 1e6 for ns in crashes_ns]
    last = max(last, *crashes) if crashes else last
    margin = max((last - first) * _MARGIN, _LEAST_MS)
    axes.set_xlim(max(first - margin, 0), last + margin * (_OPEN_END if _open(drawn).any() else 1))
    for at in crashes:
        axes.axvline(at, color=RED, linewidth=1.2, linestyle="--", gid="crash")


def _bars(axes: Axes, drawn: pd.DataFrame) -> None:
    varying = [name for name in ("event", "outcome") if name in drawn and has_multiple(drawn[name])]
    overwrote, wrong, endless = captions.overwrote(drawn), _wrong(drawn), _open(drawn)
    for place, (_, operation) in enumerate(drawn.iterrows()):
        from_ms, to_ms = (operation[name] / 1e6 for name in ("invoked_ns", "completed_ns"))
        look: dict[str, Any] = OUTCOME_LOOKS.get(operation.get("outcome", ""), {"facecolor": MUTED})
        bar: dict[str, Any] = {"height": _THIN if "wrong" in drawn else BAR, "left": from_ms}
        axes.barh(place, to_ms - from_ms, **bar, edgecolor=MUTED, linewidth=0.6, gid="operation", **look)
        if wrong[place]:  # a separate frame, because a hatch has the colour of its edge
            axes.barh(place, to_ms - from_ms, **bar, facecolor="none", edgecolor=RED, linewidth=1.6, gid="wrong")
        if endless[place]:
            axes.plot([to_ms, axes.get_xlim()[1]], [place] * 2, color=MUTED, linestyle=":", gid="open end")
        text = _operation_text(operation, varying)
        if wrong[place]:
            text += f" · {operation['wrong']}"
        elif "wrong" not in drawn and overwrote[place]:
            text += " · overwrote"
        (_above if "wrong" in drawn else value_label)(axes, place, text, color=RED if wrong[place] else INK)


def _above(axes: Axes, place: float, text: str, color: str) -> None:
    """Write a text above a bar, from the left edge, so that a narrow screen shows its beginning."""
    axes.text(
        0, place - _TEXT_UP, text.strip(), transform=axes.get_yaxis_transform(), va="center", color=color, fontsize=8.5
    )


def _buyer_label(operation: pd.Series) -> str:
    buyer = operation.get("buyer")
    return "" if buyer is None or pd.isna(buyer) else f"buyer {format_id(buyer)}"


def _operation_text(operation: pd.Series, varying: Collection[str]) -> str:
    """The text of a bar: version, quantity and stock if they are known; event and outcome if these vary."""
    known = operation.dropna()
    parts = [f"event {format_id(known['event'])}"] if "event" in varying and "event" in known else []
    if "version" in known:
        parts.append("no version" if known["version"] == NOT_SEEN else f"version {number(known['version'])}")
    if "quantity" in known:
        parts.append(pluralize(known["quantity"], "ticket"))
    if known.get("available", NOT_SEEN) != NOT_SEEN:
        parts.append(f"{number(known['available'])} left")
    if "outcome" in varying and "outcome" in known:
        parts.append(spaced(known["outcome"]))
    return "  " + " · ".join(parts)


def _join_same_versions(axes: Axes, drawn: pd.DataFrame) -> None:
    """Draw a bracket right of the sales that made the same version of an event: a lost update."""
    twice = drawn[captions.made_twice(drawn)]
    if twice.empty:  # the columns to group by may be missing
        return
    for _, rows in twice.groupby(["event", "version"]):
        top, bottom = rows.index.min() - 0.3, rows.index.max() + 0.3
        axes.plot(
            [1.005, 1.015, 1.015, 1.005], [top, top, bottom, bottom], transform=axes.get_yaxis_transform(),
            color=INK, linewidth=1.2, clip_on=False, gid="made twice",
        )  # fmt: skip
