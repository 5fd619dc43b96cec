"""What purchase functions leave on connections and in the server is seen; right ones, and faults, raise no alarm."""

from typing import ClassVar
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from psycopg_pool import ConnectionPool
from sqlalchemy.orm import Session

from ticketlab import EventRepository, Settings, adopt, checks, mutants, servers
from ticketlab.checks.verdict import Anomaly, Status, overall
from ticketlab.load import Fault, Plan, driver
from ticketlab.outcomes import Outcome
from ticketlab.runs.trial_runner import run_trial
from ticketlab.tickets import Database, leftovers, migrations, strategies

LOOK = "SELECT available_tickets FROM events WHERE id = %(event_id)s FOR UPDATE"
TAKE = """
WITH event AS (
    UPDATE events SET available_tickets = available_tickets - %(quantity)s WHERE id = %(event_id)s RETURNING id
)
INSERT INTO tickets (event_id, purchase_id)
SELECT id, %(purchase_id)s FROM event, generate_series(1, %(quantity)s)
"""
FEW = {"buyers": 4, "purchases": 24, "stock": 100, "seconds": 30.0, "warm_up_s": 0.0}
CALLS = 28
"""Those of FEW, and one of each buyer to warm up."""


def sell(execute, event_id, quantity, purchase_id):
    wanted = {"event_id": event_id, "quantity": quantity, "purchase_id": purchase_id}
    (left,) = execute(LOOK, wanted).fetchone()
    if left >= quantity:
        execute(TAKE, wanted)
    return left >= quantity


@pytest.fixture(scope="module")
def place():
    """A server that lets transactions be prepared and finds deadlocks soon, and a migrated database on it."""
    with (
        servers.open("embedded", settings={"max_prepared_transactions": 32, "deadlock_timeout": "10ms"}) as server,
        Database(Settings.from_url(server.url)) as database,
    ):
        migrations.upgrade(database)
        yield server, database


@pytest.fixture
def tried(place):
    """What the checks say of a trial of a function or strategy, and the facts that they go by."""

    def observed(function, *faults, adopting=None, **plan):
        server, database = place
        with Database(database.settings) as own:
            seen = run_trial(
                mutants.get(function) if isinstance(function, str) else adopt(function, **adopting or {}),
                Plan(**FEW | plan), own, server=server,
                faults=tuple(map(Fault.parse, faults)),
            )  # fmt: skip
            ledger = seen.ledger()
        seen.raise_error()
        verdicts = checks.judge(seen.load.history, ledger)
        return {each.check: each for each in verdicts}, ledger.facts

    return observed


def left_of(found):
    verdicts, facts = found
    verdict = verdicts["leaves_connection_clean"]
    expected = (Status.INVALID, Anomaly.UNCLEAN_CONNECTION) if facts.left_behind else (Status.VALID, None)
    assert (verdict.status, verdict.anomaly) == expected
    return set(facts.left_behind)


def test_an_open_transaction_in_autocommit_mode_is_seen(tried):
    def begins_and_forgets(connection, event_id, quantity, purchase_id):
        sold = sell(connection.execute, event_id, quantity, purchase_id)
        connection.execute("BEGIN")
        return sold

    verdicts, facts = tried(begins_and_forgets, adopting={"autocommit": True})
    assert facts.left_behind == {leftovers.OPEN_TRANSACTION: CALLS}
    assert verdicts["leaves_connection_clean"].summary == f"{CALLS} times {leftovers.OPEN_TRANSACTION}"


def test_a_session_advisory_lock_is_seen(tried):
    def locks_and_forgets(connection, event_id, quantity, purchase_id):
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [str(purchase_id)])
        return sell(connection.execute, event_id, quantity, purchase_id)

    assert left_of(tried(locks_and_forgets)) == {leftovers.ADVISORY_LOCK}


def test_a_changed_setting_and_a_listen_are_seen(tried):
    def sets_and_listens(connection, event_id, quantity, purchase_id):
        connection.execute("SET lock_timeout = '55s'")
        connection.execute("LISTEN tickets")
        return sell(connection.execute, event_id, quantity, purchase_id)

    assert left_of(tried(sets_and_listens)) == {
        leftovers.LISTENING,
        "the setting lock_timeout was left changed on the connection",
    }


def test_a_held_cursor_and_a_temporary_table_are_seen(tried):
    """The next purchase on the connection meets them; what ends with the transaction is none of them."""

    def leaves_them(connection, event_id, quantity, purchase_id):
        connection.execute(f'DECLARE "{purchase_id}" CURSOR WITH HOLD FOR SELECT 1')
        connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS cart (purchase_id uuid)")
        return sell(connection.execute, event_id, quantity, purchase_id)

    def cleans_up(connection, event_id, quantity, purchase_id):
        connection.execute(f'DECLARE "{purchase_id}" CURSOR FOR SELECT 1')
        connection.execute("CREATE TEMPORARY TABLE cart (purchase_id uuid) ON COMMIT DROP")
        return sell(connection.execute, event_id, quantity, purchase_id)

    assert left_of(tried(leaves_them)) == {leftovers.HELD_CURSOR, leftovers.TEMPORARY_TABLE}
    assert left_of(tried(cleans_up)) == set()


def test_a_closed_connection_is_seen_and_costs_no_place_in_the_pool(tried):
    def closes(connection, event_id, quantity, purchase_id):
        sold = sell(connection.execute, event_id, quantity, purchase_id)
        connection.commit()
        connection.close()
        return sold

    verdicts, facts = tried(closes)
    assert facts.left_behind == {leftovers.CLOSED: CALLS}
    assert verdicts["sales_in_ledger"].status is Status.VALID


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("autocommit", True), ("isolation_level", psycopg.IsolationLevel.SERIALIZABLE), ("read_only", False)],
)
def test_a_changed_attribute_is_seen_and_does_not_reach_the_next_purchase(tried, attribute, value):
    lent = []

    def changes(connection, event_id, quantity, purchase_id):
        lent.append(getattr(connection, attribute))
        with connection.transaction():
            sold = sell(connection.execute, event_id, quantity, purchase_id)
        setattr(connection, attribute, value)
        return sold

    assert left_of(tried(changes)) == {f"{attribute} was changed on the connection"}
    assert value not in lent


def test_a_prepared_transaction_is_seen_and_rolled_back(tried, place):
    def prepares_and_forgets(connection, event_id, quantity, purchase_id):
        sold = sell(connection.execute, event_id, quantity, purchase_id)
        connection.commit()
        connection.tpc_begin(str(purchase_id))
        connection.execute("SELECT count(*) FROM tickets")  # a lock that keeps the table from being emptied, no more
        connection.tpc_prepare()
        return sold

    server, _ = place
    assert left_of(tried(prepares_and_forgets, purchases=8)) == {leftovers.PREPARED}
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)
    assert left_of(tried("atomic")) == set()  # the tables are emptied before: nobody holds them


class Leaky:
    """Opens a connection for each purchase, and closes none."""

    opened: ClassVar = []

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def open(self) -> psycopg.Connection:
        connection = psycopg.connect(self.settings.url)
        self.opened.append(connection)
        return connection


@pytest.fixture
def nothing_stays_open():
    """What the test's functions forgot is closed when it has been seen."""
    yield
    while Leaky.opened:
        Leaky.opened.pop().close()


class Closed(Leaky):
    def close(self) -> None:
        """Forgets them all the same."""


class Tidy:
    """Keeps a pool, and closes it."""

    def __init__(self, settings: Settings) -> None:
        self.pool = ConnectionPool(settings.url, min_size=1, max_size=4, open=True)

    def close(self) -> None:
        self.pool.close()


class NeverClosed(Tidy):
    """Keeps a pool for the life of the process, as many applications do."""

    close = None


@pytest.mark.usefixtures("nothing_stays_open")
def test_connections_of_its_own_that_a_function_never_closes_are_seen(tried):
    def by_a_new_connection(shop: Leaky, event_id, quantity, purchase_id):
        connection = shop.open()
        with connection.transaction():
            return sell(connection.execute, event_id, quantity, purchase_id)

    def though_it_is_closed(shop: Closed, event_id, quantity, purchase_id):
        return by_a_new_connection(shop, event_id, quantity, purchase_id)

    assert left_of(tried(by_a_new_connection)) == {leftovers.OWN_CONNECTION}
    assert left_of(tried(though_it_is_closed, purchases=4)) == {leftovers.OWN_CONNECTION}


@pytest.mark.usefixtures("nothing_stays_open")
def test_a_transaction_on_a_connection_of_its_own_is_seen_and_ended(tried):
    def forgets_to_commit(shop: Leaky, event_id, quantity, purchase_id):
        sell(shop.open().execute, event_id, quantity, purchase_id)
        return True

    found = tried(forgets_to_commit, purchases=1, buyers=1)
    assert left_of(found) == {leftovers.OWN_TRANSACTION}
    assert found[0]["sales_in_ledger"].status is Status.INVALID
    assert left_of(tried("atomic")) == set()


def test_a_sale_that_sqlalchemy_never_commits_is_not_silent(tried):
    def by_connection(connection: sqlalchemy.Connection, event_id, quantity, purchase_id):
        return sell(connection.exec_driver_sql, event_id, quantity, purchase_id)

    def by_session(session: Session, event_id, quantity, purchase_id):
        return sell(session.connection().exec_driver_sql, event_id, quantity, purchase_id)

    for forgetful in (by_connection, by_session):
        found = tried(forgetful)
        assert left_of(found) == {leftovers.UNCOMMITTED_SALE}
        assert found[0]["sales_in_ledger"].status is Status.INVALID


def test_what_sqlalchemy_begins_after_the_commit_takes_no_sale_with_it(tried):
    """A read after the commit opens a transaction of its own; in AUTOCOMMIT there is none in the server."""

    def reads_after_the_commit(connection: sqlalchemy.Connection, event_id, quantity, purchase_id):
        sold = sell(connection.exec_driver_sql, event_id, quantity, purchase_id)
        connection.commit()
        connection.exec_driver_sql("SELECT 1 FROM events")
        return sold

    def in_autocommit_mode(connection: sqlalchemy.Connection, event_id, quantity, purchase_id):
        execute = connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql
        return sell(execute, event_id, quantity, purchase_id)

    def reads_with_its_session(session: Session, event_id, quantity, purchase_id):
        sold = sell(session.connection().exec_driver_sql, event_id, quantity, purchase_id)
        session.commit()
        session.connection().exec_driver_sql("SELECT 1 FROM events")
        return sold

    for function in (reads_after_the_commit, in_autocommit_mode, reads_with_its_session):
        found = tried(function)
        assert left_of(found) == set()
        assert found[0]["sales_in_ledger"].status is Status.VALID


def test_a_connection_that_breaks_when_it_is_given_back_leaves_a_sale_sold(database, an_event):
    """It was committed, and the function said so: what breaks afterwards is no part of the purchase."""

    def loses_it_in_the_end(connection: sqlalchemy.Connection, event_id, quantity, purchase_id):
        sold = sell(connection.exec_driver_sql, event_id, quantity, purchase_id)
        connection.commit()
        (pid,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        with psycopg.connect(database.settings.url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return sold

    repository = EventRepository(database, adopt(loses_it_in_the_end))
    event = an_event(repository)
    assert repository.purchase_tickets(event.id, 1, uuid4()).outcome is Outcome.SOLD


def clean(connection: psycopg.Connection, event_id, quantity, purchase_id):
    return sell(connection.execute, event_id, quantity, purchase_id)


def clean_after_use(connection: psycopg.Connection, event_id, quantity, purchase_id):
    """Uses what others forget, and ends it."""
    connection.execute("SET LOCAL lock_timeout = '55s'")
    connection.execute("SELECT pg_advisory_lock(7)")
    connection.execute("SET statement_timeout = '55s'")
    try:
        return sell(connection.execute, event_id, quantity, purchase_id)
    finally:
        connection.commit()
        connection.execute("SELECT pg_advisory_unlock(7)")
        connection.execute("RESET statement_timeout")
        with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute("SELECT 1")


def by_connection(connection: sqlalchemy.Connection, event_id, quantity, purchase_id):
    """Reads in a transaction that it leaves to SQLAlchemy where it refuses."""
    sold = sell(connection.exec_driver_sql, event_id, quantity, purchase_id)
    if sold:
        connection.commit()
    return sold


def by_session(session: Session, event_id, quantity, purchase_id):
    with session.begin():
        return sell(session.connection().exec_driver_sql, event_id, quantity, purchase_id)


def by_its_own_pool(shop: Tidy, event_id, quantity, purchase_id):
    with shop.pool.connection() as connection:
        return sell(connection.execute, event_id, quantity, purchase_id)


def by_a_pool_for_ever(shop: NeverClosed, event_id, quantity, purchase_id):
    return by_its_own_pool(shop, event_id, quantity, purchase_id)


def by_two_phases(connection: psycopg.Connection, event_id, quantity, purchase_id):
    connection.tpc_begin(str(purchase_id))
    sold = sell(connection.execute, event_id, quantity, purchase_id)
    connection.tpc_prepare()
    connection.tpc_commit()
    return sold


RIGHT = (clean, clean_after_use, by_connection, by_session, by_its_own_pool, by_a_pool_for_ever, by_two_phases)


FAULTS = ("disconnect@8", "crash@16")
RARER = (clean_after_use, by_connection, by_session, by_a_pool_for_ever)
"""Faults meet these as they meet one of the others."""


@pytest.mark.parametrize(
    ("function", "faults"),
    [
        *(pytest.param(each, (), id=f"calm-{each.__name__}") for each in RIGHT),
        *(
            pytest.param(each, FAULTS, id=f"faults-{each.__name__}", marks=[pytest.mark.slow] * (each in RARER))
            for each in RIGHT
        ),
    ],
)
def test_a_right_function_leaves_nothing(tried, monkeypatch, function, faults):
    monkeypatch.setattr(driver, "GRACE_S", 3.0)  # a cut between two phases holds the event's row until it is over
    verdicts, facts = tried(function, *faults, purchases=60, stock=50, seconds=5.0)
    assert facts.left_behind == {}
    assert overall(verdicts.values()) is Status.VALID


KINDS = {"naive", "atomic", "coalesced", "pessimistic", "pipelined", "orm_optimistic", "sharded", "server_function"}
"""One strategy of each way to use a connection; the others are their variants."""


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each not in KINDS)) for each in strategies.registry()]
)
@pytest.mark.parametrize(
    "faults", [pytest.param((), id="calm"), pytest.param(("disconnect@15",), id="cut", marks=pytest.mark.slow)]
)
def test_no_built_in_strategy_leaves_anything(tried, name, faults):
    load = {"purchases": 40, "stock": 30, "refunds": 0.2, "events": 2, "warm_up_s": 0.05}
    sells_baskets = mutants.get(name).basket is not None
    assert left_of(tried(name, *faults, **load, basket=(1, 2) if sells_baskets else (1, 1))) == set()


def test_deadlocks_that_a_function_swallows_are_counted_by_the_server(tried):
    met = []

    def in_any_order(connection, event_id, quantity, purchase_id):
        """Locks both events, the one that is bought from first, and tries again until no deadlock comes."""
        while True:
            try:
                with connection.transaction():
                    sold = sell(connection.execute, event_id, quantity, purchase_id)
                    connection.execute("SELECT pg_sleep(0.002)")
                    connection.execute("SELECT FROM events WHERE id <> %s FOR UPDATE", [event_id])
                    return sold
            except psycopg.errors.DeadlockDetected:
                met.append(purchase_id)

    verdicts, facts = tried(in_any_order, events=2, purchases=60, stock=100)
    assert facts.deadlocks == len(met) > 0
    assert verdicts["no_deadlock"].status is Status.INVALID
    assert verdicts["no_deadlock"].summary.startswith(f"the server counted {len(met)} deadlock")
    _, calm = tried(clean)
    assert calm.deadlocks == 0
