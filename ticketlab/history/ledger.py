"""What the database held when a trial was over, and what the lab knows of the trial besides. Opens nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np
import pandas as pd

from ticketlab.history import ids, parquet
from ticketlab.history.parquet import PURCHASE_ID
from ticketlab.history.recording import NOT_SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the lab knows of one trial from itself, and not from what is judged."""

    seats: tuple[int, ...] | None = None
    """The seats of each event that the lab put on sale, by the event's number; None for a history from a file."""
    events_added: int = 0
    """Events in the tables at the end that the lab did not put there."""
    idempotent: bool = False
    """Whether the strategy claims that a purchase id buys once, however often it is called."""
    autocommit: bool = False
    """Whether the function got its connection in autocommit mode: each statement is a transaction of its own."""
    stock_elsewhere: bool = False
    """Whether the strategy counts stock apart from the event's row while it sells: stocks and versions that are
    reported meanwhile are then not those of the event."""
    samples: int = 0
    """How often a reader compared stock and tickets while buyers bought."""
    deadlocks: int | None = None
    """Deadlocks that the server counted in the trial's database; None where it was not asked."""
    left_behind: Mapping[str, int] = field(default_factory=dict)
    """What the purchase function left on its connections or in the server, in words, and how often."""


EVENT_COLUMNS: Final[dict[str, Any]] = {
    "event": "int32",  # the event's number in the history, from 0
    "total": "int32",  # the seats there are: those that the lab put on sale, or of a file what it says
    "total_found": "int32",  # total_tickets as the database has it, or NOT_SEEN where the event is gone
    "available": "int32",  # available_tickets: what the row says is left, or NOT_SEEN
    "version": "int32",  # or NOT_SEEN
}
SAMPLE_COLUMNS: Final[dict[str, Any]] = {
    "at_ns": "int64",  # when the sample was asked for, in ns since the trial's start
    "event": "int32",
    "available": "int32",  # as the row says at that moment, or NOT_SEEN
    "tickets": "int32",  # rows in the table of tickets at the same moment
}
"""What a reader sees of stock and tickets in one snapshot while buyers buy."""
TICKET_COLUMNS: Final[dict[str, Any]] = {
    "event": "int32",
    "purchase_id": PURCHASE_ID,
    "ticket": "int64",  # the mark of the ticket's own id: see `digests`; NOT_SEEN where it is not known
}


TicketRow: TypeAlias = tuple[int, bytes] | tuple[int, bytes, bytes]
"""A ticket: the number of its event, the id of its purchase, and its own id where that is known, of 16 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Events and tickets, read once, in one snapshot."""

    events: pd.DataFrame
    """One row an event, with the columns of EVENT_COLUMNS."""
    tickets: pd.DataFrame
    """One row a ticket, with the columns of TICKET_COLUMNS."""
    crashes_ns: tuple[int, ...] = ()
    """The instants at which the server was crashed during the trial, in ns since its start; the ledger was read after
    the last. Not among what `write` saves: a trial knows them."""
    facts: Facts = field(default_factory=Facts)
    """What the lab knows beside the tables. Not among what `write` saves: a trial knows them."""
    samples: pd.DataFrame | None = None
    """What a reader saw during the trial: a row an event and sample, with the columns of SAMPLE_COLUMNS."""

    @classmethod
    def of(cls, *, events: Sequence[tuple[int, int, int | None, int | None]], tickets: Sequence[TicketRow]) -> Self:
        """A ledger from rows: event, total, available and version; and tickets as `TicketRow` says.

        Stock and version of an event are None where nothing tells them. The ids of tickets are left out where one of
        them has none.
        """
        rows = [[NOT_SEEN if each is None else each for each in row] for row in events]
        kinds = enumerate((name, EVENT_COLUMNS[name]) for name in ("event", "total", "available", "version"))
        columns = {name: np.array([row[place] for row in rows], kind) for place, (name, kind) in kinds}
        books = {name: columns.get(name, columns["total"]) for name in EVENT_COLUMNS}
        sold = {
            "event": np.array([row[0] for row in tickets], TICKET_COLUMNS["event"]),
            "purchase_id": parquet.purchase_ids(b"".join(row[1] for row in tickets)),
            "ticket": _marks(tickets),
        }
        return cls(events=pd.DataFrame(books), tickets=pd.DataFrame(sold))

    def knowing(self, facts: Facts) -> Self:
        """The ledger of the events that the lab put on sale: their seats by its plan, all else as found."""
        seats = facts.seats or ()
        planned = pd.DataFrame({"event": np.arange(len(seats)), "seats": np.array(seats, np.int64)})
        found = planned.merge(self.events, on="event", how="left").fillna(NOT_SEEN)
        events = found.assign(total=found["seats"])[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS)
        return replace(self, events=events, facts=facts)

    def with_samples(self, samples: Iterable[tuple[int, int, int | None, int]]) -> Self:
        """The ledger with what a reader saw during the trial, as rows of SAMPLE_COLUMNS; stock None where not known."""
        rows = [[NOT_SEEN if each is None else each for each in row] for row in samples]
        columns = enumerate(SAMPLE_COLUMNS.items())
        frame = {name: np.array([row[place] for row in rows], kind) for place, (name, kind) in columns}
        return replace(self, samples=pd.DataFrame(frame))

    def write(self, folder: Path) -> None:
        """Save the tables as Parquet, and the samples where there are any."""
        if self.samples is not None:
            parquet.write(self.samples, folder / "samples.parquet")
        parquet.write(self.events, folder / "events.parquet")
        parquet.write(self.tickets, folder / "tickets.parquet")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """A ledger as it was saved."""
        samples = folder / "samples.parquet"
        return cls(
            samples=parquet.read(samples, SAMPLE_COLUMNS) if samples.exists() else None,
            events=parquet.read(folder / "events.parquet", EVENT_COLUMNS),
            tickets=parquet.read(folder / "tickets.parquet", TICKET_COLUMNS, absent={"ticket": NOT_SEEN}),
        )

    def seats(self) -> pd.DataFrame:
        """The events, with `tickets` (rows in the ledger) and `oversold` (tickets beyond the seats), per event.

        Where the stock is not told, it is what the tickets leave of the seats.
        """
        event, total, available = (self.events[name].to_numpy() for name in ("event", "total", "available"))
        tickets = np.bincount(self.tickets["event"].to_numpy(), minlength=event.max(initial=-1) + 1)[event]
        left = total - tickets
        available = np.where(available == NOT_SEEN, left, available)
        return self.events.assign(available=available, tickets=tickets, oversold=np.maximum(-left, 0))


def _marks(tickets: Sequence[TicketRow]) -> ids.Marks:
    """The mark of each ticket; NOT_SEEN for all where one of them has no id."""
    packed = b"".join(row[2] for row in tickets if len(row) == 3)  # noqa: PLR2004 - see TicketRow
    return ids.marks(packed) if len(packed) == 16 * len(tickets) else np.full(len(tickets), NOT_SEEN)
