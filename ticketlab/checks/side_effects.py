"""Claims about what a purchase does to others: no deadlock, and nothing left on a connection or in the server."""

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
    """Every purchase gives its connection back as it got it, and leaves nothing in the server.

    What is left is met by the next purchase on that connection, or by whoever waits for that lock. The lab looks at
    each connection when it comes back, at each session and at the server when a trial ends.
    """
    name = "leaves_connection_clean"
    facts = case.ledger.facts
    if facts.left_behind:
        left = pd.DataFrame({"left_behind": list(facts.left_behind), "times": list(facts.left_behind.values())})
        text = "; ".join(f"{_times(count)} {words}" for words, count in facts.left_behind.items())
        return invalid(name, text, left, Anomaly.UNCLEAN_CONNECTION)
    if facts.seats is None:
        return valid(name, "not looked at: the lab sees connections only in its own runs")
    return valid(name, "every connection came back as it was lent, and nothing was left in the server")


def _times(count: int) -> str:
    return f"{count:,} times" if count > 1 else "once"


@check
def no_deadlock(case: IndexedHistory) -> Verdict:
    """No purchase met a deadlock.

    A deadlock harms nobody's tickets: PostgreSQL ends one of the transactions that wait for each other, and another
    try may cure it. It is judged all the same, for it is the mark of a lock order that is missing, and each one holds
    up all who wait for those rows for `deadlock_timeout`, 1 s by default
    (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-DEADLOCKS). A function that catches the error
    reports none: so the server's own count is looked at too.
    """
    name = "no_deadlock"
    history = case.history
    met = ((history["cause"] == Cause.DEADLOCK) | (history[RETRIES[Cause.DEADLOCK]] > 0)).to_numpy()
    count, of = int((met & case.is_first_line).sum()), int(case.is_first_line.sum())
    if count:
        text = f"{count:,} of {counted(of, 'purchase')} met a deadlock"
        return invalid(name, text, case.rows(np.sort(first_operation(case, met))), Anomaly.DEADLOCK)
    if deadlocks := case.ledger.facts.deadlocks:
        what = counted(deadlocks, "deadlock")
        text = f"the server counted {what} that no answer reports: the function swallows the error"
        return invalid(name, text, history.head(0), Anomaly.DEADLOCK)
    return valid(name, f"none of {counted(of, 'purchase')} met a deadlock")
