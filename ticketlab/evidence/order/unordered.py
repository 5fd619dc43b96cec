"""Events whose sales tell no version: only intervals decide, and whether some order of them will do."""

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.columns import Mask
from ticketlab.evidence.order import small
from ticketlab.evidence.order.finding import Finding
from ticketlab.evidence.order.free import surely_free
from ticketlab.evidence.order.told import Told
from ticketlab.evidence.verdict import Anomaly


def refusals(told: Told) -> Finding | None:
    """A refusal while seats enough were free in every order.

    Without refunds that decides: let every sale take effect when it is called and every refusal when it is answered,
    and each refusal that could be right is.

    Raises:
        Undecided: seats were given back meanwhile, and no order was found.
    """
    case = told.case
    if not case.unordered.any():
        return None
    refused = np.flatnonzero(case.refused & case.unordered[case.event])
    free = np.maximum(surely_free(case, refused), case.available[refused])
    false = refused[free >= case.quantity[refused]]
    if len(false):
        text = f"event {case.event[false[0]]}: sold out was told while seats enough were free in every order"
        return Finding(text, [int(false[0])], Anomaly.FALSE_SOLD_OUT)
    given_back = case.surely_refunded | case.undecided | case.sold_again | case.refunded_nothing
    tied = np.isin(case.operation, case.operation[~case.leads])
    open_rows = (given_back | (case.refused & tied)) & case.unordered[case.event]
    events = np.unique(case.event[open_rows]).tolist()
    without = [event for event in events if not _has_an_order(case, event, int(told.total[event]), tied)]
    return small.search(case, without) if without else None


def _has_an_order(case: Case, event: int, total: int, tied: Mask) -> bool:
    """Whether an order was found that keeps the stock as low as it can be kept; there may be one all the same."""
    rows = np.flatnonzero(case.event == event)
    if (tied | case.undecided)[rows].any():
        return False
    sweep = _Sweep(case, total)
    matters = case.surely_sold | case.surely_refunded | case.refused | case.sold_again | case.refunded_nothing
    rows = rows[matters[rows]]
    calls = [(int(case.invoked[row]), False, int(row)) for row in rows]
    answers = [(int(case.latest[row]), True, int(row)) for row in rows]
    return all(sweep.ends(row) if ends else sweep.begins(row) for _, ends, row in sorted(calls + answers))


class _Sweep:
    """The stock of one event as time goes on: sales take effect as early as they can, refunds as late as they may."""

    def __init__(self, case: Case, stock: int) -> None:
        self._case = case
        self._stock = stock
        self._owners: set[int] = set()
        self._pending: set[int] = set()
        """Rows that were called, and have not taken effect, or not seen what they were told."""

    def begins(self, row: int) -> bool:
        """A call: it takes effect at once if it can and should."""
        self._pending.add(row)
        self._let_happen()
        return True

    def ends(self, row: int) -> bool:
        """An answer: False where it can not have taken effect by now."""
        while row in self._pending and not self._happens(row, at_last=True):
            others = (each for each in self._pending if self._case.surely_refunded[each] and self._is_owner(each))
            forced = next(others, None)
            if forced is None or not self._case.surely_sold[row]:
                return False
            self._happens(forced, at_last=True)
            self._let_happen()
        return True

    def _let_happen(self) -> None:
        """Whatever happens makes room for more."""
        while any(self._happens(row, at_last=False) for row in list(self._pending)):
            pass

    def _happens(self, row: int, *, at_last: bool) -> bool:
        case, seats, number = self._case, int(self._case.quantity[row]), int(self._case.id[row])
        if case.surely_sold[row]:
            can = seats <= self._stock and not self._is_owner(row)
        elif case.surely_refunded[row]:
            can = at_last and self._is_owner(row)
        elif case.refused[row]:
            can = seats > self._stock
        else:
            can = self._is_owner(row) == bool(case.sold_again[row])
        if not can:
            return False
        self._pending.discard(row)
        if case.surely_sold[row] or case.surely_refunded[row]:
            self._stock += int(case.change[row])
            (self._owners.discard if case.surely_refunded[row] else self._owners.add)(number)
            self._let_happen()
        return True

    def _is_owner(self, row: int) -> bool:
        return int(self._case.id[row]) in self._owners
