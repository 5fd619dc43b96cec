"""The sequential model: what each operation does to events and tickets at the instant of its effect. Pure.

`partitions` turns a history and a ledger into groups of events to be judged together, each with its operations and its
start and end; `apply` is one step; `differences` compares a state with the ledger. The model knows nothing of the order
of operations, and shares no code with the checks that use the versions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pandas as pd

from ticketlab.outcomes import NOT_SEEN, Cause, Kind, Outcome

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger


ALLOWED_OUTCOMES: Final = {
    Kind.PURCHASE: frozenset({Outcome.SOLD, Outcome.SOLD_OUT, Outcome.UNKNOWN}),
    Kind.REFUND: frozenset({Outcome.REFUNDED, Outcome.UNKNOWN}),
}
"""The outcomes of an operation that may have an effect, or must have seen a state."""
NO_EFFECT: Final = frozenset({Outcome.CONFLICT, Outcome.FAILED, Outcome.UNAVAILABLE})
"""The outcomes of an operation that had no effect and reports nothing."""

Operations: TypeAlias = int
"""A set of operations of one partition: bit n stands for the n-th."""
Stock: TypeAlias = tuple[tuple[int, int], ...]
"""The stock and the version of each event of a partition, in its order."""
Owned: TypeAlias = Mapping[tuple[int, bytes], int]
"""How many tickets of an event a purchase id owns."""


class ModelLine(NamedTuple):
    """One event of an operation, with the version and the stock that the answer reports, or NOT_SEEN."""

    event: int
    quantity: int
    version: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOperation:
    """A purchase or a refund with all its lines: it takes effect at all its events in one instant."""

    kind: Kind
    outcome: Outcome
    repeated: bool
    """Whether its answer reports an earlier call."""
    may_sell: bool = True
    """For a purchase: whether it can be the sale itself. An answer that reports an earlier call cannot, if another call
    of its id was answered as a sale of its own."""
    may_wait: bool = False
    """For a purchase: whether it can confirm an earlier sale, or be a sale itself after a refund of its id."""
    purchase_id: bytes
    invoked_ns: int
    completed_ns: float
    """Infinite for an unknown outcome: it may take effect long after the client gave up, or never."""
    lines: tuple[ModelLine, ...]
    rows: tuple[int, ...]
    """Its rows in the history."""

    @property
    def quantities(self) -> list[tuple[int, int]]:
        """Its events, each with the tickets that it takes or returns."""
        return sorted((line.event, line.quantity) for line in self.lines)


class State(NamedTuple):
    """What the database holds at one instant."""

    stock: Stock
    held: Operations
    """The purchases whose tickets are owned; a refund removes its purchase."""
    made: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """The versions that a purchase made, by its number; only for purchases that a later answer may report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Events to be judged together, with their operations and their part of the ledger."""

    events: Sequence[int]
    versionless: bool
    """Whether no sale of the history reports a version: then only refunds do, in ascending order."""
    operations: Sequence[ModelOperation]
    """By time of answer, so that unknown outcomes are last."""
    same_id: Sequence[Operations]
    """For each operation the purchases of its id."""
    named: Operations = 0
    """The purchases that another answer may confirm by version; `State.made` keeps their versions."""
    start: Stock
    end: Stock
    """From the ledger."""
    tickets: Owned
    """From the ledger."""


def apply(partition: Partition, number: int, state: State) -> State | None:
    """The state after an operation: the same object if it changes nothing, None if it cannot happen in this state."""
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


def _confirms(partition: Partition, operation: ModelOperation, sale: int, state: State) -> bool:
    """Whether an answer can report an earlier sale: the same tickets, and the versions that the sale made.

    If an answer says that it reports an earlier call, its version is ignored.
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
    """How the ledger differs from a state: rows of tickets if any, else of events; `due` is the state's value."""
    due: Counter[tuple[int, bytes]] = Counter()
    for number, operation in enumerate(partition.operations):
        if state.held >> number & 1:
            for event, quantity in operation.quantities:
                due[event, operation.purchase_id] += quantity
    owned = partition.tickets
    tickets = [
        {"event": event, "purchase_id": owner, "tickets": owned.get((event, owner), 0), "due": due[event, owner]}
        for event, owner in sorted(due.keys() | owned.keys())
        if owned.get((event, owner), 0) != due[event, owner]
    ]
    return tickets or [
        {"event": event, "available": available, "due": left, "version": version, "version_due": made}
        for event, (available, version), (left, made) in zip(partition.events, partition.end, state.stock, strict=True)
        if available not in {NOT_SEEN, left} or (version not in {NOT_SEEN, made} and not partition.versionless)
    ]


def _too_few(partition: Partition, operation: ModelOperation, state: State) -> bool:
    """Whether each event of a refusal has too few tickets, and the stock and version that the answer reports."""
    for line in operation.lines:
        available, version = state.stock[partition.events.index(line.event)]
        if available >= line.quantity or line.available not in {NOT_SEEN, available}:
            return False
        if not partition.versionless and line.version not in {NOT_SEEN, version}:
            return False
    return True


def _moved(partition: Partition, operation: ModelOperation, state: State, sign: int) -> Stock | None:
    """The stock after a sale (sign -1) or a refund (+1); None if it falls below 0 or the answer reports another."""
    stock = list(state.stock)
    for line in operation.lines:
        place = partition.events.index(line.event)
        available = stock[place][0] + sign * line.quantity
        version = _next_version(partition, line, stock[place][1], sign)
        if available < 0 or version is None or line.available not in {NOT_SEEN, available}:
            return None
        stock[place] = (available, version)
    return tuple(stock)


def _next_version(partition: Partition, line: ModelLine, version: int, sign: int) -> int | None:
    """The version after a change; None if the answer reports another one.

    In a versionless history the version of a sale is unknown, and a refund may make any version above the last known.
    """
    if not partition.versionless:
        return version + 1 if line.version in {NOT_SEEN, version + 1} else None
    if sign < 0 or line.version == NOT_SEEN:
        return version
    return line.version if line.version > version else None


_COLUMNS: Final = (
    "kind", "outcome", "cause", "purchase_id", "buyer", "line", "event", "quantity", "invoked_ns", "completed_ns",
    "version", "available",
)  # fmt: skip


class _EventLedger(NamedTuple):
    """One event of the ledger."""

    total: int
    end: tuple[int, int]
    """The stock and the version."""
    tickets: dict[tuple[int, bytes], int]


def partitions(history: pd.DataFrame, ledger: Ledger, *, versionless: bool | None = None) -> list[Partition]:
    """The events of a ledger in groups that share no purchase id, by number.

    Args:
        history: its events must all be in the ledger.
        ledger: as read at the end.
        versionless: whether no sale of the whole history reports a version. By default it is read from `history`; a
            part of a history cannot show it.
    """
    tickets = Counter(zip(ledger.tickets["event"].tolist(), ledger.tickets["purchase_id"].tolist(), strict=True))
    answered = _operations(history, counts=not ledger.facts.stock_elsewhere)
    if versionless is None:
        versionless = ledger.facts.stock_elsewhere or not any(map(_makes_a_version, answered))
    possible = _resolve_unknowns(answered, tickets)
    owned = [(line.event, operation.purchase_id) for operation in possible for line in operation.lines]
    operations: dict[int, list[ModelOperation]] = defaultdict(list)
    for operation in possible:
        operations[operation.lines[0].event].append(operation)
    rows = zip(*(ledger.events[name].tolist() for name in ("event", "total", "available", "version")), strict=True)
    ledgers = {event: _EventLedger(total, (available, version), {}) for event, total, available, version in rows}
    for owner, count in tickets.items():
        ledgers[owner[0]].tickets[owner] = count
    groups = _group_events(ledgers, [*owned, *tickets])
    return [_partition(group, operations, ledgers, versionless=versionless) for group in groups]


def _makes_a_version(operation: ModelOperation) -> bool:
    sold = operation.kind is Kind.PURCHASE and operation.outcome is Outcome.SOLD
    return sold and any(line.version != NOT_SEEN for line in operation.lines)


def _operations(history: pd.DataFrame, *, counts: bool) -> list[ModelOperation]:
    """The operations of a history that may have an effect or report a state.

    `counts`: whether versions and stocks in answers are those of the event.
    """
    calls: list[list[dict[Any, Any]]] = []
    current: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
    for place, values in enumerate(zip(*(history[name].tolist() for name in _COLUMNS), strict=True)):
        row = dict(zip(_COLUMNS, values, strict=True))
        if row["outcome"] in NO_EFFECT:
            continue
        key = (row["kind"], row["purchase_id"], row["buyer"], row["invoked_ns"])
        if row["line"] == 0 or key not in current:
            current[key] = []
            calls.append(current[key])
        current[key].append(row | {"row": place})
    return [_operation(rows, counts=counts) for rows in calls]


def _operation(rows: Sequence[Mapping[Any, Any]], *, counts: bool) -> ModelOperation:
    """One operation from its rows. Reported versions and stocks count only if they are of this call and event."""
    first = rows[0]
    outcome, repeated = Outcome(first["outcome"]), first["cause"] == Cause.REPEATED
    ignored = outcome is Outcome.UNKNOWN or repeated or not counts
    return ModelOperation(
        kind=Kind(first["kind"]),
        outcome=outcome,
        repeated=repeated,
        purchase_id=first["purchase_id"],
        invoked_ns=first["invoked_ns"],
        completed_ns=math.inf if outcome is Outcome.UNKNOWN else first["completed_ns"],
        lines=tuple(
            ModelLine(
                event=row["event"],
                quantity=row["quantity"],
                version=NOT_SEEN if ignored else row["version"],
                available=NOT_SEEN if ignored else row["available"],
            )
            for row in rows
        ),
        rows=tuple(row["row"] for row in rows),
    )


def _resolve_unknowns(operations: Sequence[ModelOperation], tickets: Owned) -> list[ModelOperation]:
    """The operations that may have happened, with `may_sell` and `may_wait`.

    A purchase of unknown outcome did not happen if its id owns nothing and has no refund. A purchase that reports an
    earlier call may be that call itself, if no other call of its id was answered as a sale of its own.
    """
    owners = {owner for _, owner in tickets}
    refunded = {each.purchase_id for each in operations if each.kind is Kind.REFUND}
    purchases = [each for each in operations if each.kind is Kind.PURCHASE]
    sold = {each.purchase_id for each in purchases if each.outcome is Outcome.SOLD and not each.repeated}
    possible = []
    for each in operations:
        if each.kind is Kind.PURCHASE and each.outcome is Outcome.SOLD:
            may_sell = not each.repeated or each.purchase_id not in sold
            possible.append(replace(each, may_sell=may_sell, may_wait=may_sell and each.purchase_id in refunded))
        elif each.kind is Kind.REFUND or each.outcome is not Outcome.UNKNOWN or each.purchase_id in owners | refunded:
            possible.append(each)
    return possible


def _group_events(events: Iterable[int], owned: Iterable[tuple[int, bytes]]) -> list[tuple[int, ...]]:
    """The events in groups: events with a purchase id in common are in one group."""
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
    operations: Mapping[int, Sequence[ModelOperation]],
    ledgers: Mapping[int, _EventLedger],
    *,
    versionless: bool,
) -> Partition:
    ordered = [operation for event in events for operation in operations.get(event, ())]
    ordered.sort(key=lambda operation: operation.completed_ns)
    of_id: dict[bytes, Operations] = defaultdict(int)
    for number, operation in enumerate(ordered):
        of_id[operation.purchase_id] |= (operation.kind is Kind.PURCHASE) << number
    return Partition(
        events=events,
        versionless=versionless,
        operations=ordered,
        same_id=[of_id[operation.purchase_id] for operation in ordered],
        named=sum(of_id[purchase_id] for purchase_id in _named_again(ordered)),
        start=tuple((ledgers[event].total, 0 if versionless else 1) for event in events),
        end=tuple(ledgers[event].end for event in events),
        tickets=dict(item for event in events for item in ledgers[event].tickets.items()),
    )


def _named_again(operations: Sequence[ModelOperation]) -> set[bytes]:
    """The ids with several purchases and an answer with a version: one purchase may confirm the sale of another."""
    sold = [each for each in operations if each.kind is Kind.PURCHASE and each.outcome is not Outcome.SOLD_OUT]
    several = {owner for owner, count in Counter(each.purchase_id for each in sold).items() if count > 1}
    named = {each.purchase_id for each in sold if any(line.version != NOT_SEEN for line in each.lines)}
    return several & named
