"""What happens when two purchases meet: each order is played, and the server is asked who waits. Nothing sleeps."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies
from ticketlab.tickets.strategies import lock_timeout
from ticketlab.tickets.strategies.advisory import LOCK as ADVISORY_LOCK

SAFE = [each.name for each in strategies.registry().values() if each.safe]
OVERSELLING = ["naive", "naive_repeatable_read"]
"""The controls, but for the one whose flaw is the deadlock of its baskets: see test_baskets."""

COMMITTING_AS_THEY_WAIT = ["atomic", "check_constraint", "coalesced", "optimistic", "pipelined", "server_function"]
"""Who waits for the row in the statement that also commits."""
NEVER_WAITING = ["nowait"]
WAITING_BEFORE_THEY_COMMIT = sorted({*SAFE} - {*COMMITTING_AS_THEY_WAIT} - {*NEVER_WAITING})
COUNTING_BESIDE_THE_ROW = [name for name in SAFE if strategies.get(name).reconcile_stock]

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")

SELL_ONE = "UPDATE events SET available_tickets = available_tickets - 1, version = version + 1 WHERE id = %s"


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """The bounded wait is as long as it takes to see it, on however slow a machine."""
    monkeypatch.setattr(lock_timeout, "BOUND", "SET LOCAL lock_timeout = '60s'")


class Meeting:
    """A connection whose first statement, once answered, waits until the other buyer's is too."""

    def __init__(self, connection, barrier):
        self._connection = connection
        self._barrier = barrier
        self._statements = 0

    def execute(self, statement, parameters=None, **options):
        answer = self._connection.execute(statement, parameters, **options)
        self._statements += not isinstance(statement, bytes)  # BEGIN reads nothing
        if self._statements == 1 and self._barrier is not None:
            barrier, self._barrier = self._barrier, None
            barrier.wait(timeout=30)
        return answer

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.fixture
def rival(database):
    """Another buyer, who holds all locks of an event that one may hold, and has sold a ticket of it."""

    @contextmanager
    def selling(event_id):
        with psycopg.connect(database.settings.url) as connection:
            connection.execute(ADVISORY_LOCK, [event_id])
            connection.execute(SELL_ONE, [event_id])
            connection.execute("INSERT INTO tickets (event_id, purchase_id) VALUES (%s, %s)", [event_id, uuid4()])
            yield connection

    return selling


@pytest.fixture
def buy_behind(rival, gate, eventually):
    """A purchase that waits for the rival, `then` comes to the rival's connection; the purchase's result."""

    def buy(repository, event, *, then):
        with ThreadPoolExecutor(1) as threads, rival(event.id) as other:
            purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
            eventually(lambda: gate.waiting_for(other.info.backend_pid))
            then(other)
            return purchase.result(timeout=30)

    return buy


@pytest.fixture
def last_ticket(an_event):
    """An event of two tickets of which one is sold, so that seats and shards, where there are any, are laid out."""

    def make(repository):
        event = an_event(repository, tickets=2)
        assert repository.purchase_tickets(event.id, 1, uuid4()).success
        return event

    return make


@pytest.mark.parametrize("name", OVERSELLING)
def test_a_control_sells_the_last_ticket_twice(database, an_event, books, name):
    """Two buyers who both read before either writes are both told that they own the last ticket."""
    control, barrier = strategies.get(name), Barrier(2)
    meeting = replace(
        control, purchase=lambda connection, request: control.purchase(Meeting(connection, barrier), request)
    )
    repository = EventRepository(database, meeting)
    event = an_event(repository, tickets=1)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: repository.purchase_tickets(event.id, 1, uuid4()), range(2)))
    assert [result.outcome for result in results] == [Outcome.SOLD, Outcome.SOLD]
    assert books(event.id)[2] == 2


@pytest.mark.parametrize("name", SAFE)
def test_the_last_ticket_that_another_bought_is_gone(database, elsewhere, last_ticket, meet, books, name):
    """Another has it and commits while this buyer waits or tries: he is told so by what the row then says."""
    repository, other = EventRepository(database, name), EventRepository(elsewhere, name)
    event = last_ticket(repository)
    first, second = meet((other, event.id, 1, uuid4()), (repository, event.id, 1, uuid4()), commit=True)
    assert (first.outcome, second.outcome, second.cause) == (Outcome.SOLD, Outcome.SOLD_OUT, Cause.INSUFFICIENT)
    assert (second.available_tickets, second.version, 2) == books(event.id)


@pytest.mark.parametrize("name", SAFE)
def test_the_last_ticket_that_another_gave_up_is_sold(database, elsewhere, last_ticket, meet, books, agreed, name):
    """Another held it, and rolls back: nobody is told that it is gone while it is merely locked."""
    repository, other = EventRepository(database, name), EventRepository(elsewhere, name)
    event = last_ticket(repository)
    first, second = meet((other, event.id, 1, uuid4()), (repository, event.id, 1, uuid4()), commit=False)
    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.SOLD)
    if name in COUNTING_BESIDE_THE_ROW:
        assert (second.available_tickets, second.version) == (None, None)
    else:
        assert (second.available_tickets, second.version, 2) == books(event.id)
    agreed(repository, event, tickets=2)


@pytest.mark.parametrize("name", sorted({*SAFE} - {*NEVER_WAITING}))
def test_the_stamp_of_a_buyer_who_waited_is_not_set_back(database, an_event, buy_behind, name):
    """A purchase that began before another, and sold after it, has the later updated_at."""
    stamps = []

    def stamp(other):
        stamped = "UPDATE events SET updated_at = clock_timestamp() WHERE id = %s RETURNING updated_at"
        stamps.extend(other.execute(stamped, [event.id]).fetchone())
        other.commit()

    repository = EventRepository(database, name)
    event = an_event(repository)
    assert buy_behind(repository, event, then=stamp).success
    assert repository.get(event.id).updated_at > stamps[0]


@pytest.mark.parametrize("name", COMMITTING_AS_THEY_WAIT)
def test_a_connection_lost_in_the_committing_statement_leaves_the_outcome_unknown(
    database, an_event, buy_behind, gate, name
):
    """The backend is ended while what commits is under way: nobody can tell from here."""
    result = _lose_the_connection(database, an_event, buy_behind, gate, name)
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)


@pytest.mark.parametrize("name", WAITING_BEFORE_THEY_COMMIT)
def test_a_connection_lost_before_the_commit_is_a_failure(database, an_event, buy_behind, gate, name):
    """The backend is ended while it waits for the lock: what was not committed is surely rolled back."""
    result = _lose_the_connection(database, an_event, buy_behind, gate, name)
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONNECTION)


def _lose_the_connection(database, an_event, buy_behind, gate, name):
    def end_who_waits(other):
        for backend in gate.waiting_for(other.info.backend_pid):
            gate.end(backend)

    repository = EventRepository(database, name)
    return buy_behind(repository, an_event(repository), then=end_who_waits)


@pytest.mark.parametrize("name", SAFE)
def test_a_connection_lost_in_the_commit_leaves_the_outcome_unknown(database, an_event, gate, agreed, name):
    """The commit itself is under way when the backend is ended: its buyer may ask again under the same id."""
    repository, purchase_id = EventRepository(database, name), uuid4()
    event = an_event(repository)
    gate.shut()
    with ThreadPoolExecutor(1) as threads:
        purchase = threads.submit(repository.purchase_tickets, event.id, 1, purchase_id)
        gate.end(gate.held())
        result = purchase.result(timeout=30)
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)
    assert "may or may not have happened" in result.message
    gate.open()
    assert repository.purchase_tickets(event.id, 1, purchase_id).success
    agreed(repository, event, tickets=1)


def test_nowait_is_refused_while_another_holds_the_row(database, elsewhere, last_ticket, meet):
    """It waits for nobody: each try that found the row locked is told as such."""
    repository, other = EventRepository(database, "nowait"), EventRepository(elsewhere, "nowait")
    event = last_ticket(repository)
    _, result = meet((other, event.id, 1, uuid4()), (repository, event.id, 1, uuid4()), commit=False)
    assert result.outcome is Outcome.SOLD
    assert {*result.retries} == {Cause.LOCK_TIMEOUT}


def test_a_wait_is_bounded_by_lock_timeout(database, elsewhere, an_event, meet, monkeypatch):
    """Who has waited too long is sent away, and tries again until the row is free; the next purchase waits anew."""
    monkeypatch.setattr(lock_timeout, "BOUND", "SET LOCAL lock_timeout = '1ms'")
    repository, other = EventRepository(database, "lock_timeout"), EventRepository(elsewhere, "pessimistic")
    event = an_event(repository)
    with database.connection() as connection:
        before = connection.execute("SHOW lock_timeout").fetchone()
    patient = replace(repository.strategy, retry=replace(repository.strategy.retry, max_attempts=10_000, deadline_s=30))
    wanted = (EventRepository(database, patient), event.id, 1, uuid4())
    _, result = meet((other, event.id, 1, uuid4()), wanted, commit=True)
    assert result.outcome is Outcome.SOLD
    assert {*result.retries} <= {Cause.LOCK_TIMEOUT}
    with database.connection() as connection:
        assert connection.execute("SHOW lock_timeout").fetchone() == before


@pytest.mark.parametrize(("name", "waits"), [("no_key_update", False), ("pessimistic", True)])
def test_an_insert_that_refers_to_the_event_waits_for_the_stronger_lock_only(database, an_event, gate, name, waits):
    """A ticket is given away while a purchase stands at its commit: FOR NO KEY UPDATE lets it pass."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    refused = False
    with psycopg.connect(database.settings.url) as box_office:
        box_office.execute("SET lock_timeout = '50ms'")
        gate.shut()
        with ThreadPoolExecutor(1) as threads:
            purchase = threads.submit(repository.purchase_tickets, event.id, 1, uuid4())
            gate.held()
            try:
                box_office.execute("INSERT INTO tickets (event_id, purchase_id) VALUES (%s, %s)", [event.id, uuid4()])
            except psycopg.errors.LockNotAvailable:
                refused = True
            gate.open()
            assert purchase.result(timeout=30).success
        box_office.rollback()
    assert refused is waits
