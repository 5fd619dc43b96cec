"""The contents of the database at the end of a trial, and what the lab knows of the trial. Opens no connection."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.history import ids, parquet
from ticketlab.history.parquet import PURCHASE_ID
from ticketlab.outcomes import NOT_SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the lab knows of one trial by itself, not from the code that is judged."""

    seats: tuple[int, ...] | None = None
    """The seats of each event that the lab put on sale, by the event's number; None for a history from a file."""
    events_added: int = 0
    """Events in the tables at the end that the lab did not create."""
    idempotent: bool = False
    """Whether the strategy claims that repeated calls of a purchase id buy once."""
    autocommit: bool = False
    """Whether the function got its connection in autocommit mode."""
    stock_elsewhere: bool = False
    """Whether the strategy keeps its stock outside the event's row while it sells: then the stocks and versions that
    it reports are not those of the event."""
    samples: int = 0
    """How often a reader compared stock and tickets during the trial."""
    deadlocks: int | None = None
    """Deadlocks that the server counted in the database of the trial; None if it was not asked."""
    left_behind: Mapping[str, int] = field(default_factory=dict)
    """What the purchase function left on its connections or in the server, in words, and how often."""


EVENT_COLUMNS: Final[dict[str, Any]] = {
    "event": "int32",  # the event's number in the history, from 0
    "total": "int32",  # the seats: those that the lab put on sale, or those in the file
    "total_found": "int32",  # total_tickets in the database, or NOT_SEEN if the event is gone
    "available": "int32",  # available_tickets in the database, or NOT_SEEN
    "version": "int32",  # or NOT_SEEN
}
SAMPLE_COLUMNS: Final[dict[str, Any]] = {
    "at_ns": "int64",  # when the sample was requested, in ns since the start of the trial
    "event": "int32",
    "available": "int32",  # in the row at that moment, or NOT_SEEN
    "tickets": "int32",  # rows in the table of tickets at the same moment
}
"""Stock and tickets of one event in one snapshot during the trial."""
TICKET_COLUMNS: Final[dict[str, Any]] = {
    "event": "int32",
    "purchase_id": PURCHASE_ID,
    "ticket": "int64",  # the digest of the ticket's own id: see `ids.marks`; NOT_SEEN if unknown
}


TicketRow: TypeAlias = tuple[int, bytes] | tuple[int, bytes, bytes]
"""A ticket: its event, the id of its purchase, and its own id if known; ids have 16 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Events and tickets, read once, in one snapshot."""

    events: pd.DataFrame
    """One row per event, with the columns of EVENT_COLUMNS."""
    tickets: pd.DataFrame
    """One row per ticket, with the columns of TICKET_COLUMNS."""
    crashes_ns: tuple[int, ...] = ()
    """When the server was crashed, in ns since the start of the trial; the ledger was read after the last crash. Not
    saved by `write`: the trial keeps them."""
    facts: Facts = field(default_factory=Facts)
    """What the lab knows of the trial. Not saved by `write`: the trial keeps them."""
    samples: pd.DataFrame | None = None
    """Snapshots during the trial: one row per event and sample, with the columns of SAMPLE_COLUMNS."""

    @classmethod
    def of(cls, *, events: Sequence[tuple[int, int, int | None, int | None]], tickets: Sequence[TicketRow]) -> Self:
        """A ledger from rows of event, total, available and version, and tickets as in `TicketRow`.

        Available and version are None if unknown. If one ticket has no id of its own, all ticket ids are left out.
        """
        rows = [[NOT_SEEN if each is None else each for each in row] for row in events]
        names = ("event", "total", "available", "version")
        columns = {
            name: np.array([row[index] for row in rows], EVENT_COLUMNS[name]) for index, name in enumerate(names)
        }
        found = {name: columns.get(name, columns["total"]) for name in EVENT_COLUMNS}
        sold = {
            "event": np.array([row[0] for row in tickets], TICKET_COLUMNS["event"]),
            "purchase_id": parquet.purchase_ids(b"".join(row[1] for row in tickets)),
            "ticket": _marks(tickets),
        }
        return cls(events=pd.DataFrame(found), tickets=pd.DataFrame(sold))

    def knowing(self, facts: Facts) -> Self:
        """The ledger of the events that the lab put on sale, with the seats of its plan and all else as found."""
        seats = facts.seats or ()
        planned = pd.DataFrame({"event": np.arange(len(seats)), "seats": np.array(seats, np.int64)})
        found = planned.merge(self.events, on="event", how="left").fillna(NOT_SEEN)
        events = found.assign(total=found["seats"])[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS)
        return replace(self, events=events, facts=facts)

    def with_samples(self, samples: Iterable[tuple[int, int, int | None, int]]) -> Self:
        """The ledger with snapshots of the trial, as rows of SAMPLE_COLUMNS; available is None if unknown."""
        rows = [[NOT_SEEN if each is None else each for each in row] for row in samples]
        columns = enumerate(SAMPLE_COLUMNS.items())
        frame = {name: np.array([row[place] for row in rows], kind) for place, (name, kind) in columns}
        return replace(self, samples=pd.DataFrame(frame))

    def write(self, folder: Path) -> None:
        """Save the tables, and the samples if there are any, as Parquet."""
        if self.samples is not None:
            parquet.write(self.samples, folder / "samples.parquet")
        parquet.write(self.events, folder / "events.parquet")
        parquet.write(self.tickets, folder / "tickets.parquet")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """A saved ledger, without `facts` and `crashes_ns`."""
        samples = folder / "samples.parquet"
        return cls(
            samples=parquet.read(samples, SAMPLE_COLUMNS) if samples.exists() else None,
            events=parquet.read(folder / "events.parquet", EVENT_COLUMNS),
            tickets=parquet.read(folder / "tickets.parquet", TICKET_COLUMNS, absent={"ticket": NOT_SEEN}),
        )

    def seats(self) -> pd.DataFrame:
        """The events with `tickets` (rows in the ledger) and `oversold` (tickets beyond the seats).

        An unknown stock is taken as the seats minus the tickets.
        """
        event, total, available = (self.events[name].to_numpy() for name in ("event", "total", "available"))
        tickets = np.bincount(self.tickets["event"].to_numpy(), minlength=event.max(initial=-1) + 1)[event]
        left = total - tickets
        available = np.where(available == NOT_SEEN, left, available)
        return self.events.assign(available=available, tickets=tickets, oversold=np.maximum(-left, 0))


def _marks(tickets: Sequence[TicketRow]) -> ids.Marks:
    """The digest of each ticket id; NOT_SEEN for all if one ticket has no id."""
    packed = b"".join(row[2] for row in tickets if len(row) == 3)  # noqa: PLR2004 - see TicketRow
    return ids.marks(packed) if len(packed) == 16 * len(tickets) else np.full(len(tickets), NOT_SEEN)
