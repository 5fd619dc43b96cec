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

from ticketlab.checks.search.model import NO_EFFECT, Line, Operation, Operations, Owned, Partition
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN
from ticketlab.outcomes import Cause, Kind, Outcome

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
