"""EventRepository on a real PostgreSQL: what it keeps, what it refuses, and what it says."""

import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import event as events

from ticketlab.errors import InvalidInputError, NotFoundError, StaleVersionError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies

DATE = datetime(2026, 12, 1, 20, tzinfo=UTC)
STRATEGIES = sorted(strategies.registry())
VERSIONED = [
    name for name, each in strategies.registry().items() if not each.reconcile_stock and name != "naive_repeatable_read"
]
"""Whose sales say what they made of the event's row: not where its stock is counted elsewhere, or brought up later."""


@pytest.fixture
def repository(database):
    return EventRepository(database)


def rows(database, statement, *parameters):
    with psycopg.connect(database.settings.url) as connection:
        return connection.execute(statement, parameters).fetchall()


def test_a_created_event_has_the_documented_defaults(repository):
    """Version 1, all tickets available, both stamps set."""
    event = repository.create(name="Concert 2024", date=DATE, total_tickets=1000)
    assert (event.name, event.date, event.total_tickets, event.available_tickets) == ("Concert 2024", DATE, 1000, 1000)
    assert event.version == 1
    assert event.created_at == event.updated_at
    assert repository.get(str(event.id)) == event


def test_available_tickets_may_be_fewer_than_all(repository):
    """Tickets may be held back from the start."""
    assert repository.create(name="x", date=DATE, total_tickets=10, available_tickets=4).available_tickets == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": ""}, "name must be"),
        ({"name": "   "}, "name must be"),
        ({"name": None}, "name must be"),
        ({"name": "x" * 256}, "at most 255 characters, not 256"),
        ({"name": "nul \0"}, "NUL"),
        ({"name": "half \ud800"}, "surrogate"),
        ({"date": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "years 1 to 9999"),
        ({"date": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "years 1 to 9999"),
        ({"total_tickets": 10**5000}, "total_tickets must be from 0"),
        ({"date": datetime(2026, 12, 1)}, "date must be a datetime with a time zone"),  # noqa: DTZ001 - the point
        ({"date": "2026-12-01"}, "date must be a datetime with a time zone"),
        ({"total_tickets": -1, "available_tickets": 0}, "total_tickets must be from 0"),
        ({"total_tickets": 2**31}, "total_tickets must be from 0"),
        ({"available_tickets": -1}, "available_tickets must be from 0"),
        ({"available_tickets": 11}, "may not exceed"),
        ({"available_tickets": 1.5}, "must be an integer"),
    ],
)
def test_an_event_that_can_not_be_is_refused(repository, database, wrong, words):
    """Each wrong value gets one clear error, and no event is made."""
    with pytest.raises(InvalidInputError, match=words):
        repository.create(**({"name": "x", "date": DATE, "total_tickets": 10} | wrong))
    assert rows(database, "SELECT count(*) FROM events") == [(0,)]


def test_the_longest_name_fits(repository):
    """255 characters are not too many, whatever they need in bytes."""
    assert repository.create(name="ü" * 255, date=DATE, total_tickets=0).name == "ü" * 255


def test_an_unknown_event_is_said_to_be_unknown(repository):
    """Get and delete name the event that is not there; update too."""
    for call in (repository.get, repository.delete, lambda event_id: repository.update(event_id, 1, name="x")):
        with pytest.raises(NotFoundError, match="There is no event"):
            call(uuid4())


class TestUpdate:
    def test_it_raises_the_version_and_moves_the_stamp(self, repository, an_event):
        """A change makes a new version and a later updated_at, and leaves the rest as it was."""
        event = an_event(repository)
        changed = repository.update(event.id, 1, name="renamed")
        assert (changed.name, changed.version, changed.total_tickets) == ("renamed", 2, event.total_tickets)
        assert changed.updated_at > event.updated_at
        assert changed.created_at == event.created_at
        assert repository.get(event.id) == changed

    def test_a_stale_version_is_refused(self, repository, an_event):
        """Whoever read before another's change must read again; the other's change stays."""
        event = an_event(repository)
        repository.update(event.id, 1, name="first")
        with pytest.raises(StaleVersionError, match="version 2 by now, not 1"):
            repository.update(event.id, 1, name="second")
        assert repository.get(event.id).name == "first"

    def test_a_sale_makes_an_earlier_reading_stale(self, repository, an_event):
        """Purchases raise the version too."""
        event = an_event(repository)
        assert repository.purchase_tickets(event.id, 1, uuid4()).version == 2
        with pytest.raises(StaleVersionError):
            repository.update(event.id, event.version, name="x")

    @pytest.mark.parametrize("change", [{"total_tickets": 9}, {"available_tickets": 11}, {}, {"name": ""}])
    def test_an_update_that_can_not_be_leaves_the_event_as_it_was(self, repository, an_event, change):
        """More available than there are, no change at all, an empty name: refused."""
        event = an_event(repository)
        with pytest.raises(InvalidInputError):
            repository.update(event.id, 1, **change)
        assert repository.get(event.id) == event

    def test_a_version_that_can_not_rise_is_refused(self, repository, database, an_event):
        """After two thousand million updates there is no next version: told, and the event stays as it was."""
        event = an_event(repository)
        with psycopg.connect(database.settings.url) as connection:
            connection.execute("UPDATE events SET version = 2147483647")
        with pytest.raises(InvalidInputError, match="integer out of range"):
            repository.update(event.id, 2147483647, name="x")


class TestList:
    def test_events_come_in_order_of_date_within_the_range(self, repository):
        """From the start, which is in it, to the end, which is not."""
        days = [3, 1, 4, 2, 5]
        for day in days:
            repository.create(name=str(day), date=DATE + timedelta(days=day), total_tickets=1)
        found = repository.list(start=DATE + timedelta(days=2), end=DATE + timedelta(days=5))
        assert [event.name for event in found] == ["2", "3", "4"]

    def test_pages_follow_one_another_without_gap_or_overlap(self, repository):
        """Events of one date are told apart by their id, so that none is lost between two pages."""
        made = {repository.create(name=str(number), date=DATE, total_tickets=1).id for number in range(10)}
        found, last = [], None
        while page := repository.list(limit=4, after=last):
            found += [event.id for event in page]
            last = page[-1]
        assert len(found) == 10
        assert set(found) == made

    def test_the_index_on_date_serves_it(self, repository, database):
        """A page of a large table is read from the index, its first page and a later one."""
        with psycopg.connect(database.settings.url) as connection:
            connection.execute(
                "INSERT INTO events (name, date, total_tickets, available_tickets)"
                " SELECT 'e', now() + i * interval '1 hour', 1, 1 FROM generate_series(1, 20000) AS i"
            )
            connection.execute("ANALYZE events")
            connection.commit()
        seen = []
        listen = ("before_cursor_execute", lambda *told: seen.append(told[2:4]))
        events.listen(database.engine, *listen)
        page = repository.list(start=datetime.now(UTC), limit=10)
        repository.list(limit=10, after=page[-1])
        events.remove(database.engine, *listen)
        plans = [self.plan(database, *each) for each in seen]
        assert len(plans) == 2
        for plan in plans:
            assert "using events_date_idx" in plan
            assert re.search(r"Index Cond: \(+date >= ", plan)

    def plan(self, database, statement, parameters):
        with database.connection() as connection:
            rows = connection.execute(f"EXPLAIN {statement}", parameters, prepare=False).fetchall()
        return "\n".join(row for (row,) in rows)

    @pytest.mark.parametrize("wrong", [{"limit": 0}, {"start": datetime(2026, 1, 1)}, {"end": "now"}])  # noqa: DTZ001
    def test_a_page_that_can_not_be_is_refused(self, repository, wrong):
        """A limit of nothing, a moment without a time zone."""
        with pytest.raises(InvalidInputError):
            repository.list(**wrong)


def test_tickets_of_one_purchase_are_not_those_of_another(repository, an_event):
    """Each purchase has its own tickets; one that bought nothing has none."""
    event, first, second = an_event(repository), uuid4(), uuid4()
    repository.purchase_tickets(event.id, 2, first)
    repository.purchase_tickets(event.id, 3, second)
    assert {ticket.purchase_id for ticket in repository.tickets_of(first)} == {first}
    assert (len(repository.tickets_of(first)), len(repository.tickets_of(str(second)))) == (2, 3)
    assert repository.tickets_of(uuid4()) == []


def test_deleting_an_event_deletes_its_tickets(repository, database, an_event):
    """ON DELETE CASCADE: nobody keeps a ticket to nothing, and other events keep theirs."""
    gone, kept = an_event(repository), an_event(repository)
    repository.purchase_tickets(gone.id, 2, uuid4())
    repository.purchase_tickets(kept.id, 3, uuid4())
    repository.delete(gone.id)
    assert rows(database, "SELECT event_id, count(*) FROM tickets GROUP BY 1") == [(kept.id, 3)]


@pytest.mark.parametrize("strategy", VERSIONED)
def test_a_sale_tells_the_version_and_the_stock_that_it_made(shared_database, an_event, strategy):
    """They are those of the event's row: the order that the database chose."""
    repository = EventRepository(shared_database, strategy)
    event = an_event(repository)
    for version, quantity, left in ((2, 3, 7), (3, 1, 6)):
        result = repository.purchase_tickets(event.id, quantity, uuid4())
        after = repository.get(event.id)
        assert (result.version, result.available_tickets) == (after.version, after.available_tickets) == (version, left)


@pytest.mark.parametrize("strategy", STRATEGIES)
class TestPurchase:
    @pytest.fixture
    def database(self, shared_database):
        return shared_database

    @pytest.fixture
    def tickets(self, database):
        """How many tickets a column of theirs names."""
        return lambda column, value: rows(database, f"SELECT count(*) FROM tickets WHERE {column} = %s", value)[0][0]

    def test_a_sale_is_in_the_database_as_it_was_told(self, database, an_event, strategy):
        """Tickets, stock and version are what the result says, and the stamp moves."""
        repository = EventRepository(database, strategy)
        event, purchase_id = an_event(repository), uuid4()
        result = repository.purchase_tickets(event.id, 3, purchase_id)
        assert (result.success, result.outcome, result.cause, result.attempts) == (True, Outcome.SOLD, Cause.NONE, 1)
        assert result.message == "3 tickets purchased."
        after = repository.get(event.id)
        assert after.available_tickets == 7
        assert after.version > 1
        assert after.updated_at > event.updated_at
        assert sorted(result.tickets) == sorted(repository.tickets_of(purchase_id))
        assert len({ticket.id for ticket in result.tickets}) == 3
        assert {(ticket.event_id, ticket.purchase_id) for ticket in result.tickets} == {(event.id, purchase_id)}

    def test_too_many_are_refused_and_nothing_changes(self, database, tickets, an_event, strategy):
        """Not enough tickets: an answer that says how many are left, and the database as it was."""
        repository = EventRepository(database, strategy)
        event = an_event(repository)
        for quantity in (11, 2**31 - 1):
            result = repository.purchase_tickets(event.id, quantity, uuid4())
            assert (result.outcome, result.cause) == (Outcome.SOLD_OUT, Cause.INSUFFICIENT)
            assert (result.version, result.available_tickets) == (1, 10)
            assert not result.tickets
        assert repository.get(event.id) == event
        assert tickets("event_id", event.id) == 0

    def test_the_last_tickets_can_be_bought(self, database, an_event, strategy):
        """Exactly what is left is not too many, and then there is nothing left."""
        repository = EventRepository(database, strategy)
        event = an_event(repository)
        assert repository.purchase_tickets(event.id, 10, uuid4()).success
        refused = repository.purchase_tickets(event.id, 1, uuid4())
        assert (refused.outcome, refused.available_tickets) == (Outcome.SOLD_OUT, 0)
        assert repository.get(event.id).available_tickets == 0

    def test_an_unknown_event_sells_nothing(self, database, tickets, strategy):
        """The result says that there is no such event."""
        purchase_id = uuid4()
        result = EventRepository(database, strategy).purchase_tickets(uuid4(), 1, purchase_id)
        assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.UNKNOWN_EVENT)
        assert "there is no event" in result.message
        assert tickets("purchase_id", purchase_id) == 0

    def test_a_wrong_request_is_refused_before_anything_is_sent(self, database, an_event, strategy):
        """The repository checks what it is given."""
        repository = EventRepository(database, strategy)
        event = an_event(repository)
        for quantity, purchase_id in ((0, uuid4()), (2**31, uuid4()), (1, "no uuid")):
            with pytest.raises(InvalidInputError):
                repository.purchase_tickets(event.id, quantity, purchase_id)
        assert repository.get(event.id) == event

    def test_the_transaction_is_over_when_the_result_is_there(self, database, an_event, strategy):
        """Sold, refused or unknown: no connection goes back to the pool inside a transaction."""
        repository = EventRepository(database, strategy)
        event_id = an_event(repository).id
        for wanted, quantity in ((event_id, 1), (event_id, 99), (uuid4(), 1)):
            repository.purchase_tickets(wanted, quantity, uuid4())
            states = rows(database, "SELECT state FROM pg_stat_activity WHERE application_name = 'ticketlab'")
            assert set(states) == {("idle",)}
