"""Fills the tables before a trial, samples them during it and reads them after it. For the lab's databases only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from ticketlab.errors import InvalidInputError, OwnCodeError, TicketlabError
from ticketlab.outcomes import MAX_INTEGER
from ticketlab.tickets.purchase import checked_uuid
from ticketlab.tickets.strategy import Connection, Isolation, Schema, transaction
from ticketlab.tickets.user_code import wrap_user_errors

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database
    from ticketlab.tickets.repository import EventRepository

WARM_UP_SEATS: Final = 10_000
"""Seats of the warm-up event in tables of the user's own, which may have one row per seat."""
_TIMEOUT_S: Final = 10
"""To get a connection. Between trials no buyer holds one, so a longer wait is pointless."""
LOCK_TIMEOUT_S = 10.0
_HOLDERS: Final = r"""
SELECT DISTINCT coalesce(
    'the prepared transaction ' || quote_literal(gid) || ': end it with ROLLBACK PREPARED ' || quote_literal(gid),
    format('process %%s (%%s, %%s): %%s', pid, coalesce(nullif(application_name, ''), 'an unnamed application'),
        state, left(regexp_replace(query, '\s+', ' ', 'g'), 200)))
FROM pg_locks
LEFT JOIN pg_stat_activity USING (pid)
LEFT JOIN pg_prepared_xacts AS prepared ON pid IS NULL AND virtualtransaction = '-1/' || prepared.transaction
WHERE granted AND pid IS DISTINCT FROM pg_backend_pid() AND pg_locks.database = (
    SELECT oid FROM pg_database WHERE datname = current_database()
) AND relation IN (
    SELECT %(table)s::regclass UNION SELECT conrelid FROM pg_constraint WHERE confrelid = %(table)s::regclass
)
"""
"""Who holds a lock on a table or on one that refers to it. Prepared transactions have the virtual transaction id -1."""
_EVENTS: Final = """
SELECT wanted.number - 1, total_tickets, available_tickets, version
FROM events JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) USING (id)
ORDER BY wanted.number
"""
_TICKETS: Final = """
SELECT wanted.number - 1, uuid_send(purchase_id), uuid_send(tickets.id)
FROM tickets JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) ON wanted.id = tickets.event_id
"""
_ADDED: Final = "SELECT count(*) FROM events WHERE NOT id = ANY (%s)"


class TrialEvents(NamedTuple):
    """The events of a trial."""

    events: Sequence[UUID]
    warm_up: UUID
    """One more event, with enough seats for any warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSnapshot:
    """The contents of both tables for some events, which are numbered from 0 in the requested order."""

    events: Sequence[tuple[int, int, int | None, int | None]]
    """Number, total_tickets, available_tickets, version; None for what tables of the user's own do not record."""
    tickets: Sequence[tuple[int, bytes] | tuple[int, bytes, bytes]]
    """One row per ticket: the event's number, the 16 bytes of the purchase id and, if known, those of the ticket id."""
    added: int = 0
    """The number of events in the tables other than these and the warm-up event."""


def create_events(repository: EventRepository, *, events: int, stock: int) -> TrialEvents:
    """Delete all events and tickets, and create `events` events of `stock` seats and a warm-up event.

    Raises:
        OwnCodeError: the user's `Schema.lay_out` failed.
    """
    if repository.strategy.schema is not None:
        return _lay_out(repository.database, repository.strategy.schema, events=events, stock=stock)
    clear(repository.database)
    date = datetime.now(UTC) + timedelta(days=30)
    created = [repository.create(name=f"event {number}", date=date, total_tickets=stock).id for number in range(events)]
    return TrialEvents(created, repository.create(name="warm-up", date=date, total_tickets=MAX_INTEGER).id)


def clear(database: Database) -> None:
    """Delete every event, with its tickets and all other rows that refer to it.

    Raises:
        TicketlabError: the tables stayed locked; the message names the session or prepared transaction.
    """
    with (
        database.translating_errors(),
        database.connection(timeout_s=_TIMEOUT_S) as connection,
        _in_time(connection, "The table of events cannot be emptied"),
        transaction(connection),
    ):
        _limit(connection)
        connection.execute("TRUNCATE events CASCADE")


def read(
    database: Database, events: Sequence[UUID], schema: Schema | None = None, *, warm_up: UUID | None = None
) -> TableSnapshot:
    """Read both tables in one snapshot, without the warm-up event.

    Raises:
        OwnCodeError: the user's `Schema.events` or `Schema.tickets` failed.
    """
    if schema is not None:
        return _read_own(database, events, schema, warm_up)
    with (
        database.translating_errors(),
        database.connection(timeout_s=_TIMEOUT_S) as connection,
        _in_time(connection, "The table of events cannot be read"),
        transaction(connection, Isolation.REPEATABLE_READ),
    ):
        _limit(connection)
        return TableSnapshot(
            events=connection.execute(_EVENTS, [list(events)]).fetchall(),
            tickets=connection.execute(_TICKETS, [list(events)], binary=True).fetchall(),
            added=sum(n for (n,) in connection.execute(_ADDED, [[*events, *([warm_up] if warm_up else [])]])),
        )


def _lay_out(database: Database, schema: Schema, *, events: int, stock: int) -> TrialEvents:
    numbered = [UUID(int=number) for number in range(1, events + 2)]
    seats = dict.fromkeys(numbered, stock) | {numbered[-1]: WARM_UP_SEATS}
    with _plain_connection(database) as connection, wrap_user_errors("Schema.lay_out"):
        schema.lay_out(connection, seats)
    return TrialEvents(numbered[:-1], numbered[-1])


def _read_own(database: Database, events: Sequence[UUID], schema: Schema, warm_up: UUID | None) -> TableSnapshot:
    """Read tables of the user's own, without the warm-up event."""
    with _plain_connection(database) as connection:
        with wrap_user_errors("Schema.events"):
            event_rows = [*schema.events(connection)]
        with wrap_user_errors("Schema.tickets"):
            ticket_rows = [*schema.tickets(connection)]
    numbers = {event_id: number for number, event_id in enumerate(events)}
    with _reading("Schema.events", "(event_id, seats, seats left or None, version or None)"):
        event_list = [
            (checked_uuid("event_id", each), seats, left, version) for each, seats, left, version in event_rows
        ]
    with _reading("Schema.tickets", "(event_id, purchase_id) or (event_id, purchase_id, ticket_id)"):
        sold = [_own_ticket(*row) for row in ticket_rows]
    return TableSnapshot(
        events=[
            (numbers[event_id], seats, left, version)
            for event_id, seats, left, version in event_list
            if event_id in numbers
        ],
        tickets=[(numbers[event_id], *ids) for event_id, ids in sold if event_id in numbers],
        added=len({event_id for event_id, *_ in event_list} - {*events, warm_up}),
    )


def _own_ticket(
    event_id: UUID, purchase_id: UUID, ticket_id: UUID | None = None
) -> tuple[UUID, tuple[bytes] | tuple[bytes, bytes]]:
    """A row of `Schema.tickets`: the event id, and the bytes of the other ids."""
    owner = checked_uuid("purchase_id", purchase_id).bytes
    if ticket_id is None:
        return checked_uuid("event_id", event_id), (owner,)
    return checked_uuid("event_id", event_id), (owner, checked_uuid("ticket_id", ticket_id).bytes)


@contextmanager
def _plain_connection(database: Database) -> Iterator[Connection]:
    """Lend a connection outside the pool, as psycopg opens it, in one REPEATABLE READ transaction."""
    with (
        database.translating_errors(),
        psycopg.connect(database.settings.url, connect_timeout=_TIMEOUT_S) as connection,
    ):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _limit(connection)
        yield connection


def _limit(connection: Connection) -> None:
    """Limit lock waits in this transaction: between trials nothing should hold a lock."""
    connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S:g}s'", prepare=False)


@contextmanager
def _in_time(connection: Connection, what: str) -> Iterator[None]:
    """Wrap a transaction that may not get its locks; the error names the holders."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        holders = [each for (each,) in connection.execute(_HOLDERS, {"table": "events"})]
        held_by = "; ".join(holders) or "no one any more: try again"
        raise TicketlabError(f"{what}: it was locked for {LOCK_TIMEOUT_S:g} s. It is held by {held_by}.") from error


@contextmanager
def _reading(what: str, form: str) -> Iterator[None]:
    try:
        yield
    except (InvalidInputError, TypeError, ValueError) as error:
        raise OwnCodeError(f"{what} must return rows of {form}: {error}") from error


APPLICATION: Final = "ticketlab-sampler"
_OPTIONS: Final = "-c lock_timeout=5 -c statement_timeout=2000"
_CONNECT_TIMEOUT_S: Final = 2
_READ: Final = """
SELECT wanted.number - 1, available_tickets, (SELECT count(*) FROM tickets WHERE event_id = events.id)
FROM events JOIN unnest(%s::uuid[]) WITH ORDINALITY AS wanted(id, number) USING (id)
"""


class Snapshots:
    """Samples the tables during a trial, on a connection of its own, which is opened when needed."""

    def __init__(self, database: Database, events: Sequence[UUID], schema: Schema | None) -> None:
        """Sample these events, numbered from 0; `schema` if the tables are the user's own."""
        self._url = database.settings.url
        self._events = list(events)
        self._schema = schema
        self._connection: psycopg.Connection[TupleRow] | None = None

    def read(self) -> list[tuple[int, int | None, int]]:
        """Return number, stock or None, and tickets sold of each event; empty if the tables cannot be read now.

        An error in a user's schema is not reported here, because the tables are read again when the trial is over.
        """
        try:
            connection = self._opened()
            return self._read_own(connection, self._schema) if self._schema else self._read(connection)
        except psycopg.errors.LockNotAvailable:  # the table is locked
            return []
        except Exception:  # the server was crashed, or a user's schema failed
            self.close()
            return []

    def close(self) -> None:
        """Close the connection, if it is open."""
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
        stock = [(UUID(str(event)), left) for event, _, left, _ in events]
        return [(numbers[event], left, sold[event]) for event, left in stock if event in numbers]
