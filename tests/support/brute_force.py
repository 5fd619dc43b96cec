"""Decides a small history by trying every order of its operations. Independent of every check of the package.

A history is possible if its operations can be put in an order in which each takes effect within its call, does what it
reports, and leaves what the ledger holds. The search goes depth first: it keeps the set of operations that have taken
effect and the state after them, and visits each such pair once. Cost: exponential in the operations; meant for seven.

When an operation takes effect: at one instant from `invoked` to `completed`, both included, so an operation may come
after another one unless it completed before the other was invoked. An operation of outcome UNKNOWN may take effect at
any later instant, or never.

What counts of the reported numbers is decided once for the whole history (see `Reading`).
"""

import math
from collections import Counter
from enum import Enum, auto
from typing import NamedTuple

from small_cases import NO_EFFECT, Line, Operation, SmallCase

from ticketlab.outcomes import Kind, Outcome


class Reading(Enum):
    """How the reported numbers of a history are read."""

    EXACT = auto()
    """Some first report of a sale carries a version: every sale and refund makes the next version of its event."""
    VERSIONLESS = auto()
    """No such report does: whether a sale makes a version is not known. Of an event's refunds the versions rise."""
    STOCK_ELSEWHERE = auto()
    """Stock is counted apart from the event's row: reported versions and stocks say nothing."""


class Held(NamedTuple):
    """Tickets that a purchase id owns of one event, and the version that their sale made."""

    purchase: int
    event: int
    quantity: int
    version: int


class State(NamedTuple):
    """What the database holds at one instant."""

    stock: tuple[int, ...]
    version: tuple[int, ...]
    refund_version: tuple[int, ...]
    """The last version that a refund of the event reported, in a history without versions of sales; -1 before."""
    held: frozenset[Held] = frozenset()

    def of(self, purchase: int) -> dict[int, Held]:
        """What an id owns, by event."""
        return {each.event: each for each in self.held if each.purchase == purchase}


def possible(case: SmallCase, *, tickets_known: bool = True) -> bool:
    """Whether some order of the operations explains the history and its ledger, or all of it but the tickets."""
    return _Search(case, tickets_known=tickets_known).finds_an_order()


class _Search:
    """One search: the case, what counts in it, and where the search has been."""

    def __init__(self, case: SmallCase, *, tickets_known: bool) -> None:
        self.case = case
        self.tickets_known = tickets_known
        self.reading = reading_of(case)
        self.operations = [each for each in case.operations if each.outcome not in NO_EFFECT]
        self.latest = [_latest(each) for each in self.operations]
        self.visited: set[tuple[int, State]] = set()

    def finds_an_order(self) -> bool:
        return self._continues(0, first_state(self.case))

    def _continues(self, placed: int, state: State) -> bool:
        if (placed, state) in self.visited:
            return False
        self.visited.add((placed, state))
        left = [number for number in range(len(self.operations)) if not placed >> number & 1]
        ended = all(self.latest[number] == math.inf for number in left)
        if ended and ends_as_the_ledger(self.case, self.reading, state, tickets_known=self.tickets_known):
            return True
        deadline = min((self.latest[number] for number in left), default=math.inf)
        for number in left:
            if self.operations[number].invoked > deadline:
                continue  # an operation that completed before this one was invoked has to come first
            following = after(self.case, self.reading, self.operations[number], state)
            if following is not None and self._continues(placed | 1 << number, following):
                return True
        return False


def reading_of(case: SmallCase) -> Reading:
    """How the numbers of the whole history are read."""
    if case.stock_elsewhere:
        return Reading.STOCK_ELSEWHERE
    sales = [
        each
        for each in case.operations
        if each.kind is Kind.PURCHASE and each.outcome is Outcome.SOLD and not each.repeated
    ]
    reported = any(line.version is not None for each in sales for line in each.lines)
    return Reading.EXACT if reported else Reading.VERSIONLESS


def _latest(operation: Operation) -> float:
    """The last instant at which an operation may take effect; infinite where it may never."""
    return math.inf if operation.outcome is Outcome.UNKNOWN else operation.completed


def first_state(case: SmallCase) -> State:
    """All seats there, each event at version 1, nothing owned."""
    return State(
        stock=tuple(each.total for each in case.events),
        version=tuple(1 for _ in case.events),
        refund_version=tuple(-1 for _ in case.events),
    )


def ends_as_the_ledger(case: SmallCase, reading: Reading, state: State, *, tickets_known: bool = True) -> bool:
    """Whether a state is what the ledger holds, as far as the ledger says."""
    owned = Counter({(each.event, each.purchase): each.quantity for each in state.held})
    if tickets_known and owned != Counter(case.tickets):
        return False
    for event, stock, version in zip(case.events, state.stock, state.version, strict=True):
        if event.available is not None and event.available != stock:
            return False
        if reading is Reading.EXACT and event.version is not None and event.version != version:
            return False
    return True


def after(case: SmallCase, reading: Reading, operation: Operation, state: State) -> State | None:
    """The state after an operation; None where the operation cannot happen in this state as it was reported."""
    if operation.kind is Kind.REFUND:
        return _after_refund(reading, operation, state)
    if operation.outcome is Outcome.SOLD_OUT:
        return state if _refuses(reading, operation, state) else None
    return _after_purchase(case, reading, operation, state)


def _after_purchase(case: SmallCase, reading: Reading, operation: Operation, state: State) -> State | None:
    if operation.outcome is Outcome.UNKNOWN:
        return None if state.of(operation.purchase) else _sale(operation, state)
    if state.of(operation.purchase):
        return state if _confirms(reading, operation, state) else None
    if operation.repeated:
        return None if _is_sold_by_another(case, operation) else _sale(operation, state)
    sold = _sale(operation, state)
    return sold if sold is not None and _reports(reading, operation, sold) else None


def _after_refund(reading: Reading, operation: Operation, state: State) -> State | None:
    owned = state.of(operation.purchase)
    if operation.outcome is Outcome.REFUNDED and operation.repeated:
        return None if owned else state
    if not owned or _quantities(owned) != operation.wanted:
        return None
    returned = _moved(operation, state, sign=+1)._replace(held=state.held - set(owned.values()))
    if operation.outcome is Outcome.UNKNOWN:
        return returned
    if reading is Reading.VERSIONLESS:
        return _with_rising_versions(reading, operation, returned)
    return returned if _reports(reading, operation, returned) else None


def _sale(operation: Operation, state: State) -> State | None:
    if any(state.stock[line.event] < line.quantity for line in operation.lines):
        return None
    sold = _moved(operation, state, sign=-1)
    bought = {Held(operation.purchase, line.event, line.quantity, sold.version[line.event]) for line in operation.lines}
    return sold._replace(held=state.held | bought)


def _moved(operation: Operation, state: State, *, sign: int) -> State:
    stock, version = list(state.stock), list(state.version)
    for line in operation.lines:
        stock[line.event] += sign * line.quantity
        version[line.event] += 1
    return state._replace(stock=tuple(stock), version=tuple(version))


def _refuses(reading: Reading, operation: Operation, state: State) -> bool:
    too_few = all(state.stock[line.event] < line.quantity for line in operation.lines)
    return too_few and _reports(reading, operation, state)


def _confirms(reading: Reading, operation: Operation, state: State) -> bool:
    """Whether a purchase that finds its tickets there reports exactly them, and the version of their sale."""
    owned = state.of(operation.purchase)
    if _quantities(owned) != operation.wanted:
        return False
    if reading is not Reading.EXACT or operation.repeated:
        return True
    return all(line.version in {None, owned[line.event].version} for line in operation.lines)


def _is_sold_by_another(case: SmallCase, operation: Operation) -> bool:
    """Whether a purchase of the same id was reported as sold for the first time."""
    return any(
        each.kind is Kind.PURCHASE and each.outcome is Outcome.SOLD and not each.repeated
        for each in case.operations
        if each.purchase == operation.purchase
    )


def _quantities(owned: dict[int, Held]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((each.event, each.quantity) for each in owned.values()))


def _reports(reading: Reading, operation: Operation, state: State) -> bool:
    """Whether what an operation reports is so in a state, as far as it counts."""
    return all(_line_reports(reading, line, state) for line in operation.lines)


def _line_reports(reading: Reading, line: Line, state: State) -> bool:
    if reading is Reading.STOCK_ELSEWHERE:
        return True
    if line.available not in {None, state.stock[line.event]}:
        return False
    return reading is Reading.VERSIONLESS or line.version in {None, state.version[line.event]}


def _with_rising_versions(reading: Reading, operation: Operation, state: State) -> State | None:
    if not _reports(reading, operation, state):
        return None
    last = list(state.refund_version)
    for line in operation.lines:
        if line.version is not None:
            if line.version <= last[line.event]:
                return None
            last[line.event] = line.version
    return state._replace(refund_version=tuple(last))
