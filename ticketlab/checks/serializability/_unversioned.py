"""Finds an order for events whose sales report no version. A violation if there is none.

Definitions: the *free seats* of a refusal are those that were free throughout its call in every possible order. A
*configuration* of the search is a prefix of an order: which operations were called and are not placed yet, the stock,
and how many refunds with a known version are placed. Refunds may report versions: their *rank*.

Idea: first, a refusal for fewer tickets than its free seats is false in every order (`min_free_seats`). Second, events
with refunds or reported stocks are searched depth first: any operation called before the earliest answer of those not
placed may come next. Refusals are placed as soon as the stock suits them, for they change nothing. Two sales alike are
tried once: exchanging them changes nothing if no refund precedes the answer of its sale. Events of baskets and of
unknown outcomes go to the general search (`search.linearizability`).

Cost: O(n log n) for the free seats; the search is exponential at worst and gives up after `MOST_STEPS` configurations.

Source: Wing and Gong, "Testing and verifying concurrent objects", J. Parallel Distrib. Comput. 17 (1993).

Example: 2 seats; two sales in [0, 9], a refund of one of them in [10, 12], and a refusal in [8, 11]. The order sale,
sale, refusal, refund explains it: the refusal comes while no seat is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from ticketlab.checks.search import _linearizability
from ticketlab.checks.verdict import Anomaly, Violation
from ticketlab.outcomes import NOT_SEEN

if TYPE_CHECKING:
    from ticketlab.checks.serializability._versions import VersionedRows
    from ticketlab.history.arrays import Integers, Mask
    from ticketlab.history.index import IndexedHistory


MOST_STEPS: Final = 300_000
"""Configurations that the search looks at before it gives up."""


class _SeatTimeline(NamedTuple):
    """Seats that were sold or returned, by event and time."""

    event: Integers
    time: Integers
    seats: Integers

    def sum_until(self, event: int, times: Integers, *, side: Literal["left", "right"]) -> Integers:
        """The sum of seats of the event before each time; `side="right"` includes that very time."""
        first, end = np.searchsorted(self.event, [event, event + 1])
        sums = np.append(0, self.seats[first:end].cumsum())
        until: Integers = sums[np.searchsorted(self.time[first:end], times, side=side)]
        return until


def min_free_seats(case: IndexedHistory, refused: Integers) -> Integers:
    """For each of these refusals the seats that were free throughout its call, in every order of the sales.

    Each sale that took effect, or may have, counts from the earliest possible moment, a refund from its answer. Tickets
    in the ledger that no such sale explains count from the start: nothing says when they were taken.
    """
    seats, sales = case.seats, case.sold_certain | (case.undecided & case.purchases)
    rows = np.flatnonzero(sales)
    holders = rows[np.unique(case.pairs[rows], return_index=True)[1]]  # one sale for each id and event
    held = np.zeros(len(case), np.int64)
    held[holders] = case.tickets_held[holders]
    sold = _timeline(case, sales, case.since, np.maximum(case.quantity, held))
    returned = _timeline(case, case.refunded & case.refunded_certain, case.completed, case.quantity)
    explained = np.bincount(case.event[holders], case.tickets_held[holders], case.events).astype(np.int64)
    free = np.empty(len(refused), np.int64)
    for event in np.unique(case.event[refused]).tolist():
        ledger = seats[seats["event"] == event].iloc[0]
        of_event = case.event[refused] == event
        at_start = ledger["total"] - max(0, ledger["tickets"] - explained[event])
        free[of_event] = at_start - sold.sum_until(event, case.completed[refused[of_event]], side="right")
        free[of_event] += returned.sum_until(event, case.invoked[refused[of_event]], side="left")
    return free


def _timeline(case: IndexedHistory, mask: Mask, time: Integers, seats: Integers) -> _SeatTimeline:
    rows = np.flatnonzero(mask)
    rows = rows[np.lexsort((time[rows], case.event[rows]))]
    return _SeatTimeline(case.event[rows], time[rows], seats[rows].astype(np.int64))


class ItemKind(Enum):
    """What an item does with the stock."""

    SALE = "sale"
    REFUND = "refund"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An operation of the event."""

    row: int
    kind: ItemKind
    quantity: int
    since: int
    until: int
    stock: int = NOT_SEEN
    """The stock that it reports: after a sale or a refund, or seen by a refusal."""
    rank: int = NOT_SEEN
    """The version that a refund reports, or NOT_SEEN: refunds come in this order."""
    follows: int = NOT_SEEN
    """For a refund the row of its sale."""


class OrderResult(NamedTuple):
    """The result of a search."""

    found: bool
    exhausted: bool
    """Whether every order was tried: if none was found, none exists."""
    blocked: tuple[int, ...] = ()
    """If no order was found: the rows not placed where the longest partial order ends."""


class _Configuration(NamedTuple):
    """All items before `called` were called; of these, `waiting` are not placed yet."""

    called: int
    waiting: tuple[int, ...]
    stock: int
    rank: int
    """How many refunds with a rank are placed."""


def search(items: Sequence[Item], total: int) -> OrderResult:
    """Look for an order of these items, for an event that starts with `total` seats."""
    return _Search(items, total).run()


class _Search:
    def __init__(self, items: Sequence[Item], total: int) -> None:
        self._items = sorted(items, key=lambda item: item.since)
        self._total = total
        index = {item.row: number for number, item in enumerate(self._items)}
        self._sale = [index.get(item.follows, NOT_SEEN) for item in self._items]
        refunds = [item for item in self._items if item.kind is ItemKind.REFUND]
        self._ranks = sorted(item.rank for item in refunds if item.rank != NOT_SEEN)
        self._all_refunds_report = all(NOT_SEEN not in {item.stock, item.rank} for item in refunds)
        # Trying only one of two sales alike excludes no order if no refund can precede the answer of its sale.
        self._exact = all(
            item.since > self._items[sale].until
            for item, sale in zip(self._items, self._sale, strict=True)
            if item.kind is ItemKind.REFUND and sale != NOT_SEEN
        )

    def run(self) -> OrderResult:
        start = self._settled(_Configuration(0, (), self._total, 0))
        seen: set[tuple[int, tuple[int, ...]]] = set()
        stack = [start] if start is not None else []
        longest = start or _Configuration(0, tuple(range(len(self._items))), self._total, 0)
        for _ in range(MOST_STEPS):
            if not stack:
                return OrderResult(found=False, exhausted=self._exact, blocked=self._rows(longest))
            current = stack.pop()
            if current.called == len(self._items) and not current.waiting:
                return OrderResult(found=True, exhausted=False)
            if current.called - len(current.waiting) > longest.called - len(longest.waiting):
                longest = current
            fresh = [following for following in self._next(current) if following[:2] not in seen]
            seen.update(following[:2] for following in fresh)
            stack.extend(reversed(fresh))
        return OrderResult(found=False, exhausted=False, blocked=self._rows(longest))

    def _rows(self, configuration: _Configuration) -> tuple[int, ...]:
        return tuple(self._items[number].row for number in configuration.waiting)

    def _next(self, current: _Configuration) -> Iterator[_Configuration]:
        """The configurations after one more sale or refund; the earliest answer is tried first."""
        forced = self._forced(current)
        tried = set()
        for number in sorted(current.waiting, key=lambda waiting: self._items[waiting].until):
            item = self._items[number]
            alike = (item.kind, item.quantity, item.stock, item.rank)
            if item.kind is ItemKind.REFUSAL or alike in tried or (forced is not None and number != forced):
                continue
            placed = self._placed(current, number)
            if placed is None:
                continue
            if item.kind is ItemKind.SALE:
                tried.add(alike)
            settled = self._settled(placed)
            if settled is not None:
                yield settled

    def _forced(self, current: _Configuration) -> int | None:
        """The next refund, if all refunds report their stock and the stock is the one before it: it comes now."""
        if not self._all_refunds_report:
            return None
        for number in current.waiting:
            item = self._items[number]
            leaves_its_stock = item.kind is ItemKind.REFUND and current.stock + item.quantity == item.stock
            if leaves_its_stock and self._is_next_refund(current, number):
                return number
        return None

    def _is_next_refund(self, current: _Configuration, number: int) -> bool:
        item, sale = self._items[number], self._sale[number]
        if item.rank != NOT_SEEN and self._ranks[current.rank] != item.rank:
            return False
        return sale == NOT_SEEN or (sale < current.called and sale not in current.waiting)

    def _placed(self, current: _Configuration, number: int) -> _Configuration | None:
        """The configuration after a sale or refund; None if it cannot come next."""
        item = self._items[number]
        is_refund = item.kind is ItemKind.REFUND
        stock = current.stock + (item.quantity if is_refund else -item.quantity)
        if stock < 0 or stock > self._total or item.stock not in {NOT_SEEN, stock}:
            return None
        if is_refund and not self._is_next_refund(current, number):
            return None
        waiting = tuple(other for other in current.waiting if other != number)
        return _Configuration(current.called, waiting, stock, current.rank + (is_refund and item.rank != NOT_SEEN))

    def _settled(self, current: _Configuration) -> _Configuration | None:
        """The configuration with all possible calls made and all refusals placed that suit; None for a dead end.

        Placing a refusal may move the earliest open answer, and so allow further calls: repeat until nothing changes.
        """
        called, waiting = current.called, list(current.waiting)
        while True:
            waiting = [number for number in waiting if not self._is_refused(self._items[number], current.stock)]
            deadline = min((self._items[number].until for number in waiting), default=None)
            before = called
            while called < len(self._items) and (deadline is None or self._items[called].since <= deadline):
                until = self._items[called].until
                deadline = until if deadline is None else min(deadline, until)
                waiting.append(called)
                called += 1
            if called == before:
                break
        settled = current._replace(called=called, waiting=tuple(waiting))
        return None if self._is_dead_end(settled) else settled

    @staticmethod
    def _is_refused(item: Item, stock: int) -> bool:
        return item.kind is ItemKind.REFUSAL and stock < item.quantity and item.stock in {NOT_SEEN, stock}

    def _is_dead_end(self, current: _Configuration) -> bool:
        """Whether the stock is already below the one that the next refund needs."""
        if not self._all_refunds_report or current.rank >= len(self._ranks):
            return False
        for number in current.waiting:
            item = self._items[number]
            if item.kind is ItemKind.REFUND and item.rank == self._ranks[current.rank]:
                return current.stock + item.quantity < item.stock
        return False


def refusals(versioned: VersionedRows) -> Violation | None:
    """A refusal while enough seats were free in every order, or answers that no order explains.

    Raises:
        Undecided: no order was found, and none was ruled out.
    """
    case = versioned.case
    if not case.versionless:
        return None
    refused = np.flatnonzero(case.refused)
    free = np.maximum(min_free_seats(case, refused), case.available[refused])
    false = refused[free >= case.quantity[refused]]
    if len(false):
        text = f"event {case.event[false[0]]}: sold out was answered while enough seats were free in every order"
        return Violation(text, [int(false[0])], Anomaly.FALSE_SOLD_OUT)
    of_basket = np.isin(case.operation, case.operation[~case.is_first_line])
    matters = case.changed_stock | case.undecided | case.refused
    uncertain = case.undecided | case.effects.entangled
    reported = (case.available != NOT_SEEN) & matters
    searched = case.refunded_certain | uncertain | reported | (case.refused & of_basket)
    general = uncertain | (of_basket & matters)
    unsolved: list[int] = []
    for event in np.unique(case.event[searched]).tolist():
        rows = np.flatnonzero((case.event == event) & matters)
        if general[rows].any():
            unsolved.append(event)
            continue
        try:
            violation = _search(case, event, rows, int(versioned.total[event]))
        except _NotExhaustedError:
            unsolved.append(event)
            continue
        if violation is not None:
            return violation
    return _linearizability.search(case, unsolved) if unsolved else None


class _NotExhaustedError(Exception):
    """The search found no order and did not try them all."""


def _search(case: IndexedHistory, event: int, rows: Integers, total: int) -> Violation | None:
    refunds = rows[case.refund_version[rows] != NOT_SEEN]
    versions, counts = np.unique(case.refund_version[refunds], return_counts=True)
    if (counts > 1).any():
        twice = refunds[case.refund_version[refunds] == versions[counts > 1][0]]
        text = f"event {event}: version {versions[counts > 1][0]:,} was made twice"
        return Violation(text, twice[:2].tolist(), Anomaly.LOST_UPDATE)
    result = search(_items(case, rows), total)
    if result.found:
        return None
    if not result.exhausted:
        raise _NotExhaustedError
    text = f"event {event}: no order of its sales and refunds explains every answer"
    return Violation(text, sorted(result.blocked), Anomaly.STALE_READ)


def _items(case: IndexedHistory, rows: Integers) -> list[Item]:
    sales = rows[case.sold_certain[rows]]
    sale_of = dict(zip(case.id[sales].tolist(), sales.tolist(), strict=True))
    return [
        Item(
            row=row,
            kind=ItemKind.REFUSAL if case.refused[row] else ItemKind.SALE if case.purchases[row] else ItemKind.REFUND,
            quantity=int(case.quantity[row]),
            since=int(case.since[row]),
            until=int(case.until[row]),
            stock=int(case.available[row]),
            rank=int(case.refund_version[row]),
            follows=NOT_SEEN if case.purchases[row] else sale_of.get(int(case.id[row]), NOT_SEEN),
        )
        for row in rows.tolist()
    ]
