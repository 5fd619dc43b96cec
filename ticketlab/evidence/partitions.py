"""A history and a ledger put together as the operations and partitions of the sequential model. Opens no connection.

What rows say is joined to operations, and what the ledger says of those that nobody was surely told of is added. Knows
nothing of an order, and shares nothing with the checks that go by the order that the database told.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pandas as pd

from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.ledger import Ledger
from ticketlab.evidence.sequential import NO_EFFECT, Line, Operation, Operations, Owned, Partition
from ticketlab.outcomes import Cause, Kind, Outcome

_TOLD: Final = (
    "kind", "outcome", "cause", "purchase_id", "buyer", "line", "event", "quantity", "invoked_ns", "completed_ns",
    "version", "available",
)  # fmt: skip


class _Books(NamedTuple):
    """What the ledger has of one event."""

    total: int
    end: tuple[int, int]
    """What is available, and the version."""
    tickets: dict[tuple[int, bytes], int]


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
