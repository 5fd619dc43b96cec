"""A caption, and the captions of operations on a timeline. Frames in, sentences out; draws nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.history.text import verb
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome
from ticketlab.report.phrases import capital, has_multiple, in_setting, join_names, number, pluralize, setting_parts

MOST_OPERATIONS: Final = 20
"""The most operations that a timeline shows."""
_IN_DETAIL: Final = 6
"""The most rows that a caption lists; for more it refers to the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What a chart shows, and its alternative text."""

    kind: str
    """What is drawn, and how."""
    title: str
    """The finding, a sentence without its full stop."""
    detail: str = ""
    """The numbers behind the finding, in sentences."""

    @property
    def caption(self) -> str:
        """The finding and its details, as sentences."""
        return f"{self.title}. {self.detail}".strip()

    @property
    def alt(self) -> str:
        """The text in place of the picture."""
        return f"{self.kind}. {self.title}."


def without_violation(rows: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """The rows of strategies that claim to be safe and have no violation in any trial."""
    wrong = measures.loc[measures["verdict"] == Status.INVALID, "strategy"]
    return rows[rows["safe"].astype(bool) & ~rows["strategy"].isin(wrong)]


def at_most_buyers(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows with the most buyers, and the beginning of a sentence about them: "with 64 buyers, " or nothing."""
    most = rows["buyers"].max()
    return rows[rows["buyers"] == most], f"with {pluralize(most, 'buyer')}, " if has_multiple(rows["buyers"]) else ""


def strategy_label(row: pd.Series, among: pd.DataFrame) -> str:
    """A strategy with its setting in brackets, for a sentence that already has a "with"."""
    parts = setting_parts(row, among)
    return f"{row['strategy']} ({', '.join(parts)})" if parts else str(row["strategy"])


def each_row(rows: pd.DataFrame, text: Callable[[pd.Series], str]) -> str:
    """The text of each row after its strategy and setting; "see the table." for many rows."""
    if len(rows) > _IN_DETAIL:
        return "see the table."
    return "; ".join(f"{row['strategy']}{in_setting(row, rows)} {text(row)}" for _, row in rows.iterrows()) + "."


def timeline(operations: pd.DataFrame) -> Caption:
    """The operations that made one version or overwrote another sale; else how many overlapped in time."""
    kind = "Operations as bars from call to answer, one per row"
    if not has_timeline(operations):
        return Caption(kind=kind, title="There are no operations to show")
    operations = operations.head(MOST_OPERATIONS)
    twice = operations[made_twice(operations)]
    if not twice.empty:
        detail = "A version can be made only once: the later sale did not see the earlier one."
        return Caption(kind=kind, title=_lost_update(twice), detail=detail)
    count = len(operations)
    if wrong := int(overwrote(operations).sum()):
        title = f"{wrong} of {pluralize(count, 'operation')} overwrote another sale"
        detail = (
            "The stock after a sale must be the stock of the version before, less its own tickets. An operation that "
            "leaves another stock computed it from an older version."
        )
        return Caption(kind=kind, title=title, detail=detail)
    most = most_at_once(operations)
    if count == 1:
        lasted_ms = (operations["completed_ns"] - operations["invoked_ns"]).iloc[0] / 1e6
        return Caption(kind=kind, title=f"One operation of {number(lasted_ms)} ms")
    if most == 1:
        return Caption(kind=kind, title=f"{pluralize(count, 'operation')}, one after another")
    overlapping = f"All {count}" if most == count else f"Up to {most} of {count}"
    return Caption(kind=kind, title=f"{overlapping} operations overlapped in time")


def story(name: str, short: str, operations: pd.DataFrame) -> Caption:
    """The caption of the operations of a violation: its name, and the violation in a few words."""
    kind = "Operations as bars from call to answer, one per row, in the order of their calls"
    if not short:
        return Caption(kind=kind, title=timeline(operations.head(MOST_OPERATIONS)).title)
    marked = "wrong" in operations and (operations["wrong"] != "").any()
    return Caption(kind=kind, title=f"{capital(name)}: {short}", detail="Red: what is wrong." if marked else "")


def has_timeline(operations: pd.DataFrame) -> bool:
    """Whether these rows are operations with times; the evidence of some checks is events or purchases instead."""
    return not operations.empty and {"invoked_ns", "completed_ns"} <= set(operations)


def made_twice(operations: pd.DataFrame) -> pd.Series[bool]:
    """Mask of sales and refunds that made a version of their event that another one made too: a lost update.

    Refusals and repeated answers made no version, so they do not count.
    """
    if not {"event", "version", "outcome"} <= set(operations):
        return pd.Series(data=False, index=operations.index)
    same = _writes(operations).duplicated(["event", "version"], keep=False)
    return same.reindex(operations.index, fill_value=False)


def overwrote(operations: pd.DataFrame) -> pd.Series[bool]:
    """Mask of sales whose stock is not that of the version before less their tickets; for a refund plus its tickets.

    Only where one of these operations made the version before.
    """
    if not {"event", "version", "outcome", "available", "quantity"} <= set(operations):
        return pd.Series(data=False, index=operations.index)
    writes = _writes(operations).sort_values(["event", "version"], kind="stable")
    before = writes[["event", "version", "available"]].shift()
    follows = (before["event"] == writes["event"]) & (before["version"] == writes["version"] - 1)
    change = writes["quantity"].where(writes["outcome"] == Outcome.REFUNDED, -writes["quantity"])
    seen = (writes["available"] != NOT_SEEN) & (before["available"] != NOT_SEEN)
    wrong = follows & seen & (writes["available"] != before["available"] + change)
    return wrong.reindex(operations.index, fill_value=False)


def most_at_once(operations: pd.DataFrame) -> int:
    """The largest number of concurrent operations; one that begins when another ends was concurrent with it."""
    begun = pd.DataFrame({"at_ns": operations["invoked_ns"], "change": 1})
    ended = pd.DataFrame({"at_ns": operations["completed_ns"], "change": -1})
    changes = pd.concat([begun, ended]).sort_values(["at_ns", "change"], ascending=[True, False])
    return int(changes["change"].cumsum().max())


def _writes(operations: pd.DataFrame) -> pd.DataFrame:
    """The sales and refunds that made a version; not repeated answers."""
    wrote = operations["outcome"].isin([Outcome.SOLD, Outcome.REFUNDED]) & (operations["version"] != NOT_SEEN)
    if "cause" in operations:
        wrote &= operations["cause"] != Cause.REPEATED
    return operations[wrote]


def _lost_update(twice: pd.DataFrame) -> str:
    first, *others = [group for _, group in twice.groupby(["event", "version"])]
    buyers = [f"buyer {each}" for each in first["buyer"]] if "buyer" in twice else []
    makers = join_names(buyers) if buyers else f"{len(first)} sales"
    both = "both" if len(first) == 2 else "all"  # noqa: PLR2004 - two are both
    title = f"{makers} {both} made version {first['version'].iloc[0]} of event {first['event'].iloc[0]}"
    if count := len(others):
        title += f", and {pluralize(count, 'more version')} {verb(count, 'was')} made more than once"
    return capital(title)
