"""A file of operations, and what is known of its events and tickets, as a history and a ledger. Judges nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from ticketlab.errors import InvalidInputError
from ticketlab.evidence import tables
from ticketlab.evidence.exports.calls import Integers
from ticketlab.evidence.foreign.cells import Ids, Names, Range, ids, names, whole_numbers
from ticketlab.evidence.foreign.faults import Faults
from ticketlab.evidence.foreign.operations import OPTIONAL, REQUIRED, STOCK, VERSION, Operations
from ticketlab.evidence.foreign.table import Table
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.ledger import EVENT_COLUMNS, TICKET_COLUMNS, Ledger

MOST_TICKETS: Final = 100_000_000
"""Tickets that one ledger may have."""
COUNT: Final = Range(0, np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
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
    events: Names
    """What the file calls its events."""
    buyers: Names
    """What it calls its buyers."""
    ids: Ids
    """What it calls its purchases."""
    notes: Sequence[str]
    """What a reader must know of how the file was read, in sentences."""


def read(
    operations: Table, *, stock: int | None = None, events: Table | None = None, tickets: Table | None = None
) -> Foreign:
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
    faults.tell()
    seats = _seats_of_all(known, stock) if events is None else _seats(events, known, operations, told)
    kept, owners = (None, found.ids) if tickets is None else _tickets(tickets, known, len(seats), events)
    none = pd.DataFrame({"event": [], "purchase_id": tables.purchase_ids(b""), "ticket": []})
    return Foreign(
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


def _events_named(told: pa.Array, events: Table | None, tickets: Table | None) -> Names:
    columns = [told]
    for table, others in ((events, ("total",)), (tickets, ("purchase_id",))):
        if table is not None:
            table.require(("event", *others), others=("available", "version", "tickets"))
            columns.append(table.text("event"))
    return Names.of(*columns)


def _seats_of_all(known: Names, stock: int | None) -> pd.DataFrame:
    if stock is None or not COUNT.least <= stock <= COUNT.most:
        raise InvalidInputError(f"--stock takes {COUNT.words}, not {stock}.")
    events = np.arange(len(known.known))
    return _events_frame(events, np.full(len(events), stock), *([np.full(len(events), NOT_SEEN)] * 2))


def _seats(table: Table, known: Names, operations: Table, told: pa.Array) -> pd.DataFrame:
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
    faults.tell()
    strange = Faults(name=operations.name, unit=operations.unit)
    unknown = ~np.isin(known.numbers(told), event)
    strange.add(operations.places, unknown, "event", told, f"an event of {table.name}")
    strange.tell()
    return _events_frame(event, total, *last)


def _events_frame(event: Integers, total: Integers, available: Integers, version: Integers) -> pd.DataFrame:
    columns = {"event": event, "total": total, "available": available, "version": version}
    columns["total_found"] = columns["total"]
    return pd.DataFrame(columns)[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS).sort_values("event", ignore_index=True)


def _tickets(table: Table, known: Names, events: int, listed: Table | None) -> tuple[pd.DataFrame, Ids]:
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
    faults.tell()
    if counts.sum() > MOST_TICKETS:
        raise InvalidInputError(f"{table.name} has {counts.sum():,} tickets: more than {MOST_TICKETS:,} are too many.")
    rows = np.repeat(np.arange(len(table)), counts)
    kept = {"event": event[rows], "purchase_id": owners.column().take(rows), "ticket": NOT_SEEN}
    return pd.DataFrame(kept), owners


def _notes(operations: Table, found: Ids) -> list[str]:
    notes = []
    if found.made.any():
        made = f"{found.made.sum():,} of {len(found.made):,} rows"
        notes.append(f"The purchase_id of {made} is no UUID: one was made of it (uuid5); the file's own is shown.")
    spare = [each for each in operations.columns if each not in OPTIONAL and each not in REQUIRED]
    if spare:
        notes.append(f"Not read: the column{'s' if len(spare) > 1 else ''} {', '.join(spare)}.")
    return notes
