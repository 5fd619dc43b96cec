"""The rows of a file as operations of a history: what each tells, and which belong together. Judges nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from ticketlab.errors import InvalidInputError
from ticketlab.formats.calls import Integers, Mask
from ticketlab.formats.imports.parsers import MOST, NameIndex, PurchaseIds, Range, ids, names, whole_numbers, words
from ticketlab.formats.imports.table import ParseErrors, Table
from ticketlab.history import parquet
from ticketlab.history.ledger import EVENT_COLUMNS, TICKET_COLUMNS, Ledger
from ticketlab.history.recording import COLUMNS, NOT_SEEN, RETRIES
from ticketlab.outcomes import CAUSES, KINDS, OUTCOMES, Cause, Kind, Outcome

REQUIRED: Final = ("buyer", "event", "quantity", "purchase_id", "invoked_ns", "completed_ns", "outcome")
OPTIONAL: Final = tuple(name for name in COLUMNS if name not in REQUIRED)

_WORDS: Final = ("kind", "outcome", "cause")
_SHORT, _PLAIN = (int(np.iinfo(kind).max) for kind in (np.int16, np.int32))
_INSTANT: Final = Range(0, MOST)
VERSION: Final = Range(0, _PLAIN)
STOCK: Final = Range(NOT_SEEN + 1, _PLAIN)
"""A system that sells too much may well report a stock below 0: that is data, and for the checks to judge."""
_DEFAULTS: Final = {
    "attempts": (1, Range(1, _PLAIN)),
    **dict.fromkeys(RETRIES.values(), (0, Range(0, _SHORT))),
    "version": (NOT_SEEN, VERSION),
    "available": (NOT_SEEN, STOCK),
    "handed": (NOT_SEEN, Range(0, _PLAIN)),
    "handed_digest": (NOT_SEEN, Range(-(2**63), 2**63 - 1)),
    "handed_elsewhere": (0, Range(0, _SHORT)),
}
"""What stands for a cell in which there is nothing, and what may stand in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The rows of a file in order of invocation, those of one operation together."""

    history: pd.DataFrame
    """With the columns of COLUMNS."""
    places: Integers
    """The place of each of them in the file."""
    buyers: NameIndex
    ids: PurchaseIds
    """As the rows of the file come."""

    @classmethod
    def of(cls, table: Table, events: NameIndex, faults: ParseErrors) -> Self:
        """The operations of a table.

        Raises:
            InvalidInputError: naming every fault, those of `faults` too.
        """
        columns, owners = _columns(table, events, faults)
        buyer = names(table, "buyer", faults)
        buyers = NameIndex.of(buyer)
        columns["buyer"] = buyers.numbers(buyer)
        faults.raise_if_any()  # what follows compares cells with one another
        _compare(table, columns, faults)
        operation, first = _group_operations(owners, columns)
        columns["line"] = _lines(table, operation, faults)
        _agree(table, columns, operation, first, faults)
        faults.raise_if_any()
        order = np.lexsort((columns["line"], operation, columns["invoked_ns"]))
        columns |= {name: pd.Categorical.from_codes(columns[name], dtype=COLUMNS[name]) for name in _WORDS}
        frame = pd.DataFrame(columns | {"purchase_id": owners.column()})[list(COLUMNS)].astype(COLUMNS)
        if (order[1:] < order[:-1]).any():
            frame = frame.iloc[order].reset_index(drop=True)
        return cls(history=frame, places=table.places[order], buyers=buyers, ids=owners)


def _columns(table: Table, events: NameIndex, faults: ParseErrors) -> tuple[dict[str, Any], PurchaseIds]:
    """The cells of each column but the buyer's, by themselves."""
    event = events.numbers(table.text("event"))
    columns: dict[str, Any] = {"event": event, "quantity": whole_numbers(table, "quantity", Range(1, _PLAIN), faults)}
    for name in ("invoked_ns", "completed_ns"):
        columns[name] = whole_numbers(table, name, _INSTANT, faults)
    columns["scheduled_ns"] = columns["invoked_ns"]
    if "scheduled_ns" in table.columns:
        told = whole_numbers(table, "scheduled_ns", _INSTANT, faults, empty=NOT_SEEN)
        columns["scheduled_ns"] = np.where(told == NOT_SEEN, columns["invoked_ns"], told)
    for name, (default, bounds) in _DEFAULTS.items():
        there = name in table.columns
        columns[name] = whole_numbers(table, name, bounds, faults, empty=default) if there else default
    outcome = words(table, "outcome", OUTCOMES, faults)
    there = "kind" in table.columns
    columns["outcome"] = outcome
    columns["kind"] = words(table, "kind", KINDS, faults, empty=Kind.PURCHASE) if there else np.zeros_like(outcome)
    columns["cause"] = _causes(table, outcome, faults)
    return columns, ids(table, "purchase_id", faults)


def _causes(table: Table, outcome: Integers, faults: ParseErrors) -> Integers:
    refused = outcome == OUTCOMES.index(Outcome.SOLD_OUT)
    usual = np.where(refused, CAUSES.index(Cause.INSUFFICIENT), CAUSES.index(Cause.NONE))
    if "cause" not in table.columns:
        return usual
    told = words(table, "cause", CAUSES, faults, empty=Cause.NONE)
    return np.where(table.is_empty("cause"), usual, told)


def _compare(table: Table, columns: dict[str, Any], faults: ParseErrors) -> None:
    """What the cells of one row must have to do with each other."""
    early = columns["completed_ns"] < columns["invoked_ns"]
    faults.add(table.places, early, "completed_ns", table.text("completed_ns"), "no less than invoked_ns")
    refund = columns["kind"] == KINDS.index(Kind.REFUND)
    outcome = columns["outcome"]
    refunded = outcome == OUTCOMES.index(Outcome.REFUNDED)
    bought = np.isin(outcome, [OUTCOMES.index(each) for each in (Outcome.SOLD, Outcome.SOLD_OUT)])
    for wrong, kind in ((refunded & ~refund, "purchase"), (bought & refund, "refund")):
        expected = f"an outcome of a {kind}, which this row's kind is"
        faults.add(table.places, wrong, "outcome", table.text("outcome"), expected)


def _group_operations(owners: PurchaseIds, columns: dict[str, Any]) -> tuple[Integers, Integers]:
    """Of each row the number of its operation, in the order of the file, and that operation's first row."""
    rows = np.arange(len(columns["event"]))
    owner = owners.numbers()
    if len(owner) == 0 or owner.max() + 1 == len(owner):
        return rows, rows
    keys = (owner, columns["invoked_ns"], columns["kind"])
    order = np.lexsort((rows, *keys))
    same = np.logical_and.reduce([key[order[1:]] == key[order[:-1]] for key in keys])
    begins = np.flatnonzero(np.append(True, ~same))
    first = np.empty_like(rows)
    first[order] = np.repeat(order[begins], np.diff(np.append(begins, len(rows))))
    return np.cumsum(first == rows)[first] - 1, first


def _lines(table: Table, operation: Integers, faults: ParseErrors) -> Integers:
    """The place of each row in its operation; where the file tells it, from 0 on and without a gap."""
    lines = np.zeros(len(operation), np.int64)
    if _several(operation):
        lines += pd.Series(operation).groupby(operation).cumcount().to_numpy()
    if "line" not in table.columns:
        return lines
    told = whole_numbers(table, "line", Range(0, _SHORT), faults, empty=NOT_SEEN)
    told = np.where(told == NOT_SEEN, lines, told)
    order = np.lexsort((told, operation))
    expected = np.empty_like(lines)
    expected[order] = lines[np.argsort(operation, kind="stable")]
    _differ(
        table, "line", told != expected, lambda row: f"{expected[row]}: lines of one operation count from 0", faults
    )
    return told


def _several(operation: Integers) -> bool:
    return bool(len(operation) and operation.max() + 1 < len(operation))


def _agree(table: Table, columns: dict[str, Any], operation: Integers, first: Integers, faults: ParseErrors) -> None:
    """Whether the rows of one operation tell one story, each of an event of its own."""
    if not _several(operation):
        return
    for name in ("buyer", "completed_ns", "outcome"):
        value = columns[name]
        _differ(table, name, value != value[first], lambda row: _as_on(table, first[row]), faults)
    pairs = pd.DataFrame({"operation": operation, "event": columns["event"]})
    again = pairs.duplicated().to_numpy()
    if again.any():
        number = pairs.groupby(["operation", "event"], sort=False).ngroup().to_numpy()
        earlier = np.unique(number, return_index=True)[1]
        told = "another purchase_id, event, invoked_ns or kind than on"
        _differ(table, "event", again, lambda row: f"{told} {table.at(earlier[number[row]])}", faults)


def _as_on(table: Table, row: int) -> str:
    return f"the same as on {table.at(row)}, which is of the same operation"


def _differ(table: Table, column: str, wrong: Mask, expected: Callable[[int], str], faults: ParseErrors) -> None:
    faults.add_each(table.places, wrong, column, table.text(column), expected)


MOST_TICKETS: Final = 100_000_000
"""Tickets that one ledger may have."""
COUNT: Final = Range(0, np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedHistory:
    """A history made by others, in the terms of this package, and how to say it in theirs."""

    history: pd.DataFrame
    """With the columns of `history.COLUMNS`, in order of invocation."""
    ledger: Ledger
    """What is not told of an event's end is NOT_SEEN."""
    tickets_known: bool
    """Whether the ledger has the tickets; else it has none because nothing is known of them."""
    places: Integers
    """The place in the file of each row of the history."""
    unit: str
    """What places count: line, row, or record."""
    events: NameIndex
    """What the file calls its events."""
    buyers: NameIndex
    """What it calls its buyers."""
    ids: PurchaseIds
    """What it calls its purchases."""
    notes: Sequence[str]
    """What a reader must know of how the file was read, in sentences."""


def read(
    operations: Table, *, stock: int | None = None, events: Table | None = None, tickets: Table | None = None
) -> ImportedHistory:
    """A history of `operations`, and its ledger.

    Args:
        operations: as the package describes it.
        stock: the seats of every event, where there are no `events`.
        events: a row an event: `event`, `total`, and what it ended with, where known: `available`, `version`.
        tickets: the ledger in the end: a row a ticket, `event` and `purchase_id`; or rows with their number, `tickets`.

    Raises:
        InvalidInputError: naming every fault of these.
    """
    if (stock is None) == (events is None):
        raise InvalidInputError("How many seats an event has must be given: by --stock for all, or else by --events.")
    operations.require_rows()
    operations.require(REQUIRED, others=OPTIONAL)
    faults = operations.faults()
    told = names(operations, "event", faults)
    known = _events_named(told, events, tickets)
    found = Operations.of(operations, known, faults)
    faults.raise_if_any()
    seats = _seats_of_all(known, stock) if events is None else _seats(events, known, operations, told)
    kept, owners = (None, found.ids) if tickets is None else _tickets(tickets, known, len(seats), events)
    none = pd.DataFrame({"event": [], "purchase_id": parquet.purchase_ids(b""), "ticket": []})
    return ImportedHistory(
        history=found.history,
        ledger=Ledger(events=seats, tickets=(none if kept is None else kept).astype(TICKET_COLUMNS)),
        tickets_known=tickets is not None,
        places=found.places,
        unit=operations.unit,
        events=known,
        buyers=found.buyers,
        ids=found.ids.beside(owners),
        notes=tuple(_notes(operations, found.ids)),
    )


def _events_named(told: pa.Array, events: Table | None, tickets: Table | None) -> NameIndex:
    columns = [told]
    for table, others in ((events, ("total",)), (tickets, ("purchase_id",))):
        if table is not None:
            table.require(("event", *others), others=("available", "version", "tickets"))
            columns.append(table.text("event"))
    return NameIndex.of(*columns)


def _seats_of_all(known: NameIndex, stock: int | None) -> pd.DataFrame:
    if stock is None or not COUNT.least <= stock <= COUNT.most:
        raise InvalidInputError(f"--stock takes {COUNT.words}, not {stock}.")
    events = np.arange(len(known.known))
    return _events_frame(events, np.full(len(events), stock), *([np.full(len(events), NOT_SEEN)] * 2))


def _seats(table: Table, known: NameIndex, operations: Table, told: pa.Array) -> pd.DataFrame:
    """The events of a file; each that is bought from must be there, and none twice."""
    table.require_rows()
    faults = table.faults()
    event = known.numbers(names(table, "event", faults))
    total = whole_numbers(table, "total", COUNT, faults)
    last = [
        whole_numbers(table, name, bounds, faults, empty=NOT_SEEN)
        if name in table.columns
        else np.full(len(table), NOT_SEEN)
        for name, bounds in (("available", STOCK), ("version", VERSION))
    ]
    again = pd.Series(event).duplicated().to_numpy() & (event >= 0)
    faults.add(table.places, again, "event", table.text("event"), "each event once")
    faults.raise_if_any()
    strange = ParseErrors(name=operations.name, unit=operations.unit)
    unknown = ~np.isin(known.numbers(told), event)
    strange.add(operations.places, unknown, "event", told, f"an event of {table.name}")
    strange.raise_if_any()
    return _events_frame(event, total, *last)


def _events_frame(event: Integers, total: Integers, available: Integers, version: Integers) -> pd.DataFrame:
    columns = {"event": event, "total": total, "available": available, "version": version}
    columns["total_found"] = columns["total"]
    return pd.DataFrame(columns)[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS).sort_values("event", ignore_index=True)


def _tickets(table: Table, known: NameIndex, events: int, listed: Table | None) -> tuple[pd.DataFrame, PurchaseIds]:
    """The tickets of a file, a row each."""
    faults = table.faults()
    cells = names(table, "event", faults)
    event = known.numbers(cells)
    if listed is not None and events < len(known.known):
        strange = ~np.isin(event, known.numbers(listed.text("event")))
        faults.add(table.places, strange, "event", cells, f"an event of {listed.name}")
    owners = ids(table, "purchase_id", faults)
    counted = "tickets" in table.columns
    counts = whole_numbers(table, "tickets", COUNT, faults) if counted else np.ones(len(table), np.int64)
    faults.raise_if_any()
    if counts.sum() > MOST_TICKETS:
        raise InvalidInputError(f"{table.name} has {counts.sum():,} tickets: more than {MOST_TICKETS:,} are too many.")
    rows = np.repeat(np.arange(len(table)), counts)
    kept = {"event": event[rows], "purchase_id": owners.column().take(rows), "ticket": NOT_SEEN}
    return pd.DataFrame(kept), owners


def _notes(operations: Table, found: PurchaseIds) -> list[str]:
    notes = []
    if found.made.any():
        made = f"{found.made.sum():,} of {len(found.made):,} rows"
        notes.append(f"The purchase_id of {made} is no UUID: one was made of it (uuid5); the file's own is shown.")
    spare = [each for each in operations.columns if each not in OPTIONAL and each not in REQUIRED]
    if spare:
        notes.append(f"Not read: the column{'s' if len(spare) > 1 else ''} {', '.join(spare)}.")
    return notes
