"""Stock and tickets are read while others buy: right where they can be read, and never in anybody's way."""

from contextlib import closing
from uuid import uuid4

import psycopg
import pytest

from ticketlab import EventRepository, Schema
from ticketlab.tickets.trial_tables import APPLICATION, Snapshots

OPEN = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"


@pytest.fixture
def sold(database, an_event):
    """Two events of ten seats: of the first three are sold, of the second none."""
    repository = EventRepository(database)
    events = [an_event(repository).id, an_event(repository).id]
    assert repository.purchase_tickets(events[0], 3, uuid4()).success
    return events


def sessions(database):
    with database.connection() as connection:
        return [pid for (pid,) in connection.execute(OPEN, [APPLICATION])]


def test_each_event_has_its_stock_and_its_tickets(database, sold):
    with closing(Snapshots(database, sold, None)) as snapshots:
        assert sorted(snapshots.read()) == [(0, 7, 3), (1, 10, 0)]


@pytest.mark.parametrize("table", ["events", "tickets"])
def test_a_table_that_is_locked_is_not_waited_for(database, sold, table):
    """Nothing is read then; the same session reads on when the lock is gone."""
    with closing(Snapshots(database, sold, None)) as snapshots, psycopg.connect(database.settings.url) as other:
        assert len(snapshots.read()) == 2
        before = sessions(database)
        other.execute(f"LOCK TABLE {table}")
        assert snapshots.read() == []
        other.rollback()
        assert len(snapshots.read()) == 2
        assert sessions(database) == before


def test_a_session_that_was_ended_is_opened_again(database, sold):
    with closing(Snapshots(database, sold, None)) as snapshots:
        snapshots.read()
        with database.connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) AS pid", [sessions(database)]
            )
        assert snapshots.read() == []
        assert len(snapshots.read()) == 2


def test_a_row_that_a_buyer_holds_is_read_as_it_was(database, sold):
    with closing(Snapshots(database, sold, None)) as snapshots, psycopg.connect(database.settings.url) as other:
        other.execute("UPDATE events SET available_tickets = 0")
        assert sorted(snapshots.read()) == [(0, 7, 3), (1, 10, 0)]


def test_a_schema_is_read_through_its_own_functions(database, sold):
    """In one snapshot; where a function fails nothing is read, and it is tried again."""
    failures = [ZeroDivisionError("not yet")]

    def events(connection):
        if failures:
            raise failures.pop()
        return connection.execute("SELECT id, total_tickets, available_tickets, version FROM events").fetchall()

    def tickets(connection):
        return connection.execute("SELECT event_id, purchase_id FROM tickets").fetchall()

    schema = Schema(lay_out=lambda *_words: None, events=events, tickets=tickets)
    with closing(Snapshots(database, sold, schema)) as snapshots:
        assert snapshots.read() == []
        assert sorted(snapshots.read()) == [(0, 7, 3), (1, 10, 0)]
    assert sessions(database) == []
