"""How the calls of one purchase id go together: a refund gives back what was bought, afterwards, once."""

import numpy as np

from ticketlab.checks.serializability.versions import VersionedRows, Violation
from ticketlab.checks.verdict import Anomaly
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN
from ticketlab.history.text import counted


def refunds(told: VersionedRows) -> Violation | None:
    """A refund of what was not bought, of another number of tickets, before it was bought, or once more."""
    case = told.case
    rows = np.flatnonzero(case.refunded_certain & ~case.effects.entangled & ~_is_of_any_sale(case))
    if not len(rows):
        return None
    sale = _sale_of(case, rows)
    flaws = (
        (sale < 0, "was given back, and no buyer had bought it", Anomaly.PHANTOM_SALE),
        (_other_tickets(case, rows, sale), "was given back with another number of tickets", Anomaly.HALF_PURCHASE),
        (_too_early(case, rows, sale), "was given back before it was bought", Anomaly.DIRTY_READ),
    )
    for wrong, text, anomaly in flaws:
        if wrong.any():
            row = int(rows[np.flatnonzero(wrong)[0]])
            return Violation(f"event {case.event[row]}: a purchase {text}", _calls(case, row), anomaly)
    return None


def impossible_ids(told: VersionedRows) -> Violation | None:
    """An id whose own answers, taken together, cannot all be true of the tickets that it owns at the end."""
    case = told.case
    if not case.effects.impossible.any():
        return None
    row = int(np.flatnonzero(case.effects.impossible[case.id])[0])
    sold, refunded = case.sold & ~case.repeated, case.refunded
    mine = case.id == case.id[row]
    event = f"event {case.event[row]}: "
    if (refunded & mine & case.is_first_line).sum() > (
        (case.sold | case.sale_unknown) & mine & case.is_first_line
    ).sum():
        return Violation(event + "a purchase was given back twice", _calls(case, row), Anomaly.DOUBLE_REFUND)
    if (case.empty_refunds & mine).any() and not (refunded & mine).any():
        text = "a refund was answered that the purchase owns nothing, but it owned its tickets at that time"
        return Violation(event + text, _calls(case, row), Anomaly.STALE_READ)
    if (case.repeated & case.sold & mine).any() and not case.owned[case.id[row]]:
        text = "a call was answered that the purchase had been made before, but it owned nothing at that time"
        return Violation(event + text, _calls(case, row), Anomaly.STALE_READ)
    owned, asked = int(case.owned[case.id[row]]), int(case.quantity[mine & case.purchases].max(initial=0))
    anomaly = (
        Anomaly.DOUBLE_SALE if owned > asked or (sold & mine & case.is_first_line).sum() > 1 else Anomaly.LOST_SALE
    )
    tickets = counted(owned, "ticket")
    text = f"no order of the calls of one purchase id explains its answers and the {tickets} that it owns"
    return Violation(event + text, _calls(case, row), anomaly)


def _calls(case: IndexedHistory, row: int) -> list[int]:
    """The rows under the id of this row that took effect, may have, or were answered as if they had."""
    answered = case.sold | case.refunded | case.empty_refunds | case.sale_unknown | case.refund_unknown
    calls: list[int] = np.flatnonzero((case.id == case.id[row]) & answered).tolist()
    return calls


def _is_of_any_sale(case: IndexedHistory) -> Mask:
    """Rows of ids with several sales, of which the versions do not say in which order they and the refund come."""
    sales = case.sold_certain | (case.undecided & case.purchases)
    several = case.count_by_id(sales) > 1
    without = np.bincount(case.id[(case.changed_stock | sales) & (case.version == NOT_SEEN)], minlength=case.ids) > 0
    unclear: Mask = (several & without)[case.id]
    return unclear


def _sale_of(case: IndexedHistory, rows: Integers) -> Integers:
    """The row of the sale that each of these refunds gives back, or -1: the last one before it of its id and event.

    Before means in the order of versions where both have one; an id that is not bought again has one sale only.
    """
    sales = np.flatnonzero(case.sold_certain | (case.undecided & case.purchases))
    if not len(sales):
        return np.full(len(rows), -1)
    order = np.lexsort((case.version[sales], case.pairs[sales]))
    sales = sales[order]
    width = int(max(case.version.max(initial=0), 0)) + 2
    place_of = np.maximum(case.version, -1) + 1  # 0 for a row that reports no version
    keys = case.pairs[sales] * width + place_of[sales]
    wanted = case.pairs[rows] * width + np.where(case.version[rows] == NOT_SEEN, width - 1, place_of[rows])
    place = np.searchsorted(keys, wanted, side="right") - 1
    fits = (place >= 0) & (case.pairs[sales[place]] == case.pairs[rows])
    first = np.minimum(np.searchsorted(case.pairs[sales], case.pairs[rows]), len(sales) - 1)
    later = case.pairs[sales[first]] == case.pairs[rows]
    return np.where(fits, sales[place], np.where(later, sales[first], -1))


def _other_tickets(case: IndexedHistory, rows: Integers, sale: Integers) -> Mask:
    lines = np.bincount(case.operation)[case.operation]
    wanted = np.abs(case.stock_delta)
    other: Mask = (sale >= 0) & ((wanted[rows] != wanted[sale]) | (lines[rows] != lines[sale]))
    return other


def _too_early(case: IndexedHistory, rows: Integers, sale: Integers) -> Mask:
    both = (case.version[rows] != NOT_SEEN) & (case.version[sale] != NOT_SEEN)
    by_version = both & (case.version[rows] < case.version[sale])
    early: Mask = (sale >= 0) & (by_version | (case.until[rows] < case.since[sale]))
    return early
