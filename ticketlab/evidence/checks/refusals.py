"""Claims about those who were sent away."""

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.check import check
from ticketlab.evidence.checks.books import first_operation, operations
from ticketlab.evidence.order.free import surely_free
from ticketlab.evidence.verdict import Anomaly, Verdict, invalid, valid
from ticketlab.evidence.words import counted, every, verb


@check
def no_false_sold_out(case: Case) -> Verdict:
    """No answer was "sold out" while enough seats were left.

    A refusal is false where the buyer was shown a stock that would have done, and where the seats that were surely
    free as long as he was waiting suffice: those that nobody had asked for when he was told, and those that had been
    given back before he called. Of a refused basket the history has only the events that refused it: seats of the
    others prove nothing.
    """
    name = "no_false_sold_out"
    rows = np.flatnonzero(case.refused)
    count = int((case.refused & case.leads).sum())
    free = surely_free(case, rows)
    false = (case.quantity[rows] <= case.available[rows]) | (case.quantity[rows] <= free)
    if not false.any():
        return valid(name, f"{every(count, 'refusal')} {verb(count, 'was')} right: too few seats were left")
    wrong = np.zeros(len(case), np.bool_)
    wrong[rows[false]] = True
    seats = case.seats
    refusing = seats["event"].isin(np.unique(case.event[wrong]))
    unsold = int((seats["total"] - seats["tickets"])[refusing].clip(lower=0).sum())
    found = operations(case, wrong)
    refusals = f"{found:,} of {counted(count, 'refusal')} as sold out {verb(found, 'was')} false"
    text = f"{refusals}; {counted(unsold, 'seat')} stayed unsold"
    first = first_operation(case, wrong)
    shown = case.rows(first).assign(free=free[np.searchsorted(rows, first)])
    return invalid(name, text, shown, Anomaly.FALSE_SOLD_OUT)
