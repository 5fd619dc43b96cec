"""Checks of what a purchase does to others: no deadlock, and nothing left on a connection or in the server. Pure."""

import numpy as np
import pandas as pd

from ticketlab.checks.capacity import first_operation
from ticketlab.checks.verdict import Anomaly, Verdict, check, invalid, valid
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import RETRIES
from ticketlab.history.text import counted
from ticketlab.outcomes import Cause


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
