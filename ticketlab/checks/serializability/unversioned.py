"""Seats that were free whatever the order of sales: what intervals alone can tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple

import numpy as np

from ticketlab.checks.search import linearizability
from ticketlab.checks.serializability.versions import VersionedRows, Violation
from ticketlab.checks.verdict import Anomaly
from ticketlab.history.arrays import Integers, Mask
from ticketlab.history.index import IndexedHistory
from ticketlab.history.recording import NOT_SEEN


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
    explained = np.bincount(case.event[held], case.tickets_held[held], case.events).astype(np.int64)
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
    return case.sold_certain | (case.undecided & case.purchases)


def _holders(case: IndexedHistory) -> Integers:
    """One of these sales for each id and event."""
    rows = np.flatnonzero(_sales(case))
    _, first = np.unique(case.pairs[rows], return_index=True)
    holders: Integers = rows[first]
    return holders


def _taken(case: IndexedHistory) -> _SeatTimeline:
    """The seats of every sale, or those that its id holds if these are more."""
    held, holders = np.zeros(len(case), np.int64), _holders(case)
    held[holders] = case.tickets_held[holders]
    return _ordered(case, _sales(case), case.since, np.maximum(case.quantity, held))


def _returned(case: IndexedHistory) -> _SeatTimeline:
    """The seats that were surely given back, from when that was answered."""
    return _ordered(case, case.refunded & case.refunded_certain, case.completed, case.quantity)


def _ordered(case: IndexedHistory, rows: Mask, at: Integers, seats: Integers) -> _SeatTimeline:
    places = np.flatnonzero(rows)
    places = places[np.lexsort((at[places], case.event[places]))]
    return _SeatTimeline(case.event[places], at[places], seats[places].astype(np.int64))


MOST_STEPS: Final = 300_000
"""Configurations that are looked at before the search gives up."""


class Kind(Enum):
    """What an item does with the stock."""

    SALE = "sale"
    REFUND = "refund"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An operation of the event."""

    row: int
    kind: Kind
    quantity: int
    since: int
    until: int
    stock: int = NOT_SEEN
    """The stock that it reports: after a sale or a refund, or seen by a refusal."""
    rank: int = NOT_SEEN
    """Of a refund its place among the refunds, where that is known."""
    follows: int = NOT_SEEN
    """Of a refund the row of its sale."""


class Answer(NamedTuple):
    """What the search came to."""

    found: bool
    exhausted: bool
    """Whether every order was tried: without one that fits, none exists."""
    stuck: tuple[int, ...] = ()
    """The rows of which none can come next, where the longest order ends."""


class _Place(NamedTuple):
    """A configuration: all items before `called` were called, and those of them that are `waiting` are not placed."""

    called: int
    waiting: tuple[int, ...]
    stock: int
    rank: int


def search(items: Sequence[Item], total: int) -> Answer:
    """Look for an order of these items, for an event that starts with `total` seats."""
    return _Search(items, total).run()


class _Search:
    def __init__(self, items: Sequence[Item], total: int) -> None:
        self._items = sorted(items, key=lambda each: each.since)
        self._total = total
        places = {each.row: place for place, each in enumerate(self._items)}
        self._sale = [places.get(each.follows, NOT_SEEN) for each in self._items]
        refunds = [each for each in self._items if each.kind is Kind.REFUND]
        self._ranks = sorted(each.rank for each in refunds if each.rank != NOT_SEEN)
        self._all_refunds_report = all(NOT_SEEN not in {each.stock, each.rank} for each in refunds)
        # The exchange of two sales alike holds if no refund can come before the answer of its sale.
        self._exact = all(
            each.since > self._items[sale].until
            for each, sale in zip(self._items, self._sale, strict=True)
            if each.kind is Kind.REFUND and sale != NOT_SEEN
        )

    def run(self) -> Answer:
        start = self._settled(_Place(0, (), self._total, 0))
        seen: set[tuple[int, tuple[int, ...]]] = set()
        ahead = [start] if start is not None else []
        best = start or _Place(0, tuple(range(len(self._items))), self._total, 0)
        for _ in range(MOST_STEPS):
            if not ahead:
                return Answer(found=False, exhausted=self._exact, stuck=self._rows(best))
            place = ahead.pop()
            if place.called == len(self._items) and not place.waiting:
                return Answer(found=True, exhausted=False)
            if place.called - len(place.waiting) > best.called - len(best.waiting):
                best = place
            fresh = [each for each in self._next(place) if (each.called, each.waiting) not in seen]
            seen.update((each.called, each.waiting) for each in fresh)
            ahead.extend(reversed(fresh))
        return Answer(found=False, exhausted=False, stuck=self._rows(best))

    def _rows(self, place: _Place) -> tuple[int, ...]:
        return tuple(self._items[each].row for each in place.waiting)

    def _next(self, place: _Place) -> Iterator[_Place]:
        """The configurations after one more sale or refund, in the order in which they are tried."""
        forced = self._forced(place)
        tried = set()
        for number in sorted(place.waiting, key=lambda each: self._items[each].until):
            item = self._items[number]
            alike = (item.kind, item.quantity, item.stock, item.rank)
            if item.kind is Kind.REFUSAL or alike in tried or (forced is not None and number != forced):
                continue
            moved = self._moved(place, number)
            if moved is None:
                continue
            if item.kind is Kind.SALE:
                tried.add(alike)
            settled = self._settled(moved)
            if settled is not None:
                yield settled

    def _forced(self, place: _Place) -> int | None:
        """The next refund, if all refunds report their stock and the stock of the next one is there: it comes now."""
        if not self._all_refunds_report:
            return None
        for number in place.waiting:
            item = self._items[number]
            if item.kind is Kind.REFUND and place.stock + item.quantity == item.stock and self._may_come(place, number):
                return number
        return None

    def _may_come(self, place: _Place, number: int) -> bool:
        item, sale = self._items[number], self._sale[number]
        if item.rank != NOT_SEEN and self._ranks[place.rank] != item.rank:
            return False
        return sale == NOT_SEEN or (sale < place.called and sale not in place.waiting)

    def _moved(self, place: _Place, number: int) -> _Place | None:
        """The configuration after a sale or refund; None if it cannot happen there."""
        item = self._items[number]
        stock = place.stock + (item.quantity if item.kind is Kind.REFUND else -item.quantity)
        if stock < 0 or stock > self._total or item.stock not in {NOT_SEEN, stock}:
            return None
        if item.kind is Kind.REFUND and not self._may_come(place, number):
            return None
        left = tuple(each for each in place.waiting if each != number)
        ranked = item.kind is Kind.REFUND and item.rank != NOT_SEEN
        return _Place(place.called, left, stock, place.rank + ranked)

    def _settled(self, place: _Place) -> _Place | None:
        """The configuration with all called that can be and all refusals placed that suit; None for a dead end."""
        called, waiting = place.called, list(place.waiting)
        while True:
            waiting = [each for each in waiting if not self._is_refused(self._items[each], place.stock)]
            deadline = min((self._items[each].until for each in waiting), default=None)
            fresh = called
            while fresh < len(self._items) and (deadline is None or self._items[fresh].since <= deadline):
                until = self._items[fresh].until
                deadline = until if deadline is None else min(deadline, until)
                waiting.append(fresh)
                fresh += 1
            if fresh == called:
                break
            called = fresh
        settled = place._replace(called=called, waiting=tuple(waiting))
        return None if self._is_dead_end(settled) else settled

    @staticmethod
    def _is_refused(item: Item, stock: int) -> bool:
        return item.kind is Kind.REFUSAL and stock < item.quantity and item.stock in {NOT_SEEN, stock}

    def _is_dead_end(self, place: _Place) -> bool:
        """Whether the stock has fallen below the one at which the next refund must come."""
        if not self._all_refunds_report or place.rank >= len(self._ranks):
            return False
        for number in place.waiting:
            item = self._items[number]
            if item.kind is Kind.REFUND and item.rank == self._ranks[place.rank]:
                return place.stock + item.quantity < item.stock
        return False


def refusals(told: VersionedRows) -> Violation | None:
    """A refusal while enough seats were free in every order, or answers that no order explains.

    Raises:
        Undecided: no order was found, and none was ruled out.
    """
    case = told.case
    if not case.versionless:
        return None
    refused = np.flatnonzero(case.refused)
    free = np.maximum(min_free_seats(case, refused), case.available[refused])
    false = refused[free >= case.quantity[refused]]
    if len(false):
        text = f"event {case.event[false[0]]}: sold out was answered while enough seats were free in every order"
        return Violation(text, [int(false[0])], Anomaly.FALSE_SOLD_OUT)
    joined = np.isin(case.operation, case.operation[~case.is_first_line])
    matters = case.changed_stock | case.undecided | case.refused
    reported = (case.available != NOT_SEEN) & matters
    searched = case.refunded_certain | case.undecided | case.effects.entangled | reported | (case.refused & joined)
    general = case.undecided | case.effects.entangled | (joined & matters)
    left_open: list[int] = []
    for event in np.unique(case.event[searched]).tolist():
        rows = np.flatnonzero((case.event == event) & matters)
        if general[rows].any():
            left_open.append(event)
            continue
        finding = _search(case, event, rows, int(told.total[event]))
        if finding is None:
            continue
        if finding.rows:
            return finding
        left_open.append(event)
    return linearizability.search(case, left_open) if left_open else None


def _search(case: IndexedHistory, event: int, rows: Integers, total: int) -> Violation | None:
    """None if an order was found; a finding without rows if the search gave up."""
    refunds = rows[case.refund_version[rows] != NOT_SEEN]
    versions, counts = np.unique(case.refund_version[refunds], return_counts=True)
    if (counts > 1).any():
        twice = refunds[case.refund_version[refunds] == versions[counts > 1][0]]
        text = f"event {event}: version {versions[counts > 1][0]:,} was made twice"
        return Violation(text, twice[:2].tolist(), Anomaly.LOST_UPDATE)
    answer = search(_items(case, rows), total)
    if answer.found:
        return None
    if not answer.exhausted:
        return Violation("", (), Anomaly.STALE_READ)
    stuck = np.array(sorted(answer.stuck), np.int64)
    text = f"event {event}: no order of its sales and refunds explains every answer"
    return Violation(text, stuck.tolist(), Anomaly.STALE_READ)


def _items(case: IndexedHistory, rows: Integers) -> list[Item]:
    sale_of = dict(
        zip(case.id[rows][case.sold_certain[rows]].tolist(), rows[case.sold_certain[rows]].tolist(), strict=True)
    )
    return [
        Item(
            row=row,
            kind=Kind.REFUSAL if case.refused[row] else Kind.SALE if case.purchases[row] else Kind.REFUND,
            quantity=int(case.quantity[row]),
            since=int(case.since[row]),
            until=int(case.until[row]),
            stock=int(case.available[row]),
            rank=int(case.refund_version[row]),
            follows=NOT_SEEN if case.purchases[row] else sale_of.get(int(case.id[row]), NOT_SEEN),
        )
        for row in rows.tolist()
    ]
