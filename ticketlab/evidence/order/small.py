"""The few questions that the versions leave open, handed to the general search where they are small enough for it."""

from collections.abc import Collection

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.columns import Mask
from ticketlab.evidence.ledger import Ledger
from ticketlab.evidence.linearizability import linearizable
from ticketlab.evidence.order.finding import Finding, Undecided
from ticketlab.evidence.verdict import Anomaly, Status

MOST_ROWS = 200
"""Beyond that the general search would rarely end in time."""
TIME_LIMIT_S = 5.0


def search(case: Case, events: Collection[int]) -> Finding | None:
    """Look for any order of these events, and of those that baskets tie to them.

    Raises:
        Undecided: there are too many operations, or the time was too short.
    """
    rows = _tied_to(case, events)
    named = ", ".join(map(str, sorted(events)[:3]))
    open_question = f"event {named}: no order was found for operations that told no version, and none was ruled out"
    if rows.sum() > MOST_ROWS:
        raise Undecided(open_question)
    among = np.unique(case.event[rows])
    kept = case.ledger
    ledger = Ledger(
        events=kept.events[kept.events["event"].isin(among)], tickets=kept.tickets[kept.tickets["event"].isin(among)]
    )
    found = linearizable(case.rows(rows), ledger, time_limit_s=TIME_LIMIT_S)
    if found.status is Status.UNKNOWN:
        raise Undecided(open_question)
    if found.status is Status.VALID:
        return None
    shown = np.flatnonzero(rows & (case.undecided | case.perhaps_sold | case.perhaps_refunded | case.refused))
    return Finding(f"event {named}: {found.summary}", shown.tolist(), Anomaly.STALE_READ)


def _tied_to(case: Case, events: Collection[int]) -> Mask:
    """The rows of the operations on these events, and on all that share an operation with one of them."""
    wanted = np.zeros(len(case.unordered), np.bool_)
    wanted[list(events)] = True
    while True:
        rows = np.isin(case.operation, case.operation[wanted[case.event]])
        reached = wanted.copy()
        reached[case.event[rows]] = True
        if (reached == wanted).all():
            return rows
        wanted = reached
