"""The sequential model: what one operation after another makes of events and tickets. Opens no connection.

It knows what each operation means at the instant of its effect. It knows nothing of their order, and shares nothing
with the checks that go by the order that the database told. What is judged together is for `partitions` to say.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import Kind, Outcome

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
    def moves(self) -> list[tuple[int, int]]:
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
            if not owned or partition.operations[owned.bit_length() - 1].moves != operation.moves:
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
    if partition.operations[sale].moves != operation.moves:
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
