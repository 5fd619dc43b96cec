"""Checks of what a strategy does to others: deadlocks, leftovers, and purchases that fail while seats are left.

`progress` is no check: it is a verdict of its own. In: an `IndexedHistory` and the times of injected faults. Out: how
many purchases were sold, how many failed while seats were left, and whether their share exceeds a limit.

A purchase fails here if it ends as FAILED, CONFLICT, UNAVAILABLE or UNKNOWN. Seats were left if every event that it
asked for had enough when it ended, by the sales and refunds answered until then. Not counted are

- purchases whose id had bought before, or has another purchase that was sold;
- purchases under way at an injected fault, and those within a second of it that lost their connection;
- purchases under way while the server was down: from a crash to the first answer of a purchase that was called later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ticketlab.checks.base import check, invalid, valid
from ticketlab.checks.capacity import first_operation
from ticketlab.checks.verdict import MAX_FAILURES, Anomaly, ProgressStatus, Verdict
from ticketlab.history.text import counted
from ticketlab.outcomes import RETRIES, Cause

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.index import IndexedHistory


@check
def leaves_connection_clean(case: IndexedHistory) -> Verdict:
    """Every purchase returns its connection as it got it, and leaves nothing in the server.

    A setting or lock that is left affects the next purchase on that connection, or everyone who waits for the lock. The
    lab inspects each connection when it is returned, and all sessions and the server when a trial ends.
    """
    name = "leaves_connection_clean"
    facts = case.ledger.facts
    if facts.left_behind:
        left = pd.DataFrame({"left_behind": list(facts.left_behind), "times": list(facts.left_behind.values())})
        text = "; ".join(f"{_times(count)} {words}" for words, count in facts.left_behind.items())
        return invalid(name, text, left, Anomaly.UNCLEAN_CONNECTION)
    if facts.seats is None:
        return valid(name, "not checked: connections are only seen in runs of the lab")
    return valid(name, "every connection was returned clean, and nothing was left in the server")


def _times(count: int) -> str:
    return f"{count:,} times" if count > 1 else "once"


@check
def no_deadlock(case: IndexedHistory) -> Verdict:
    """No purchase met a deadlock.

    A deadlock loses no tickets: PostgreSQL aborts one of the transactions, and a retry may succeed. But it shows that a
    lock order is missing, and blocks all transactions that wait for those rows for `deadlock_timeout`, 1 s by default
    (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-DEADLOCKS). A function that catches the error
    reports none, so the server's own count is checked too.
    """
    name = "no_deadlock"
    history = case.history
    met = ((history["cause"] == Cause.DEADLOCK) | (history[RETRIES[Cause.DEADLOCK]] > 0)).to_numpy()
    count, of = int((met & case.is_first_line).sum()), int(case.is_first_line.sum())
    if count:
        text = f"{count:,} of {counted(of, 'purchase')} met a deadlock"
        return invalid(name, text, case.rows(np.sort(first_operation(case, met))), Anomaly.DEADLOCK)
    if deadlocks := case.ledger.facts.deadlocks:
        text = f"the server counted {counted(deadlocks, 'deadlock')} that no answer reports: the error was swallowed"
        return invalid(name, text, history.head(0), Anomaly.DEADLOCK)
    return valid(name, f"none of {counted(of, 'purchase')} met a deadlock")


_REACH_NS: Final = 1_000_000_000
"""How far from its time a fault still cuts connections. The time of a cut is its beginning, that of a crash the time at
which the server was down; both take about 50 ms."""
_DOWN_AT_MOST_NS: Final = 3_000_000_000
"""How long a crashed server counts as down, at most. It is restarted at once, so a later failure has another cause: a
function may keep its broken connection for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCount:
    """How the purchases of one trial that found seats ended."""

    sold: int
    failed: int
    """Purchases that failed while seats were left."""
    limit: float = MAX_FAILURES
    """The largest share of failures with which a trial still makes progress."""

    @property
    def share(self) -> float:
        """The share of failures; NaN if no purchase found seats."""
        return self.failed / (self.sold + self.failed) if self.sold + self.failed else float("nan")

    @property
    def verdict(self) -> ProgressStatus:
        """Whether the share is within the limit."""
        if not self.sold + self.failed:
            return ProgressStatus.NOT_TRIED
        return ProgressStatus.NO_PROGRESS if self.share > self.limit else ProgressStatus.PROGRESS

    def as_columns(self) -> dict[str, Any]:
        """The columns of a frame of measures."""
        return {
            "found_seats": self.sold + self.failed,
            "failed_with_seats": self.failed,
            "failure_share": self.share,
            "progress": str(self.verdict),
        }

    def as_dict(self) -> dict[str, Any]:
        """As plain data: `share` (None if no purchase found seats), `failed`, `sold`, `limit`, `verdict`."""
        share = self.share if self.sold + self.failed else None
        counts = {"share": share, "failed": self.failed, "sold": self.sold}
        return counts | {"limit": self.limit, "verdict": str(self.verdict)}


def progress(case: IndexedHistory, *, faults_ns: Sequence[int] = (), limit: float = MAX_FAILURES) -> ProgressCount:
    """The progress of one trial.

    Args:
        case: its history and ledger; the ledger knows the crashes.
        faults_ns: the times of all injected faults, in ns since the start of the trial.
        limit: the largest share of failures with which a trial still makes progress.
    """
    sold = int((case.sold_certain & case.sold & case.is_first_line).sum())
    failures = _failures(case)
    if failures.any():
        failures &= ~(_met_a_fault(case, faults_ns) | _while_down(case))
        without_seats = failures & (_seats_left(case) < case.quantity)
        failures &= ~np.isin(case.operation, case.operation[without_seats])
    return ProgressCount(sold=sold, failed=int((failures & case.is_first_line).sum()), limit=limit)


def _failures(case: IndexedHistory) -> Mask:
    """Rows of purchases that were neither sold nor refused, of ids that were not sold in another call."""
    sold_ids = np.bincount(case.id[case.sold], minlength=case.ids) > 0
    failures: Mask = case.purchases & ~case.sold & ~case.refused & ~case.repeated & ~sold_ids[case.id]
    return failures


def _seats_left(case: IndexedHistory) -> Integers:
    """For each row the seats of its event that were left when its operation ended, by the answers.

    A sale counts from its answer, a refund from its call. The changes are sorted by event and time, so two binary
    searches give the sum of the changes of an event until a time.
    """
    ends = np.where(case.purchases, case.completed, case.invoked)
    span = int(case.completed.max(initial=0)) + 1
    rows = np.flatnonzero(case.changed_stock)
    rows = rows[np.lexsort((ends[rows], case.event[rows]))]
    keys = case.event[rows].astype(np.int64) * span + ends[rows]
    sums = np.concatenate([[0], np.cumsum(case.stock_delta[rows])])
    event = case.event.astype(np.int64)
    until = np.searchsorted(keys, event * span + case.completed, side="right")
    left: Integers = (
        case.of_events("total", default=0)[case.event] + sums[until] - sums[np.searchsorted(keys, event * span)]
    )
    return left


def _met_a_fault(case: IndexedHistory, faults_ns: Sequence[int]) -> Mask:
    """Rows under way at the time of a fault, and those near it that lost their connection."""
    lost = (case.history["cause"] == Cause.CONNECTION).to_numpy()
    met = np.zeros(len(case), np.bool_)
    for fault_ns in faults_ns:
        met |= (case.invoked <= fault_ns) & (fault_ns <= case.completed)
        met |= lost & (case.invoked <= fault_ns + _REACH_NS) & (fault_ns - _REACH_NS <= case.completed)
    return met


def _while_down(case: IndexedHistory) -> Mask:
    """Rows under way while the server was down after a crash: until the answer of a purchase that was called later."""
    down = np.zeros(len(case), np.bool_)
    answered = case.sold | case.refused
    for crash in case.ledger.crashes_ns:
        up = case.completed[answered & (case.invoked > crash)].min(initial=crash + _DOWN_AT_MOST_NS)
        down |= (case.completed >= crash) & (case.invoked < up)
    return down
