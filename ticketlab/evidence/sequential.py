"""The sequential model: what one operation after another makes of events and tickets. Opens no connection.

It knows what each operation means at the instant of its effect, and which operations have to be judged together. It
knows nothing of their order, and shares nothing with the checks that go by the order that the database told.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

import pandas as pd

from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.ledger import Ledger
from ticketlab.outcomes import Cause, Kind, Outcome

MEANINGS: Final = {
    Kind.PURCHASE: frozenset({Outcome.SOLD, Outcome.SOLD_OUT, Outcome.UNKNOWN}),
    Kind.REFUND: frozenset({Outcome.REFUNDED, Outcome.UNKNOWN}),
}
"""What an operation that may have an effect, or must have seen something, can end as."""
NO_EFFECT: Final = frozenset({Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE})
"""What surely was nothing, and says nothing."""
_TOLD: Final = (
    "kind", "outcome", "cause", "purchase_id", "buyer", "line", "event", "quantity", "invoked_ns", "completed_ns",
    "version", "available",
)  # fmt: skip

Operations: TypeAlias = int
"""A set of operations of one partition: bit n stands for the n-th."""
Stock: TypeAlias = tuple[tuple[int, int], ...]
"""Of each event of a partition, in its order, what is available and the version."""
Owned: TypeAlias = Mapping[tuple[int, bytes], int]
"""How many tickets of an event a purchase id owns."""


class Line(NamedTuple):
    """What an operation is about at one event; version and stock are those that its buyer was told, or NOT_SEEN."""

    event: int
    quantity: int
    version: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A purchase or a refund with all its lines: it takes effect at all its events in one instant."""

    kind: Kind
    outcome: Outcome
    repeated: bool
    """Told that it had been made before."""
    alone: bool = False
    """Repeated, and nothing else under its id can have sold: then it did so itself, in an earlier attempt."""
    purchase_id: bytes
    invoked_ns: int
    completed_ns: float
    """Infinite where the outcome is unknown: it may take effect long after its buyer gave up, or never."""
    lines: tuple[Line, ...]
    rows: tuple[int, ...]
    """Where it stands in the history."""

    @property
    def moves(self) -> list[tuple[int, int]]:
        """Its events, each with the tickets that it takes or gives back."""
        return sorted((line.event, line.quantity) for line in self.lines)


class State(NamedTuple):
    """What the database holds at one instant."""

    stock: Stock
    held: Operations
    """The purchases whose tickets are owned: those that were given back are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Events that have to be judged together, with their operations and their part of the ledger."""

    events: Sequence[int]
    untold: frozenset[int]
    """Events of which a sale carries no version: there versions and stocks that were told say nothing."""
    operations: Sequence[Operation]
    """In the order of their answers, so that those of unknown outcome are the last."""
    same_id: Sequence[Operations]
    """For each operation the purchases under its id."""
    start: Stock
    end: Stock
    """As the ledger has it."""
    tickets: Owned
    """As the ledger has them."""


class _Books(NamedTuple):
    """What the ledger has of one event."""

    total: int
    end: tuple[int, int]
    """What is available, and the version."""
    tickets: dict[tuple[int, bytes], int]


def after(partition: Partition, number: int, state: State) -> State | None:
    """What an operation makes of a state: that very state where it changes nothing, None where it can not happen."""
    operation = partition.operations[number]
    owned = state.held & partition.same_id[number]
    match operation.kind, operation.outcome:
        case Kind.PURCHASE, Outcome.SOLD_OUT:
            return state if _too_few(partition, operation, state) else None
        case Kind.PURCHASE, Outcome.SOLD if operation.repeated and (owned or not operation.alone):
            return state if owned else None
        case Kind.PURCHASE, _:
            stock = None if owned else _moved(partition, operation, state, -1)
            return None if stock is None else State(stock, state.held | 1 << number)
        case Kind.REFUND, Outcome.REFUNDED if operation.repeated:
            return None if owned else state
        case _:
            if not owned or partition.operations[owned.bit_length() - 1].moves != operation.moves:
                return None
            stock = _moved(partition, operation, state, +1)
            return None if stock is None else State(stock, state.held & ~owned)


def differences(partition: Partition, state: State) -> list[dict[str, Any]]:
    """Where the ledger is not what a state is: rows of tickets if any, else of events; `due` is by the state."""
    due: Counter[tuple[int, bytes]] = Counter()
    for number, operation in enumerate(partition.operations):
        if state.held >> number & 1:
            for event, quantity in operation.moves:
                due[event, operation.purchase_id] += quantity
    there = partition.tickets
    tickets = [
        {"event": event, "purchase_id": owner, "tickets": there.get((event, owner), 0), "due": due[event, owner]}
        for event, owner in sorted(due.keys() | there.keys())
        if there.get((event, owner), 0) != due[event, owner]
    ]
    return tickets or [
        {"event": event, "available": available, "due": left, "version": version, "version_due": made}
        for event, (available, version), (left, made) in zip(partition.events, partition.end, state.stock, strict=True)
        if available not in {NOT_SEEN, left} or (version not in {NOT_SEEN, made} and event not in partition.untold)
    ]


def _too_few(partition: Partition, operation: Operation, state: State) -> bool:
    """Whether each event of a refusal has fewer tickets than were wanted, and its buyer was told so."""
    for line in operation.lines:
        available, version = state.stock[partition.events.index(line.event)]
        if available >= line.quantity or line.available >= line.quantity:
            return False
        if not _told(partition, line, available, version):
            return False
    return True


def _moved(partition: Partition, operation: Operation, state: State, sign: int) -> Stock | None:
    """The stock after tickets were taken (-1) or given back (+1); None where they lack, or something else was told."""
    stock = list(state.stock)
    for line in operation.lines:
        place = partition.events.index(line.event)
        available, version = stock[place][0] + sign * line.quantity, stock[place][1] + 1
        if available < 0 or not _told(partition, line, available, version):
            return None
        stock[place] = (available, version)
    return tuple(stock)


def _told(partition: Partition, line: Line, available: int, version: int) -> bool:
    """Whether this is what the buyer was told, if he was told anything, and that counts."""
    if line.event in partition.untold:
        return True
    return line.version in {NOT_SEEN, version} and line.available in {NOT_SEEN, available}


def partitions(history: pd.DataFrame, ledger: Ledger) -> list[Partition]:
    """The events of a ledger, each with its operations, those that a purchase id joins together; by their numbers.

    Every event of the history has to be in the ledger.
    """
    owners = zip(ledger.tickets["event"].tolist(), ledger.tickets["purchase_id"].tolist(), strict=True)
    tickets = Counter(owners)
    told = _informed(_confirmed(_operations(history)), tickets)
    owned = [(line.event, each.purchase_id) for each in told for line in each.lines]
    operations: dict[int, list[Operation]] = defaultdict(list)
    for each in told:
        operations[each.lines[0].event].append(each)
    rows = zip(*(ledger.events[name].tolist() for name in ("event", "total", "available", "version")), strict=True)
    books = {event: _Books(total, (available, version), {}) for event, total, available, version in rows}
    for owner, count in tickets.items():
        books[owner[0]].tickets[owner] = count
    return [_partition(group, operations, books) for group in _joined(books, [*owned, *tickets])]


def _operations(history: pd.DataFrame) -> list[Operation]:
    """The rows of a history put together; without operations that surely had no effect and say nothing."""
    calls: list[list[dict[Any, Any]]] = []
    current: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
    told = zip(*(history[name].tolist() for name in _TOLD), strict=True)
    for place, values in enumerate(told):
        row = dict(zip(_TOLD, values, strict=True))
        if row["outcome"] in NO_EFFECT:
            continue
        key = (row["kind"], row["purchase_id"], row["buyer"], row["invoked_ns"])
        if row["line"] == 0 or key not in current:
            current[key] = []
            calls.append(current[key])
        current[key].append(row | {"row": place})
    return [_operation(rows) for rows in calls]


def _operation(rows: Sequence[Mapping[Any, Any]]) -> Operation:
    """One operation of its rows. What was told counts where a buyer was told of what he did, or saw."""
    first = rows[0]
    outcome, repeated = Outcome(first["outcome"]), first["cause"] == Cause.REPEATED
    silent = outcome is Outcome.UNKNOWN or repeated
    return Operation(
        kind=Kind(first["kind"]),
        outcome=outcome,
        repeated=repeated,
        purchase_id=first["purchase_id"],
        invoked_ns=first["invoked_ns"],
        completed_ns=math.inf if outcome is Outcome.UNKNOWN else first["completed_ns"],
        lines=tuple(
            Line(
                event=row["event"],
                quantity=row["quantity"],
                version=NOT_SEEN if silent else row["version"],
                available=NOT_SEEN if silent else row["available"],
            )
            for row in rows
        ),
        rows=tuple(row["row"] for row in rows),
    )


def _confirmed(operations: Sequence[Operation]) -> list[Operation]:
    """The operations, a sale that was told once more being one that was made before, though it does not say so.

    It is told once more where its id was told of a sale before, and it names no version, or those of that sale.
    """
    first: dict[bytes, set[tuple[int, int]]] = {}
    confirmed = []
    for each in operations:
        sold = each.kind is Kind.PURCHASE and each.outcome is Outcome.SOLD and not each.repeated
        made = {(line.event, line.version) for line in each.lines}
        before = first.setdefault(each.purchase_id, made) if sold else made
        if before is not made and all(
            line.version == NOT_SEEN or (line.event, line.version) in before for line in each.lines
        ):
            silent = tuple(line._replace(version=NOT_SEEN, available=NOT_SEEN) for line in each.lines)
            confirmed.append(replace(each, repeated=True, lines=silent))
        else:
            confirmed.append(each)
    return confirmed


def _informed(operations: Sequence[Operation], tickets: Owned) -> list[Operation]:
    """The operations with what the ledger and each other say of them.

    A purchase of unknown outcome whose tickets are not there, and that nobody gave back, did not happen. One that was
    told to have been made before, where nothing else can have made it, made itself, of as many tickets as are there.
    """
    owners = {owner for _, owner in tickets}
    given_back = {each.purchase_id for each in operations if each.kind is Kind.REFUND}
    purchases = [each for each in operations if each.kind is Kind.PURCHASE and each.outcome is not Outcome.SOLD_OUT]
    sold_otherwise = {each.purchase_id for each in purchases if not each.repeated}
    informed = []
    for each in operations:
        if each.kind is Kind.PURCHASE and each.repeated and each.purchase_id not in sold_otherwise:
            there = (tickets.get((line.event, each.purchase_id), line.quantity) for line in each.lines)
            lines = tuple(line._replace(quantity=quantity) for line, quantity in zip(each.lines, there, strict=True))
            informed.append(replace(each, alone=True, lines=lines))
        elif each.kind is Kind.REFUND or each.outcome is not Outcome.UNKNOWN or each.purchase_id in owners | given_back:
            informed.append(each)
    return informed


def _joined(events: Iterable[int], owned: Iterable[tuple[int, bytes]]) -> list[tuple[int, ...]]:
    """The events in groups: those that have a purchase id in common are in one."""
    groups = {event: {event} for event in events}
    by_id: dict[bytes, set[int]] = defaultdict(set)
    for event, owner in owned:
        by_id[owner].add(event)
    for together in by_id.values():
        group = set[int]().union(*(groups[event] for event in together))
        groups.update(dict.fromkeys(group, group))
    return sorted({tuple(sorted(group)) for group in groups.values()})


def _partition(
    events: Sequence[int], operations: Mapping[int, Sequence[Operation]], books: Mapping[int, _Books]
) -> Partition:
    mine = [each for event in events for each in operations.get(event, ())]
    mine.sort(key=lambda each: each.completed_ns)
    of_id: dict[bytes, Operations] = defaultdict(int)
    for number, each in enumerate(mine):
        of_id[each.purchase_id] |= (each.kind is Kind.PURCHASE) << number
    return Partition(
        events=events,
        untold=frozenset(
            line.event
            for each in mine
            for line in each.lines
            if each.outcome is Outcome.SOLD and not each.repeated and line.version == NOT_SEEN
        ),
        operations=mine,
        same_id=[of_id[each.purchase_id] for each in mine],
        start=tuple((books[event].total, 1) for event in events),
        end=tuple(books[event].end for event in events),
        tickets=dict(item for event in events for item in books[event].tickets.items()),
    )
