"""Three ways to lose a connection are three things: each is played step by step, and by buyers who buy meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ticketlab import EventRepository, Experiment, PurchaseResult, Settings
from ticketlab.checks.verdict import Status
from ticketlab.faults import connections
from ticketlab.load import CUTS, Fault, FaultKind
from ticketlab.outcomes import Cause, Outcome
from ticketlab.runs import lab

BREAK = {
    FaultKind.DISCONNECT: connections.end_backends,
    FaultKind.LOSE_REQUEST: connections.lose_requests,
    FaultKind.LOSE_REPLY: connections.lose_replies,
}
DEADLINE_S = 30
LOAD = {"buyers": (8,), "repeats": 1, "stock": 10**6, "purchases": 400, "seconds": 60.0, "warm_up_s": 0.0}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
TAKE = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s"
WRITE = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"


def of_the_lab(database, name="ticketlab-test"):
    """A connection that every fault leaves alone."""
    return psycopg.connect(database.settings.url, application_name=name, autocommit=True)


@contextmanager
def held(database, event, eventually):
    """The event's row is locked; yields a way to wait for the first who waits for it, and one to let go."""
    with of_the_lab(database) as holder, of_the_lab(database) as observer:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [event.id])

        def somebody_waits():
            eventually(lambda: observer.execute(WAITING, [holder.info.backend_pid]).fetchone() == (1,))

        yield somebody_waits, lambda: holder.execute("ROLLBACK")


@contextmanager
def commits_as_on_a_disk(server):
    """Each takes some milliseconds, wherever the data are: a fault is to meet purchases in their commit too."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET commit_siblings = 0")
        connection.execute("ALTER ROLE CURRENT_USER SET commit_delay = 5000")
        try:
            yield
        finally:
            connection.execute("ALTER ROLE CURRENT_USER RESET commit_delay")
            connection.execute("ALTER ROLE CURRENT_USER RESET commit_siblings")


@pytest.fixture
def ran(server, template, tmp_path):
    """Run strategies, or functions, with several faults of a kind."""

    def run(kind, *wanted, **changes):
        own = [each for each in wanted if callable(each)]
        names = tuple(each.__name__ if callable(each) else each for each in wanted)
        faults = tuple(Fault(kind=kind, after=after) for after in (80, 160, 240))
        experiment = Experiment(**LOAD | {"strategies": names, "faults": faults} | changes)
        with commits_as_on_a_disk(server):
            return lab.run_on(server, experiment, own=own, out=tmp_path / kind, template=template)

    return run


def met(run, strategy=None):
    """Purchases that the faults of a run met, and those of them that had committed."""
    found = [each.met for each in run.faults if strategy in (None, each.strategy) and each.met is not None]
    return sum(each.purchases for each in found), sum(each.committed for each in found)


def test_a_reply_is_lost_and_the_sale_is_made(database, an_event, eventually):
    """The buyer is told at once that nobody knows; the fault is over when the server has committed."""
    repository = EventRepository(database, "atomic")
    event, purchase_id = an_event(repository), uuid4()
    with held(database, event, eventually) as (somebody_waits, let_go), ThreadPoolExecutor(2) as threads:
        buying = threads.submit(repository.purchase_tickets, event.id, 2, purchase_id)
        somebody_waits()
        fault = threads.submit(connections.lose_replies, database)
        result = buying.result(timeout=DEADLINE_S)
        assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)
        assert not fault.done()
        let_go()
        fault.result(timeout=DEADLINE_S)
    assert len(repository.tickets_of(purchase_id)) == 2
    assert repository.get(event.id).available_tickets == 8


def test_a_backend_that_does_not_finish_is_ended(database, an_event, eventually, monkeypatch):
    """It waits for a lock that nobody gives back: when the fault is over nothing runs any more; nothing was sold."""
    monkeypatch.setattr(connections, "FINISH_S", 0.1)
    repository = EventRepository(database, "atomic")
    event, purchase_id = an_event(repository), uuid4()
    with held(database, event, eventually) as (somebody_waits, let_go), ThreadPoolExecutor(2) as threads:
        buying = threads.submit(repository.purchase_tickets, event.id, 2, purchase_id)
        somebody_waits()
        threads.submit(connections.lose_replies, database).result(timeout=DEADLINE_S)
        assert buying.result(timeout=DEADLINE_S).outcome is Outcome.UNKNOWN
        let_go()
    assert repository.tickets_of(purchase_id) == []


def test_a_request_is_lost_and_the_transaction_is_rolled_back(database, an_event, eventually):
    """Between two statements; who waits for an answer meanwhile gets it."""
    repository = EventRepository(database, "atomic")
    event, other = an_event(repository), an_event(repository)
    with held(database, event, eventually) as (somebody_waits, let_go), ThreadPoolExecutor(1) as threads:
        buying = threads.submit(repository.purchase_tickets, event.id, 2, uuid4())
        somebody_waits()
        with database.connection() as connection:
            connection.execute("BEGIN")
            connection.execute(TAKE, [5, other.id])
            connections.lose_requests(database)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("COMMIT")
        let_go()
        assert buying.result(timeout=DEADLINE_S).outcome is Outcome.SOLD
    assert repository.get(other.id).available_tickets == 10


def test_an_ended_backend_commits_nothing(database, an_event, eventually):
    """Neither who waits for an answer nor who has not sent the next statement."""
    repository = EventRepository(database, "atomic")
    event, other, purchase_id = an_event(repository), an_event(repository), uuid4()
    with held(database, event, eventually) as (somebody_waits, let_go), ThreadPoolExecutor(1) as threads:
        buying = threads.submit(repository.purchase_tickets, event.id, 2, purchase_id)
        somebody_waits()
        with database.connection() as connection:
            connection.execute("BEGIN")
            connection.execute(TAKE, [5, other.id])
            connections.end_backends(database)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("COMMIT")
        let_go()
        assert buying.result(timeout=DEADLINE_S).outcome is Outcome.UNKNOWN
    assert repository.tickets_of(purchase_id) == []
    assert repository.get(other.id).available_tickets == 10


@pytest.mark.parametrize("kind", CUTS)
def test_after_a_fault_the_pool_has_sound_connections_only(database, an_event, kind):
    """Ten that nobody used: as many purchases afterwards all succeed."""
    repository = EventRepository(database, "atomic")
    event = an_event(repository)
    for each in [database.pool.getconn() for _ in range(10)]:
        database.pool.putconn(each)
    BREAK[kind](database)
    assert [repository.purchase_tickets(event.id, 1, uuid4()).outcome for _ in range(10)] == [Outcome.SOLD] * 10


@pytest.mark.parametrize("kind", CUTS)
def test_a_fault_leaves_the_labs_own_connections_and_other_databases_alone(database, server, kind):
    """By their name, and by their database."""
    with of_the_lab(database, "ticketlab-reader") as ours, psycopg.connect(server.url, autocommit=True) as elsewhere:
        BREAK[kind](database)
        assert ours.execute("SELECT 1").fetchone() == elsewhere.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.LOSE_REQUEST])
def test_a_connection_of_another_pool_is_reached_between_two_statements(database, an_event, kind):
    """Its transaction is rolled back."""
    event = an_event(EventRepository(database))
    with psycopg.connect(database.settings.url) as theirs:
        theirs.execute(TAKE, [5, event.id])
        BREAK[kind](database)
        with pytest.raises(psycopg.OperationalError):
            theirs.execute("SELECT 1")
    assert EventRepository(database).get(event.id).available_tickets == 10


def test_a_connection_of_another_pool_loses_its_reply(database, an_event, eventually):
    """And its statement takes effect."""
    event = an_event(EventRepository(database))
    with held(database, event, eventually) as (somebody_waits, let_go), ThreadPoolExecutor(2) as threads:
        theirs = psycopg.connect(database.settings.url, autocommit=True)
        taking = threads.submit(theirs.execute, TAKE, [5, event.id])
        somebody_waits()
        fault = threads.submit(connections.lose_replies, database)
        with pytest.raises(psycopg.OperationalError):
            taking.result(timeout=DEADLINE_S)
        let_go()
        fault.result(timeout=DEADLINE_S)
        theirs.close()
    assert EventRepository(database).get(event.id).available_tickets == 5


@pytest.mark.parametrize("kind", CUTS)
def test_a_fault_is_made_while_the_server_does_not_answer(database, kind):
    """Those that the pool knows are cut; nothing is raised."""
    with database.connection() as connection:
        connection.execute("SELECT 1")
        unreachable = database.settings.model_copy(update={"port": 1})
        database.settings, settings = unreachable, database.settings
        try:
            BREAK[kind](database)
        finally:
            database.settings = settings
        broken = kind is not FaultKind.LOSE_REPLY  # nobody waits for an answer
        if broken:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        else:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "names", [["pessimistic"], pytest.param(["atomic", "pessimistic"], marks=pytest.mark.slow)], ids=", ".join
)
@pytest.mark.parametrize("kind", CUTS)
def test_safe_strategies_stay_right(ran, kind, names):
    """Whatever is lost, and whether it had committed; on a slow machine a short trial may be over before its fault."""
    run = ran(kind, *names)
    assert dict(zip(run.measures["strategy"], run.measures["verdict"], strict=True)) == dict.fromkeys(names, "VALID")
    purchases, committed = met(run)
    assert purchases > 0, run.notes
    if kind is FaultKind.LOSE_REPLY:
        assert committed >= 1
    else:
        assert committed <= purchases / 3  # a commit may be past the point at which it can be ended


def test_a_batch_that_loses_its_reply_is_unknown_to_all_in_it(ran):
    """One connection sells to many: several had committed, and the tickets are theirs."""
    run = ran(FaultKind.LOSE_REPLY, "coalesced", purchases=2_000)
    assert met(run)[1] > 1
    assert run.measures["verdict"].tolist() == ["VALID"]


def answered_as_failed(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool | PurchaseResult:
    """An error of the database is taken for a rollback, that of a lost COMMIT too."""
    try:
        with connection.transaction():
            connection.execute(TAKE, [quantity, event_id])
            connection.execute(WRITE, [event_id, purchase_id, quantity])
    except psycopg.OperationalError:
        return PurchaseResult(outcome=Outcome.FAILED, quantity=quantity, cause=Cause.CONNECTION)
    return True


def test_a_function_that_answers_a_committed_sale_as_failed_is_caught_where_replies_are_lost(ran):
    """Tickets that nobody was sold."""
    ((_, verdicts),) = ran(FaultKind.LOSE_REPLY, answered_as_failed).verdicts
    assert "tickets_accounted_for" in {each.check for each in verdicts if each.status is Status.INVALID}


def test_a_function_that_answers_a_lost_request_as_failed_is_right(ran):
    """The sale was rolled back, as it says."""
    run = ran(FaultKind.LOSE_REQUEST, answered_as_failed)
    assert run.measures["verdict"].tolist() == ["VALID"]
    assert met(run)[0]


class Till:
    """An application with a pool of its own, which looks at a connection before it gives it."""

    def __init__(self, settings: Settings) -> None:
        check = ConnectionPool.check_connection
        self.pool = ConnectionPool(settings.url, min_size=1, max_size=8, open=True, check=check)

    def close(self) -> None:
        self.pool.close()


def by_its_own_pool(till: Till, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Past the lab's pool."""
    with till.pool.connection() as connection:
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(WRITE, [event_id, purchase_id, quantity])
    return True


@pytest.mark.parametrize("kind", CUTS)
def test_a_class_with_a_pool_of_its_own_is_reached(ran, kind):
    """Each meets its purchases; of those that lost their reply some had committed, and all is accounted for."""
    run = ran(kind, by_its_own_pool)
    purchases, committed = met(run)
    assert purchases, run.notes
    assert committed or kind is not FaultKind.LOSE_REPLY
    assert run.measures["verdict"].tolist() == ["VALID"]
