"""The tables as a whole: emptied before a trial, read after it. For a database that belongs to the lab."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ticketlab.tickets.database import Database
from ticketlab.tickets.strategy import Isolation, transaction

_TIMEOUT_S = 10
"""Between trials no buyer holds a connection: one that is not there soon is not coming."""
_EVENTS = """
SELECT wanted.number - 1, total_tickets, available_tickets, version
FROM events JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) USING (id)
ORDER BY wanted.number
"""
_TICKETS = """
SELECT wanted.number - 1, uuid_send(purchase_id)
FROM tickets JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) ON wanted.id = tickets.event_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What both tables hold of some events, which are numbered from 0 in the order they were asked for."""

    events: Sequence[tuple[int, int, int, int]]
    """Number, total_tickets, available_tickets, version."""
    tickets: Sequence[tuple[int, bytes]]
    """The event's number and the 16 bytes of the purchase id, a row a ticket."""


def clear(database: Database) -> None:
    """Delete every event and every ticket, and whatever else belongs to an event."""
    with database.reachable(), database.connection(timeout_s=_TIMEOUT_S) as connection:
        connection.execute("TRUNCATE events CASCADE")


def read(database: Database, events: Sequence[UUID]) -> Books:
    """Read both tables in one snapshot."""
    with (
        database.reachable(),
        database.connection(timeout_s=_TIMEOUT_S) as connection,
        transaction(connection, Isolation.REPEATABLE_READ),
    ):
        return Books(
            events=connection.execute(_EVENTS, [list(events)]).fetchall(),
            tickets=connection.execute(_TICKETS, [list(events)], binary=True).fetchall(),
        )
