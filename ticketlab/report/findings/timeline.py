"""What operations did at the same time, and which of them undid one another."""

from typing import Final

import pandas as pd

from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import Cause, Outcome
from ticketlab.report.findings.caption import Caption
from ticketlab.report.phrases import capital, join_names, number, pluralize

MOST_OPERATIONS: Final = 20
"""More rows than these would not be read; the first ones stand for all."""


def timeline(operations: pd.DataFrame) -> Caption:
    """Which operations made one version of an event, or overwrote another; else how many were under way at once."""
    kind = "Operations as bars from call to return, one per row"
    if not has_timeline(operations):
        return Caption(kind=kind, title="There are no operations to show")
    operations = operations.head(MOST_OPERATIONS)
    twice = operations[made_twice(operations)]
    detail = "A version is made once: who makes it a second time has not seen the other's sale."
    if not twice.empty:
        return Caption(kind=kind, title=_lost_update(twice), detail=detail)
    if count := int(overwrote(operations).sum()):
        title = (
            f"{count} of {pluralize(len(operations), 'operation')} overwrote a sale: the stock did not fall by theirs"
        )
        detail = (
            "A sale leaves behind what the version before it left, less its own tickets; one that leaves anything else "
            "has computed it from an older version, and wiped out the sale in between."
        )
        return Caption(kind=kind, title=title, detail=detail)
    count, most = len(operations), most_at_once(operations)
    if count == 1:
        lasted_ms = (operations["completed_ns"] - operations["invoked_ns"]).iloc[0] / 1e6
        return Caption(kind=kind, title=f"One operation, under way for {number(lasted_ms)} ms")
    if most == 1:
        return Caption(kind=kind, title=f"{pluralize(count, 'operation')}, one after another")
    who = f"All {count}" if most == count else f"Up to {most} of {count}"
    return Caption(kind=kind, title=f"{who} operations were under way at once")


def story(name: str, short: str, operations: pd.DataFrame) -> Caption:
    """The title of the operations that a violation is told with: its name, and what it comes to."""
    kind = "Operations as bars from call to answer, one per row, in the order of their calls"
    if not short:
        return Caption(kind=kind, title=timeline(operations.head(MOST_OPERATIONS)).title)
    marked = "wrong" in operations and (operations["wrong"] != "").any()
    detail = "What is wrong is marked in red." if marked else ""
    return Caption(kind=kind, title=f"{capital(name)}: {short}", detail=detail)


def has_timeline(operations: pd.DataFrame) -> bool:
    """Whether these rows are operations with times. The evidence of some checks is events or purchases instead."""
    return not operations.empty and {"invoked_ns", "completed_ns"} <= set(operations)


def made_twice(operations: pd.DataFrame) -> "pd.Series[bool]":
    """Whether a sale or a refund made a version of its event that another one made too: the lost update itself.

    What was only seen is no version that was made: refusals and answers to an id that had bought before do not count.
    """
    if not {"event", "version", "outcome"} <= set(operations):
        return pd.Series(data=False, index=operations.index)
    same = _makers(operations).duplicated(["event", "version"], keep=False)
    return same.reindex(operations.index, fill_value=False)


def overwrote(operations: pd.DataFrame) -> "pd.Series[bool]":
    """Whether a sale left another stock behind than the version before it, less its own tickets; a refund, plus them.

    Known of those whose version before was made by one of these operations too.
    """
    if not {"event", "version", "outcome", "available", "quantity"} <= set(operations):
        return pd.Series(data=False, index=operations.index)
    made = _makers(operations).sort_values(["event", "version"], kind="stable")
    before = made[["event", "version", "available"]].shift()
    follows = (before["event"] == made["event"]) & (before["version"] == made["version"] - 1)
    change = made["quantity"].where(made["outcome"] == Outcome.REFUNDED, -made["quantity"])
    seen = (made["available"] != NOT_SEEN) & (before["available"] != NOT_SEEN)
    wrong = follows & seen & (made["available"] != before["available"] + change)
    return wrong.reindex(operations.index, fill_value=False)


def most_at_once(operations: pd.DataFrame) -> int:
    """How many operations were under way at one moment; one that begins as another ends was concurrent with it."""
    begun = pd.DataFrame({"at_ns": operations["invoked_ns"], "change": 1})
    ended = pd.DataFrame({"at_ns": operations["completed_ns"], "change": -1})
    changes = pd.concat([begun, ended]).sort_values(["at_ns", "change"], ascending=[True, False])
    return int(changes["change"].cumsum().max())


def _makers(operations: pd.DataFrame) -> pd.DataFrame:
    """The sales and refunds that made a version: not those who were only told of what their id had done before."""
    made = operations["outcome"].isin([Outcome.SOLD, Outcome.REFUNDED]) & (operations["version"] != NOT_SEEN)
    if "cause" in operations:
        made &= operations["cause"] != Cause.REPEATED
    return operations[made]


def _lost_update(twice: pd.DataFrame) -> str:
    groups = [group for _, group in twice.groupby(["event", "version"])]
    first = groups[0].iloc[0]
    who = (
        join_names([f"buyer {buyer}" for buyer in groups[0]["buyer"]])
        if "buyer" in twice
        else f"{len(groups[0])} sales"
    )
    title = f"{who} all made" if len(groups[0]) > 2 else f"{who} both made"  # noqa: PLR2004  # two are both
    title = f"{title} version {first['version']} of event {first['event']}"
    if more := len(groups) - 1:
        title += f", and {pluralize(more, 'more version')} {'was' if more == 1 else 'were'} made more than once"
    return capital(title)
