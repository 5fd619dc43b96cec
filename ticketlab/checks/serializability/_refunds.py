"""Checks the calls of each purchase id: a refund returns what was sold, after the sale, once.

Definitions: the *sale of a refund* is the last sale of the same purchase id and event before it, by version where both
report one. A *certain* row surely took effect (`IndexedHistory.effects`).

Idea: sales are sorted by id, event and version; a binary search finds the sale of each refund. The two are then
compared: same tickets, sale first. An id whose answers no order of its own calls explains is named by what shows it.

Cost: O(n log n) for the sort.

Example: a purchase of 2 tickets makes version 4, and a refund of the same id makes version 3: refunded before it was
sold. Without any sale of that id, the refund returned tickets that no buyer had bought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ticketlab.checks.serializability._versions import VersionedRows, first_index
from ticketlab.checks.verdict import Anomaly, Violation
from ticketlab.history.text import counted
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.index import IndexedHistory


def refunds(versioned: VersionedRows) -> Violation | None:
    """A refund without a sale, of another number of tickets than its sale, or before it."""
    case = versioned.case
    rows = np.flatnonzero(case.refunded_certain & ~case.effects.entangled & ~_has_ambiguous_sale(case))
    if not len(rows):
        return None
    sale = _sale_of(case, rows)
    violations = (
        (sale < 0, "a purchase was refunded that no buyer had made", Anomaly.PHANTOM_SALE),
        (_other_tickets(case, rows, sale), "a refund is of other tickets than its purchase", Anomaly.HALF_PURCHASE),
        (_too_early(case, rows, sale), "a purchase was refunded before it was made", Anomaly.DIRTY_READ),
    )
    for wrong, text, anomaly in violations:
        if (index := first_index(wrong)) is not None:
            row = int(rows[index])
            return Violation(f"event {case.event[row]}: {text}", _calls(case, row), anomaly)
    return None


def impossible_ids(versioned: VersionedRows) -> Violation | None:
    """A purchase id whose answers contradict each other or the tickets that it owns at the end."""
    case = versioned.case
    if not case.effects.impossible.any():
        return None
    row = int(np.flatnonzero(case.effects.impossible[case.id])[0])
    of_id = case.id == case.id[row]
    text, anomaly = _contradiction(case, of_id, owned=int(case.owned[case.id[row]]))
    return Violation(f"event {case.event[row]}: {text}", _calls(case, row), anomaly)


def _contradiction(case: IndexedHistory, of_id: Mask, *, owned: int) -> tuple[str, Anomaly]:
    first = of_id & case.is_first_line
    if (case.refunded & first).sum() > ((case.sold | case.sale_unknown) & first).sum():
        return "a purchase was refunded twice", Anomaly.DOUBLE_REFUND
    if (case.empty_refunds & of_id).any() and not (case.refunded & of_id).any():
        text = "a refund was answered that the purchase owns nothing, but it owned its tickets at that time"
        return text, Anomaly.STALE_READ
    if (case.repeated & case.sold & of_id).any() and not owned:
        text = "a call was answered that the purchase had been made before, but it owned nothing at that time"
        return text, Anomaly.STALE_READ
    requested = int(case.quantity[of_id & case.purchases].max(initial=0))
    twice = owned > requested or (case.sold & ~case.repeated & first).sum() > 1
    text = f"no order of the calls of one purchase id explains its answers and the {counted(owned, 'ticket')} it owns"
    return text, Anomaly.DOUBLE_SALE if twice else Anomaly.LOST_SALE


def _calls(case: IndexedHistory, row: int) -> list[int]:
    """The rows under the id of this row that took effect, may have, or were answered as if they had."""
    answered = case.sold | case.refunded | case.empty_refunds | case.sale_unknown | case.refund_unknown
    calls: list[int] = np.flatnonzero((case.id == case.id[row]) & answered).tolist()
    return calls


def _has_ambiguous_sale(case: IndexedHistory) -> Mask:
    """Rows of ids with several sales whose order the versions do not give."""
    sales = case.sold_certain | (case.undecided & case.purchases)
    several = case.count_by_id(sales) > 1
    without = np.bincount(case.id[(case.changed_stock | sales) & (case.version == NOT_SEEN)], minlength=case.ids) > 0
    ambiguous: Mask = (several & without)[case.id]
    return ambiguous


def _sale_of(case: IndexedHistory, rows: Integers) -> Integers:
    """The row of the sale of each of these refunds, or -1.

    The last sale before the refund by version. Without one, the first sale of the id and event, if there is any: it is
    for the caller to see that it is later.
    """
    sales = np.flatnonzero(case.sold_certain | (case.undecided & case.purchases))
    if not len(sales):
        return np.full(len(rows), -1)
    sales = sales[np.lexsort((case.version[sales], case.pairs[sales]))]
    width = int(max(case.version.max(initial=0), 0)) + 2
    version = np.maximum(case.version, -1) + 1  # 0 for a row that reports none: such a sale sorts before all others
    keys = case.pairs[sales] * width + version[sales]
    wanted = case.pairs[rows] * width + np.where(case.version[rows] == NOT_SEEN, width - 1, version[rows])
    index = np.searchsorted(keys, wanted, side="right") - 1
    is_before = (index >= 0) & (case.pairs[sales[index]] == case.pairs[rows])
    first = np.minimum(np.searchsorted(case.pairs[sales], case.pairs[rows]), len(sales) - 1)
    exists = case.pairs[sales[first]] == case.pairs[rows]
    return np.where(is_before, sales[index], np.where(exists, sales[first], -1))


def _other_tickets(case: IndexedHistory, rows: Integers, sale: Integers) -> Mask:
    lines = np.bincount(case.operation)[case.operation]
    tickets = np.abs(case.stock_delta)
    other: Mask = (sale >= 0) & ((tickets[rows] != tickets[sale]) | (lines[rows] != lines[sale]))
    return other


def _too_early(case: IndexedHistory, rows: Integers, sale: Integers) -> Mask:
    both = (case.version[rows] != NOT_SEEN) & (case.version[sale] != NOT_SEEN)
    by_version = both & (case.version[rows] < case.version[sale])
    early: Mask = (sale >= 0) & (by_version | (case.until[rows] < case.since[sale]))
    return early
