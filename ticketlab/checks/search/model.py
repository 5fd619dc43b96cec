"""The sequential model: what one operation after another makes of events and tickets. Opens no connection.

It knows what each operation means at the instant of its effect. It knows nothing of their order, and shares nothing
with the checks that go by the order that the database told. What is judged together is for `partitions` to say.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

import pandas as pd

from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import Cause, Kind, Outcome

ALLOWED_OUTCOMES: Final = {
    Kind.PURCHASE: frozenset({Outcome.SOLD, Outcome.SOLD_OUT, Outcome.UNKNOWN}),
    Kind.REFUND: frozenset({Outcome.REFUNDED, Outcome.UNKNOWN}),
}
"""What an operation that may have an effect, or must have seen something, can end as."""
NO_EFFECT: Final = frozenset({Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE})
"""What surely was nothing, and says nothing."""

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
    may_sell: bool = True
    """Of a purchase: whether it can have sold itself. An answer that reports an earlier call cannot, if another call
    under its id was answered as a sale of its own."""
    may_wait: bool = False
    """Of a purchase: whether a refund of its id may make a sale of what would be a confirmation before it."""
    purchase_id: bytes
    invoked_ns: int
    completed_ns: float
    """Infinite where the outcome is unknown: it may take effect long after its buyer gave up, or never."""
    lines: tuple[Line, ...]
    rows: tuple[int, ...]
    """Where it stands in the history."""

    @property
    def quantities(self) -> list[tuple[int, int]]:
        """Its events, each with the tickets that it takes or gives back."""
        return sorted((line.event, line.quantity) for line in self.lines)


class State(NamedTuple):
    """What the database holds at one instant."""

    stock: Stock
    held: Operations
    """The purchases whose tickets are owned: those that were given back are not among them."""
    made: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Of each purchase that a later answer may name the versions that it made, by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Events that have to be judged together, with their operations and their part of the ledger."""

    events: Sequence[int]
    versionless: bool
    """Whether no sale of the history reports a version: then only refunds are known to make any, in rising order."""
    operations: Sequence[Operation]
    """In the order of their answers, so that those of unknown outcome are the last."""
    same_id: Sequence[Operations]
    """For each operation the purchases under its id."""
    named: Operations = 0
    """The purchases under whose id an answer names a version: what they make is to be kept."""
    start: Stock
    end: Stock
    """As the ledger has it."""
    tickets: Owned
    """As the ledger has them."""


def apply(partition: Partition, number: int, state: State) -> State | None:
    """What an operation makes of a state: that very state where it changes nothing, None where it cannot happen."""
    operation = partition.operations[number]
    owned = state.held & partition.same_id[number]
    match operation.kind, operation.outcome:
        case Kind.PURCHASE, Outcome.SOLD_OUT:
            return state if _too_few(partition, operation, state) else None
        case Kind.PURCHASE, Outcome.SOLD if owned:
            sale = owned.bit_length() - 1
            return state if _confirms(partition, operation, sale, state) else None
        case Kind.PURCHASE, _:
            stock = None if owned or not operation.may_sell else _moved(partition, operation, state, -1)
            return None if stock is None else _sold(partition, number, state, stock)
        case Kind.REFUND, Outcome.REFUNDED if operation.repeated:
            return None if owned else state
        case _:
            if not owned or partition.operations[owned.bit_length() - 1].quantities != operation.quantities:
                return None
            stock = _moved(partition, operation, state, +1)
            return None if stock is None else state._replace(stock=stock, held=state.held & ~owned)


def _sold(partition: Partition, number: int, state: State, stock: Stock) -> State:
    made = state.made
    if partition.named >> number & 1:
        events = partition.operations[number].lines
        versions = tuple(stock[partition.events.index(line.event)][1] for line in events)
        made = tuple(sorted([*made, (number, versions)]))
    return State(stock, state.held | 1 << number, made)


def _confirms(partition: Partition, operation: Operation, sale: int, state: State) -> bool:
    """Whether an answer can be that of a sale made before: of the same tickets, and of the versions that it made.

    An answer that reports an earlier call reports no version of it.
    """
    if partition.operations[sale].quantities != operation.quantities:
        return False
    without_version = all(line.version == NOT_SEEN for line in operation.lines)
    if operation.repeated or partition.versionless or without_version:
        return True
    events = [line.event for line in partition.operations[sale].lines]
    versions = dict(zip(events, dict(state.made)[sale], strict=True))
    return all(line.version in {NOT_SEEN, versions[line.event]} for line in operation.lines)


def differences(partition: Partition, state: State) -> list[dict[str, Any]]:
    """Where the ledger is not what a state is: rows of tickets if any, else of events; `due` is by the state."""
    due: Counter[tuple[int, bytes]] = Counter()
    for number, operation in enumerate(partition.operations):
        if state.held >> number & 1:
            for event, quantity in operation.quantities:
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
        if available not in {NOT_SEEN, left} or (version not in {NOT_SEEN, made} and not partition.versionless)
    ]


def _too_few(partition: Partition, operation: Operation, state: State) -> bool:
    """Whether each event of a refusal has fewer tickets than were wanted, and its buyer was told so."""
    for line in operation.lines:
        available, version = state.stock[partition.events.index(line.event)]
        if available >= line.quantity or line.available not in {NOT_SEEN, available}:
            return False
        if not partition.versionless and line.version not in {NOT_SEEN, version}:
            return False
    return True


def _moved(partition: Partition, operation: Operation, state: State, sign: int) -> Stock | None:
    """The stock after tickets were taken (-1) or given back (+1); None if they lack or the answer says otherwise."""
    stock = list(state.stock)
    for line in operation.lines:
        place = partition.events.index(line.event)
        available, version = (
            stock[place][0] + sign * line.quantity,
            _next_version(partition, line, stock[place][1], sign),
        )
        if available < 0 or version is None or line.available not in {NOT_SEEN, available}:
            return None
        stock[place] = (available, version)
    return tuple(stock)


def _next_version(partition: Partition, line: Line, version: int, sign: int) -> int | None:
    """The version that a change makes; None where its answer names another one.

    In a versionless history a sale makes none that is known, and a refund any that is higher than the last one known.
    """
    if not partition.versionless:
        return version + 1 if line.version in {NOT_SEEN, version + 1} else None
    if sign < 0 or line.version == NOT_SEEN:
        return version
    return line.version if line.version > version else None


_TOLD: Final = (
    "kind", "outcome", "cause", "purchase_id", "buyer", "line", "event", "quantity", "invoked_ns", "completed_ns",
    "version", "available",
)  # fmt: skip


class _EventLedger(NamedTuple):
    """What the ledger has of one event."""

    total: int
    end: tuple[int, int]
    """What is available, and the version."""
    tickets: dict[tuple[int, bytes], int]


def partitions(history: pd.DataFrame, ledger: Ledger, *, versionless: bool | None = None) -> list[Partition]:
    """The events of a ledger, each with its operations, those that a purchase id joins together; by their numbers.

    Every event of the history has to be in the ledger. Whether the history is versionless is read from it, unless it
    is said: a part of a history cannot show it.
    """
    owners = zip(ledger.tickets["event"].tolist(), ledger.tickets["purchase_id"].tolist(), strict=True)
    tickets = Counter(owners)
    answered = _operations(history, counts=not ledger.facts.stock_elsewhere)
    if versionless is None:
        versionless = ledger.facts.stock_elsewhere or not any(map(_makes_a_version, answered))
    told = _resolve_unknowns(answered, tickets)
    owned = [(line.event, each.purchase_id) for each in told for line in each.lines]
    operations: dict[int, list[Operation]] = defaultdict(list)
    for each in told:
        operations[each.lines[0].event].append(each)
    rows = zip(*(ledger.events[name].tolist() for name in ("event", "total", "available", "version")), strict=True)
    books = {event: _EventLedger(total, (available, version), {}) for event, total, available, version in rows}
    for owner, count in tickets.items():
        books[owner[0]].tickets[owner] = count
    groups = _group_events(books, [*owned, *tickets])
    return [_partition(group, operations, books, versionless=versionless) for group in groups]


def _makes_a_version(operation: Operation) -> bool:
    sold = operation.kind is Kind.PURCHASE and operation.outcome is Outcome.SOLD
    return sold and any(line.version != NOT_SEEN for line in operation.lines)


def _operations(history: pd.DataFrame, *, counts: bool) -> list[Operation]:
    """The rows of a history put together; without operations that surely had no effect and say nothing.

    `counts`: whether versions and stocks in answers are those of the event.
    """
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
    return [_operation(rows, counts=counts) for rows in calls]


def _operation(rows: Sequence[Mapping[Any, Any]], *, counts: bool) -> Operation:
    """One operation of its rows. What was told counts where a buyer was told of what he did, or saw."""
    first = rows[0]
    outcome, repeated = Outcome(first["outcome"]), first["cause"] == Cause.REPEATED
    silent = outcome is Outcome.UNKNOWN or repeated or not counts
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


def _resolve_unknowns(operations: Sequence[Operation], tickets: Owned) -> list[Operation]:
    """The operations with what the ledger and each other say of them.

    A purchase of unknown outcome under an id that owns nothing, and that no refund names, did not happen. One that
    reports an earlier call may be that call itself, if no other call under its id was answered as a sale of its own.
    """
    owners = {owner for _, owner in tickets}
    given_back = {each.purchase_id for each in operations if each.kind is Kind.REFUND}
    purchases = [each for each in operations if each.kind is Kind.PURCHASE]
    sold = {each.purchase_id for each in purchases if each.outcome is Outcome.SOLD and not each.repeated}
    informed = []
    for each in operations:
        if each.kind is Kind.PURCHASE and each.outcome is Outcome.SOLD:
            may_sell = not each.repeated or each.purchase_id not in sold
            may_wait = may_sell and each.purchase_id in given_back
            informed.append(replace(each, may_sell=may_sell, may_wait=may_wait))
        elif each.kind is Kind.REFUND or each.outcome is not Outcome.UNKNOWN or each.purchase_id in owners | given_back:
            informed.append(each)
    return informed


def _group_events(events: Iterable[int], owned: Iterable[tuple[int, bytes]]) -> list[tuple[int, ...]]:
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
    events: Sequence[int],
    operations: Mapping[int, Sequence[Operation]],
    books: Mapping[int, _EventLedger],
    *,
    versionless: bool,
) -> Partition:
    mine = [each for event in events for each in operations.get(event, ())]
    mine.sort(key=lambda each: each.completed_ns)
    of_id: dict[bytes, Operations] = defaultdict(int)
    for number, each in enumerate(mine):
        of_id[each.purchase_id] |= (each.kind is Kind.PURCHASE) << number
    return Partition(
        events=events,
        versionless=versionless,
        operations=mine,
        same_id=[of_id[each.purchase_id] for each in mine],
        named=sum(of_id[each] for each in _named_again(mine)),
        start=tuple((books[event].total, 0 if versionless else 1) for event in events),
        end=tuple(books[event].end for event in events),
        tickets=dict(item for event in events for item in books[event].tickets.items()),
    )


def _named_again(operations: Sequence[Operation]) -> set[bytes]:
    """The ids with several purchases of which an answer names a version: one may confirm the sale of another."""
    sold = [each for each in operations if each.kind is Kind.PURCHASE and each.outcome is not Outcome.SOLD_OUT]
    several = {owner for owner, count in Counter(each.purchase_id for each in sold).items() if count > 1}
    named = {each.purchase_id for each in sold if any(line.version != NOT_SEEN for line in each.lines)}
    return several & named
