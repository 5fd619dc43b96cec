"""Claims about locks."""

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.check import check
from ticketlab.evidence.checks.books import first_operation
from ticketlab.evidence.history import RETRIES
from ticketlab.evidence.verdict import Anomaly, Verdict, invalid, valid
from ticketlab.evidence.words import counted
from ticketlab.outcomes import Cause


@check
def no_deadlock(case: Case) -> Verdict:
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
    count, of = int((met & case.leads).sum()), int(case.leads.sum())
    if count:
        text = f"{count:,} of {counted(of, 'purchase')} met a deadlock"
        return invalid(name, text, case.rows(np.sort(first_operation(case, met))), Anomaly.DEADLOCK)
    if deadlocks := case.ledger.facts.deadlocks:
        what = counted(deadlocks, "deadlock")
        text = f"the server counted {what} that no answer reports: the function swallows the error"
        return invalid(name, text, history.head(0), Anomaly.DEADLOCK)
    return valid(name, f"none of {counted(of, 'purchase')} met a deadlock")
