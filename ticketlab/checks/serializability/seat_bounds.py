"""Seats that were free whatever the order of sales: what intervals alone can tell."""

from typing import Literal, NamedTuple

import numpy as np

from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory


class _SeatTimeline(NamedTuple):
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


def min_free_seats(case: IndexedHistory, refused: Integers) -> Integers:
    """The seats that were free, whatever the order of sales, as long as each refusal was under way.

    Every sale that took effect, or may have, is counted from the earliest moment on at which it can have; a refund
    from its answer on. Tickets that no such sale explains are counted from the start: nothing says since when.
    """
    seats = case.seats
    taken, returned = _taken(case), _returned(case)
    held = _holders(case)
    explained = np.bincount(case.event[held], case.held[held], case.events).astype(np.int64)
    free = np.empty(len(refused), np.int64)
    for event in np.unique(case.event[refused]).tolist():
        of_event = seats[seats["event"] == event].iloc[0]
        rows = case.event[refused] == event
        left = of_event["total"] - max(0, of_event["tickets"] - explained[event])
        free[rows] = left - taken.until(event, case.completed[refused[rows]], side="right")
        free[rows] += returned.until(event, case.invoked[refused[rows]], side="left")
    return free


def _sales(case: IndexedHistory) -> Mask:
    """Every sale that took effect, or may have."""
    return case.surely_sold | (case.undecided & case.purchases)


def _holders(case: IndexedHistory) -> Integers:
    """One of these sales for each id and event."""
    rows = np.flatnonzero(_sales(case))
    _, first = np.unique(case.pairs[rows], return_index=True)
    holders: Integers = rows[first]
    return holders


def _taken(case: IndexedHistory) -> _SeatTimeline:
    """The seats of every sale, or those that its id holds if these are more."""
    held, holders = np.zeros(len(case), np.int64), _holders(case)
    held[holders] = case.held[holders]
    return _ordered(case, _sales(case), case.since, np.maximum(case.quantity, held))


def _returned(case: IndexedHistory) -> _SeatTimeline:
    """The seats that were surely given back, from when that was answered."""
    return _ordered(case, case.refunded & case.surely_refunded, case.completed, case.quantity)


def _ordered(case: IndexedHistory, rows: Mask, at: Integers, seats: Integers) -> _SeatTimeline:
    places = np.flatnonzero(rows)
    places = places[np.lexsort((at[places], case.event[places]))]
    return _SeatTimeline(case.event[places], at[places], seats[places].astype(np.int64))
