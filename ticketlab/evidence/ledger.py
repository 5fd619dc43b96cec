"""The ledger of a trial: what the database held when the trial was over. Never opens a connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from ticketlab.evidence import tables
from ticketlab.evidence.history import NOT_SEEN
from ticketlab.evidence.tables import PURCHASE_ID

EVENT_COLUMNS: Final[dict[str, Any]] = {
    "event": "int32",  # the event's number in the history, from 0
    "total": "int32",  # total_tickets: the seats there are
    "available": "int32",  # available_tickets: what the row says is left, or NOT_SEEN
    "version": "int32",  # or NOT_SEEN
}
TICKET_COLUMNS: Final[dict[str, Any]] = {"event": "int32", "purchase_id": PURCHASE_ID}


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

    @classmethod
    def of(
        cls, *, events: Sequence[tuple[int, int, int | None, int | None]], tickets: Sequence[tuple[int, bytes]]
    ) -> Self:
        """A ledger from rows: events as in EVENT_COLUMNS, tickets as in TICKET_COLUMNS with ids of 16 bytes.

        Stock and version of an event are None where nothing tells them.
        """
        told = [[NOT_SEEN if each is None else each for each in row] for row in events]
        kinds = enumerate(EVENT_COLUMNS.items())
        books = {name: np.array([row[place] for row in told], kind) for place, (name, kind) in kinds}
        sold = np.array([event for event, _ in tickets], TICKET_COLUMNS["event"])
        ids = tables.purchase_ids(b"".join(purchase_id for _, purchase_id in tickets))
        return cls(events=pd.DataFrame(books), tickets=pd.DataFrame({"event": sold, "purchase_id": ids}))

    def write(self, folder: Path) -> None:
        """Save both tables as Parquet."""
        tables.write(self.events, folder / "events.parquet")
        tables.write(self.tickets, folder / "tickets.parquet")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """A ledger as it was saved."""
        return cls(
            events=tables.read(folder / "events.parquet", EVENT_COLUMNS),
            tickets=tables.read(folder / "tickets.parquet", TICKET_COLUMNS),
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
