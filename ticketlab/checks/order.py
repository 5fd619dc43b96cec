"""Claims about those who were sent away."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from ticketlab.checks.capacity import first_operation, operations, oversold_by_answers
from ticketlab.checks.serializability import missing_versions, refunds, unversioned, versions
from ticketlab.checks.serializability.unversioned import min_free_seats
from ticketlab.checks.serializability.versions import Undecided, VersionedRows, Violation
from ticketlab.checks.verdict import Anomaly, Verdict, check, invalid, unknown, valid
from ticketlab.history.index import IndexedHistory
from ticketlab.history.text import counted, every, verb


@check
def no_false_sold_out(case: IndexedHistory) -> Verdict:
    """No answer was "sold out" while enough seats were left.

    A refusal is false where the buyer was shown a stock that would have done, and where the seats that were surely
    free as long as he was waiting suffice: those that nobody had asked for when he was told, and those that had been
    given back before he called. Of a refused basket the history has only the events that refused it: seats of the
    others prove nothing.
    """
    name = "no_false_sold_out"
    rows = np.flatnonzero(case.refused)
    count = int((case.refused & case.is_first_line).sum())
    free = min_free_seats(case, rows)
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


Stage: TypeAlias = Callable[[VersionedRows], Violation | None]


@check
def strict_serializability(case: IndexedHistory) -> Verdict:
    """All purchases and refunds go one after another, in the order of the versions, and as time has it.

    That is: every change made a version of its own, none is missing, and each left the stock of the one before it plus
    or less its own tickets; what was answered before another was called comes before it; and whoever was sent away saw
    a version that was current while he waited, and too small a stock. Where the order of several events, each right by
    itself, can not be that of all together, that is found too. A purchase of unknown outcome may have happened or not:
    the claim holds if it does for some choice.
    """
    name = "strict_serializability"
    facts = VersionedRows.of(case)
    try:
        finding = _first_finding(facts)
    except Undecided as open_question:
        if oversold := oversold_by_answers(case, name):
            return oversold
        return _valid_as_answered(case, name) or unknown(name, str(open_question))
    if finding is not None and finding.anomaly is Anomaly.STALE_READ and (oversold := oversold_by_answers(case, name)):
        return oversold  # the plainer reason why there is no order
    if finding is not None:
        return invalid(name, finding.text, case.rows(np.array(finding.rows, np.int64)), finding.anomaly)
    return valid(name, _summary(facts))


def _first_finding(facts: VersionedRows) -> Violation | None:
    return next(filter(None, (stage(facts) for stage in STAGES)), None)


def _valid_as_answered(case: IndexedHistory, name: str) -> Verdict | None:
    """The verdict where every call that was answered as sold has sold; None where that explains nothing.

    Of two calls of one id, of which one was lost, either can have made the sale. One order is enough to be right.
    """
    if not case.undecided.any():
        return None
    facts = VersionedRows.of(IndexedHistory(case.history, case.ledger, trusting=True))
    try:
        return None if _first_finding(facts) else valid(name, _summary(facts))
    except Undecided:
        return None


STAGES: Final[Sequence[Stage]] = (
    versions.check_versions,
    versions.check_stock,
    versions.check_refusals,
    versions.check_real_time,
    refunds.impossible_ids,
    refunds.refunds,
    missing_versions.check_missing_versions,
    unversioned.refusals,
)


def _summary(facts: VersionedRows) -> str:
    count = int(facts.case.is_first_line.sum())
    text = f"{counted(count, 'operation')}, one after another"
    if len(facts.writers):
        text += f" in the order of {counted(len(facts.writers), 'version')}"
    if facts.case.versionless and facts.case.sold.any():
        text += "; the sales carry no version, and some order of them explains every answer"
    return text
