"""The checks `no_false_sold_out` and `strict_serializability`. Pure: opens no connection."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from ticketlab.checks.base import check, invalid, unknown, valid
from ticketlab.checks.capacity import first_operation, operations, oversold_by_answers
from ticketlab.checks.serializability import _missing_versions, _refunds, _unversioned, _versions
from ticketlab.checks.serializability._unversioned import min_free_seats
from ticketlab.checks.serializability._versions import VersionedRows
from ticketlab.checks.verdict import Anomaly, Undecided, Verdict, Violation
from ticketlab.history.index import IndexedHistory
from ticketlab.history.text import counted, every, verb


@check
def no_false_sold_out(case: IndexedHistory) -> Verdict:
    """No answer was "sold out" while enough seats were left.

    A refusal is false if its answer shows enough stock, or if enough seats were free throughout the call in every order
    of the sales (`min_free_seats`). The history of a refused basket has only the events that refused it, so free seats
    of its other events prove nothing.
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
    number = operations(case, wrong)
    false_refusals = f"{number:,} of {counted(count, 'refusal')} as sold out {verb(number, 'was')} false"
    text = f"{false_refusals}; {counted(unsold, 'seat')} stayed unsold"
    first = first_operation(case, wrong)
    shown = case.rows(first).assign(free=free[np.searchsorted(rows, first)])
    return invalid(name, text, shown, Anomaly.FALSE_SOLD_OUT)


Stage: TypeAlias = Callable[[VersionedRows], Violation | None]


@check
def strict_serializability(case: IndexedHistory) -> Verdict:
    """All purchases and refunds have one order that agrees with the versions, the stocks and real time.

    Every change made a version of its own, no version is missing, and each left the stock before it plus or minus its
    own tickets. An operation precedes every operation that was called after its answer. A refusal saw a version that
    was current during its call and had too few tickets. The orders of all events must fit into one. A purchase of
    unknown outcome may have happened or not: the claim holds if it does for some choice.
    """
    name = "strict_serializability"
    versioned = VersionedRows.of(case)
    try:
        violation = _first_violation(versioned)
    except Undecided as open_question:
        if oversold := oversold_by_answers(case, name):
            return oversold
        return _valid_as_answered(case, name) or unknown(name, str(open_question))
    if violation is None:
        return valid(name, _summary(versioned))
    # An oversell explains a stale read: it names the cause.
    oversold = oversold_by_answers(case, name) if violation.anomaly is Anomaly.STALE_READ else None
    return oversold or invalid(name, violation.text, case.rows(np.array(violation.rows, np.int64)), violation.anomaly)


def _first_violation(versioned: VersionedRows) -> Violation | None:
    return next(filter(None, (stage(versioned) for stage in STAGES)), None)


def _valid_as_answered(case: IndexedHistory, name: str) -> Verdict | None:
    """VALID if there is an order in which each call that was answered as sold made its sale; else None.

    Of two calls of one id, one of unknown outcome, either can have made the sale. One order is enough.
    """
    if not case.undecided.any():
        return None
    versioned = VersionedRows.of(IndexedHistory(case.history, case.ledger, trusting=True))
    try:
        return None if _first_violation(versioned) else valid(name, _summary(versioned))
    except Undecided:
        return None


STAGES: Final[Sequence[Stage]] = (
    _versions.check_versions,
    _versions.check_stock,
    _versions.check_refusals,
    _versions.check_real_time,
    _refunds.impossible_ids,
    _refunds.refunds,
    _missing_versions.check_missing_versions,
    _unversioned.refusals,
)


def _summary(versioned: VersionedRows) -> str:
    count = int(versioned.case.is_first_line.sum())
    text = f"{counted(count, 'operation')}, one after another"
    if len(versioned.writers):
        text += f" in the order of {counted(len(versioned.writers), 'version')}"
    if versioned.case.versionless and versioned.case.sold.any():
        text += "; the sales carry no version, and some order of them explains every answer"
    return text
