"""The few questions that the versions leave open, handed to the general search where they are small enough for it."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ticketlab.checks.search.linearizability import linearizable
from ticketlab.checks.serializability.versions import Undecided, Violation
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.arrays import Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.text import plural

MOST_ROWS = 2_000
"""Beyond that the general search would rarely end in time."""
TIME_LIMIT_S = 5.0
_MOST_NAMED = 3


def search(case: IndexedHistory, events: Collection[int]) -> Violation | None:
    """Look for any order of these events, and of those that baskets tie to them.

    Raises:
        Undecided: there are too many operations, or the time was too short.
    """
    rows = _tied_to(case, events)
    first = ", ".join(map(str, sorted(events)[:_MOST_NAMED]))
    more = f" and {len(events) - _MOST_NAMED:,} more" if len(events) > _MOST_NAMED else ""
    named = f"{plural(len(events), 'event')} {first}{more}"
    open_question = f"{named}: no order was found for operations that report no version, and none was ruled out"
    if rows.sum() > MOST_ROWS:
        raise Undecided(open_question)
    among = np.union1d(case.event[rows], list(events))
    kept = case.ledger
    ledger = replace(
        kept,
        events=kept.events[kept.events["event"].isin(among)],
        tickets=kept.tickets[kept.tickets["event"].isin(among)],
    )
    found = linearizable(case.rows(rows), ledger, time_limit_s=TIME_LIMIT_S, versionless=case.versionless)
    if found.status is Status.UNKNOWN:
        raise Undecided(open_question)
    if found.status is Status.VALID:
        return None
    shown = np.flatnonzero(rows & (case.undecided | case.perhaps_sold | case.perhaps_refunded | case.refused))
    return Violation(found.summary, shown.tolist(), Anomaly.STALE_READ)


def _tied_to(case: IndexedHistory, events: Collection[int]) -> Mask:
    """The rows on these events, and on all that share a purchase id with one of them, by a call or by a ticket."""
    wanted = np.zeros(case.events, np.bool_)
    wanted[list(events)] = True
    while True:
        among = np.zeros(case.ids, np.bool_)
        among[case.id[wanted[case.event]]] = True
        among[case.ticket_id[wanted[case.ticket_event]]] = True
        reached = wanted.copy()
        reached[case.event[among[case.id]]] = True
        reached[case.ticket_event[among[case.ticket_id]]] = True
        if (reached == wanted).all():
            return among[case.id]
        wanted = reached
