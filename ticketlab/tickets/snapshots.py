"""Stock and tickets of some events in one snapshot, read while others buy. Holds no lock, and waits for none."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from ticketlab.tickets.database import Database
from ticketlab.tickets.schema import Schema

APPLICATION: Final = "ticketlab-sampler"
_OPTIONS: Final = "-c lock_timeout=5 -c statement_timeout=2000"
_CONNECT_TIMEOUT_S: Final = 2
_READ: Final = """
SELECT wanted.number - 1, available_tickets, (SELECT count(*) FROM tickets WHERE event_id = events.id)
FROM events JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) USING (id)
"""


class Snapshots:
    """Reads the events of a trial on a connection of its own, which it opens when it needs one."""

    def __init__(self, database: Database, events: Sequence[UUID], schema: Schema | None) -> None:
        """Of these events, which are numbered from 0; `schema` is that of a user's own tables."""
        self._url = database.settings.url
        self._events = list(events)
        self._schema = schema
        self._connection: psycopg.Connection[TupleRow] | None = None

    def read(self) -> list[tuple[int, int | None, int]]:
        """Of each event its number, its stock or None, and its tickets; nothing where the server does not answer now.

        Nor where a user's schema cannot be read now: it is read once more when the trial is over, and told of then.
        """
        try:
            connection = self._opened()
            return self._read_own(connection, self._schema) if self._schema else self._read(connection)
        except psycopg.errors.LockNotAvailable:  # somebody has locked the whole table
            return []
        except Exception:  # the server was crashed, or a user's schema has a defect
            self.close()
            return []

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _opened(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url,
                autocommit=self._schema is None,
                application_name=APPLICATION,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=_OPTIONS,
            )
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return self._connection

    def _read(self, connection: psycopg.Connection[TupleRow]) -> list[tuple[int, int | None, int]]:
        rows: list[tuple[int, int | None, int]] = connection.execute(_READ, [self._events]).fetchall()
        return rows

    def _read_own(self, connection: psycopg.Connection[TupleRow], schema: Schema) -> list[tuple[int, int | None, int]]:
        numbers = {event: number for number, event in enumerate(self._events)}
        with connection.transaction():
            events, tickets = [*schema.events(connection)], [*schema.tickets(connection)]
        sold = Counter(UUID(str(event)) for event, *_ in tickets)
        held = [(UUID(str(event)), left) for event, _, left, _ in events]
        return [(numbers[event], left, sold[event]) for event, left in held if event in numbers]
