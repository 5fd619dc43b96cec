"""Seats that were free whatever the order of sales: what intervals alone can tell."""

from typing import Literal, NamedTuple

import numpy as np

from ticketlab.evidence.case import Case
from ticketlab.evidence.columns import Integers, Mask


class _Seats(NamedTuple):
    """Seats that changed hands, ordered by event and time."""

    event: Integers
    at: Integers
    seats: Integers

    def until(self, event: int, moments: Integers, *, side: Literal["left", "right"]) -> Integers:
        """How many had of this event at each of the moments: those of the very moment too where the side is right."""
        first, last = np.searchsorted(self.event, [event, event + 1])
        sums = np.append(0, self.seats[first:last].cumsum())
        places: Integers = sums[np.searchsorted(self.at[first:last], moments, side=side)]
        return places


def surely_free(case: Case, refused: Integers) -> Integers:
    """The seats that were free, whatever the order of sales, as long as each refusal was under way."""
    seats = case.seats
    taken, returned = _taken(case), _returned(case)
    held = case.purchases & case.first_asked & (case.held > 0)
    asked = np.bincount(case.event[held], case.held[held], len(case.unordered)).astype(np.int64)
    free = np.empty(len(refused), np.int64)
    for event in np.unique(case.event[refused]).tolist():
        of_event = seats[seats["event"] == event].iloc[0]
        rows = case.event[refused] == event
        # Tickets of nobody have been taken from the start: nothing says since when.
        left = of_event["total"] - (of_event["tickets"] - asked[event])
        free[rows] = left - taken.until(event, case.completed[refused[rows]], side="right")
        free[rows] += returned.until(event, case.invoked[refused[rows]], side="left")
    return free


def _taken(case: Case) -> _Seats:
    """The seats of everybody who has tickets, or gave them back, from when he first asked for them."""
    back = (case.per_id(case.surely_refunded | case.perhaps_refunded) > 0)[case.id]
    took = case.purchases & case.first_asked & ((case.held > 0) | (back & (case.sold | case.perhaps_sold)))
    return _ordered(case, took, case.invoked, np.maximum(case.held, np.where(back, case.quantity, 0)))


def _returned(case: Case) -> _Seats:
    """The seats that were surely given back, from when that was told."""
    return _ordered(case, case.refunded, case.completed, case.quantity)


def _ordered(case: Case, rows: Mask, at: Integers, seats: Integers) -> _Seats:
    places = np.flatnonzero(rows)
    places = places[np.lexsort((at[places], case.event[places]))]
    return _Seats(case.event[places], at[places], seats[places].astype(np.int64))
