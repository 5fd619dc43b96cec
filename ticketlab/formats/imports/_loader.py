"""Builds a history and a ledger from the tables of imported files. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from ticketlab.errors import InvalidInputError
from ticketlab.formats.imports._parsers import MOST, NameIndex, PurchaseIds, Range, ids, names, whole_numbers, words
from ticketlab.formats.imports._table import ParseErrors, Table
from ticketlab.history import parquet
from ticketlab.history.ledger import EVENT_COLUMNS, TICKET_COLUMNS, Ledger
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import CAUSES, KINDS, NOT_SEEN, OUTCOMES, RETRIES, Cause, Kind, Outcome

if TYPE_CHECKING:
    from ticketlab.history.arrays import Integers, Mask


REQUIRED: Final = ("buyer", "event", "quantity", "purchase_id", "invoked_ns", "completed_ns", "outcome")
OPTIONAL: Final = tuple(name for name in COLUMNS if name not in REQUIRED)

_WORDS: Final = ("kind", "outcome", "cause")
_SHORT, _PLAIN = (int(np.iinfo(kind).max) for kind in (np.int16, np.int32))
_INSTANT: Final = Range(0, MOST)
VERSION: Final = Range(0, _PLAIN)
STOCK: Final = Range(NOT_SEEN + 1, _PLAIN)
"""A system that oversells may report a stock below 0: that is data, for the checks to judge."""
_DEFAULTS: Final = {
    "attempts": (1, Range(1, _PLAIN)),
    **dict.fromkeys(RETRIES.values(), (0, Range(0, _SHORT))),
    "version": (NOT_SEEN, VERSION),
    "available": (NOT_SEEN, STOCK),
    "handed": (NOT_SEEN, Range(0, _PLAIN)),
    "handed_digest": (NOT_SEEN, Range(-(2**63), 2**63 - 1)),
    "handed_elsewhere": (0, Range(0, _SHORT)),
}
"""The value of an empty cell, and the allowed values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedOperations:
    """The rows of a file by time of call, with the rows of each operation together."""

    history: pd.DataFrame
    """With the columns of COLUMNS."""
    places: Integers
    """The place of each row in the file."""
    buyers: NameIndex
    ids: PurchaseIds
    """In the order of the file."""

    @classmethod
    def of(cls, table: Table, events: NameIndex, errors: ParseErrors) -> Self:
        """The operations of a table.

        Raises:
            InvalidInputError: naming every error, including those in `errors`.
        """
        columns, owners = _columns(table, events, errors)
        buyer = names(table, "buyer", errors)
        buyers = NameIndex.of(buyer)
        columns["buyer"] = buyers.numbers(buyer)
        errors.raise_if_any()  # the rest compares cells with each other
        _compare(table, columns, errors)
        operation, first = _group_operations(owners, columns)
        columns["line"] = _lines(table, operation, errors)
        _agree(table, columns, operation, first, errors)
        errors.raise_if_any()
        order = np.lexsort((columns["line"], operation, columns["invoked_ns"]))
        columns |= {name: pd.Categorical.from_codes(columns[name], dtype=COLUMNS[name]) for name in _WORDS}
        frame = pd.DataFrame(columns | {"purchase_id": owners.column()})[list(COLUMNS)].astype(COLUMNS)
        if (order[1:] < order[:-1]).any():
            frame = frame.iloc[order].reset_index(drop=True)
        return cls(history=frame, places=table.places[order], buyers=buyers, ids=owners)


def _columns(table: Table, events: NameIndex, errors: ParseErrors) -> tuple[dict[str, Any], PurchaseIds]:
    """The cells of each column except the buyer's, parsed one by one."""
    event = events.numbers(table.text("event"))
    columns: dict[str, Any] = {"event": event, "quantity": whole_numbers(table, "quantity", Range(1, _PLAIN), errors)}
    for name in ("invoked_ns", "completed_ns"):
        columns[name] = whole_numbers(table, name, _INSTANT, errors)
    columns["scheduled_ns"] = columns["invoked_ns"]
    if "scheduled_ns" in table.columns:
        scheduled = whole_numbers(table, "scheduled_ns", _INSTANT, errors, empty=NOT_SEEN)
        columns["scheduled_ns"] = np.where(scheduled == NOT_SEEN, columns["invoked_ns"], scheduled)
    for name, (default, bounds) in _DEFAULTS.items():
        exists = name in table.columns
        columns[name] = whole_numbers(table, name, bounds, errors, empty=default) if exists else default
    outcome = words(table, "outcome", OUTCOMES, errors)
    columns["outcome"] = outcome
    has_kind = "kind" in table.columns
    columns["kind"] = words(table, "kind", KINDS, errors, empty=Kind.PURCHASE) if has_kind else np.zeros_like(outcome)
    columns["cause"] = _causes(table, outcome, errors)
    return columns, ids(table, "purchase_id", errors)


def _causes(table: Table, outcome: Integers, errors: ParseErrors) -> Integers:
    refused = outcome == OUTCOMES.index(Outcome.SOLD_OUT)
    default = np.where(refused, CAUSES.index(Cause.INSUFFICIENT), CAUSES.index(Cause.NONE))
    if "cause" not in table.columns:
        return default
    return np.where(table.is_empty("cause"), default, words(table, "cause", CAUSES, errors, empty=Cause.NONE))


def _compare(table: Table, columns: dict[str, Any], errors: ParseErrors) -> None:
    """Check the cells of each row against each other."""
    early = columns["completed_ns"] < columns["invoked_ns"]
    errors.add(table.places, early, "completed_ns", table.text("completed_ns"), "at least invoked_ns")
    refund = columns["kind"] == KINDS.index(Kind.REFUND)
    outcome = columns["outcome"]
    refunded = outcome == OUTCOMES.index(Outcome.REFUNDED)
    bought = np.isin(outcome, [OUTCOMES.index(each) for each in (Outcome.SOLD, Outcome.SOLD_OUT)])
    for wrong, kind in ((refunded & ~refund, "purchase"), (bought & refund, "refund")):
        expected = f"an outcome of a {kind}, the kind of this row"
        errors.add(table.places, wrong, "outcome", table.text("outcome"), expected)


def _group_operations(owners: PurchaseIds, columns: dict[str, Any]) -> tuple[Integers, Integers]:
    """For each row the number of its operation, by first occurrence, and the first row of the operation."""
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


def _lines(table: Table, operation: Integers, errors: ParseErrors) -> Integers:
    """The index of each row in its operation; given indices must count from 0 without a gap."""
    lines = np.zeros(len(operation), np.int64)
    if _several(operation):
        lines += pd.Series(operation).groupby(operation).cumcount().to_numpy()
    if "line" not in table.columns:
        return lines
    given = whole_numbers(table, "line", Range(0, _SHORT), errors, empty=NOT_SEEN)
    given = np.where(given == NOT_SEEN, lines, given)
    order = np.lexsort((given, operation))
    expected = np.empty_like(lines)
    expected[order] = lines[np.argsort(operation, kind="stable")]
    text = "lines of one operation count from 0"
    _differ(table, "line", given != expected, lambda row: f"{expected[row]}: {text}", errors)
    return given


def _several(operation: Integers) -> bool:
    return bool(len(operation) and operation.max() + 1 < len(operation))


def _agree(table: Table, columns: dict[str, Any], operation: Integers, first: Integers, errors: ParseErrors) -> None:
    """Check that the rows of one operation agree, and that each has another event."""
    if not _several(operation):
        return
    for name in ("buyer", "completed_ns", "outcome"):
        value = columns[name]
        _differ(table, name, value != value[first], lambda row: _as_on(table, first[row]), errors)
    pairs = pd.DataFrame({"operation": operation, "event": columns["event"]})
    again = pairs.duplicated().to_numpy()
    if again.any():
        number = pairs.groupby(["operation", "event"], sort=False).ngroup().to_numpy()
        earlier = np.unique(number, return_index=True)[1]
        text = "another purchase_id, event, invoked_ns or kind than on"
        _differ(table, "event", again, lambda row: f"{text} {table.at(earlier[number[row]])}", errors)


def _as_on(table: Table, row: int) -> str:
    return f"the same as on {table.at(row)}, of the same operation"


def _differ(table: Table, column: str, wrong: Mask, expected: Callable[[int], str], errors: ParseErrors) -> None:
    errors.add_each(table.places, wrong, column, table.text(column), expected)


MOST_TICKETS: Final = 100_000_000
"""The maximum number of tickets in a ledger."""
COUNT: Final = Range(0, np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedHistory:
    """A history of another system in the format of this package, and the names in its files."""

    history: pd.DataFrame
    """With the columns of `recording.COLUMNS`, by time of call."""
    ledger: Ledger
    """Unknown final values of an event are NOT_SEEN."""
    tickets_known: bool
    """Whether tickets were given; otherwise the ledger has none."""
    places: Integers
    """The place in the file of each row of the history."""
    unit: str
    """What places count: line, row, or record."""
    events: NameIndex
    """The names of events."""
    buyers: NameIndex
    """The names of buyers."""
    ids: PurchaseIds
    """The names of purchases."""
    notes: Sequence[str]
    """Sentences about how the file was read, for the user."""


def read(
    operations: Table, *, stock: int | None = None, events: Table | None = None, tickets: Table | None = None
) -> ImportedHistory:
    """The history and the ledger of imported tables.

    Args:
        operations: see the docstring of the package.
        stock: the seats of every event, if there are no `events`.
        events: one row per event: `event`, `total`, and if known the final `available` and `version`.
        tickets: the final ledger: one row per ticket, `event` and `purchase_id`; or rows with their number, `tickets`.

    Raises:
        InvalidInputError: naming every error in these.
    """
    if (stock is None) == (events is None):
        raise InvalidInputError("The number of seats is needed: give either --stock for all events, or --events.")
    operations.require_rows()
    operations.require(REQUIRED, others=OPTIONAL)
    errors = operations.errors()
    cells = names(operations, "event", errors)
    known = _event_names(cells, events, tickets)
    imported = ImportedOperations.of(operations, known, errors)
    errors.raise_if_any()
    seats = _seats_of_all(known, stock) if events is None else _seats(events, known, operations, cells)
    owned, owners = (None, imported.ids) if tickets is None else _tickets(tickets, known, len(seats), events)
    none = pd.DataFrame({"event": [], "purchase_id": parquet.purchase_ids(b""), "ticket": []})
    return ImportedHistory(
        history=imported.history,
        ledger=Ledger(events=seats, tickets=(none if owned is None else owned).astype(TICKET_COLUMNS)),
        tickets_known=tickets is not None,
        places=imported.places,
        unit=operations.unit,
        events=known,
        buyers=imported.buyers,
        ids=imported.ids.beside(owners),
        notes=tuple(_notes(operations, imported.ids)),
    )


def _event_names(cells: pa.Array, events: Table | None, tickets: Table | None) -> NameIndex:
    columns = [cells]
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


def _seats(table: Table, known: NameIndex, operations: Table, cells: pa.Array) -> pd.DataFrame:
    """The events of a file: each once, and all events of the operations."""
    table.require_rows()
    errors = table.errors()
    event = known.numbers(names(table, "event", errors))
    total = whole_numbers(table, "total", COUNT, errors)
    final = [
        whole_numbers(table, name, bounds, errors, empty=NOT_SEEN)
        if name in table.columns
        else np.full(len(table), NOT_SEEN)
        for name, bounds in (("available", STOCK), ("version", VERSION))
    ]
    again = pd.Series(event).duplicated().to_numpy() & (event >= 0)
    errors.add(table.places, again, "event", table.text("event"), "each event once")
    errors.raise_if_any()
    missing = ParseErrors(name=operations.name, unit=operations.unit)
    unknown = ~np.isin(known.numbers(cells), event)
    missing.add(operations.places, unknown, "event", cells, f"an event of {table.name}")
    missing.raise_if_any()
    return _events_frame(event, total, *final)


def _events_frame(event: Integers, total: Integers, available: Integers, version: Integers) -> pd.DataFrame:
    columns = {"event": event, "total": total, "available": available, "version": version}
    columns["total_found"] = columns["total"]
    return pd.DataFrame(columns)[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS).sort_values("event", ignore_index=True)


def _tickets(table: Table, known: NameIndex, events: int, listed: Table | None) -> tuple[pd.DataFrame, PurchaseIds]:
    """The tickets of a file, one row each."""
    errors = table.errors()
    cells = names(table, "event", errors)
    event = known.numbers(cells)
    if listed is not None and events < len(known.known):
        unknown = ~np.isin(event, known.numbers(listed.text("event")))
        errors.add(table.places, unknown, "event", cells, f"an event of {listed.name}")
    owners = ids(table, "purchase_id", errors)
    has_counts = "tickets" in table.columns
    counts = whole_numbers(table, "tickets", COUNT, errors) if has_counts else np.ones(len(table), np.int64)
    errors.raise_if_any()
    if counts.sum() > MOST_TICKETS:
        raise InvalidInputError(f"{table.name} has {counts.sum():,} tickets: at most {MOST_TICKETS:,} are possible.")
    rows = np.repeat(np.arange(len(table)), counts)
    kept = {"event": event[rows], "purchase_id": owners.column().take(rows), "ticket": NOT_SEEN}
    return pd.DataFrame(kept), owners


def _notes(operations: Table, found: PurchaseIds) -> list[str]:
    notes = []
    if found.made.any():
        made = f"{found.made.sum():,} of {len(found.made):,} rows"
        source = "one was made from it (uuid5). Verdicts show that of the file."
        notes.append(f"The purchase_id of {made} is not a UUID: {source}")
    spare = [each for each in operations.columns if each not in OPTIONAL and each not in REQUIRED]
    if spare:
        notes.append(f"Not read: the column{'s' if len(spare) > 1 else ''} {', '.join(spare)}.")
    return notes
