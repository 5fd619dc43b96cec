"""The server and the databases that the tests of this folder run on, and what tests of killed processes need."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from uuid import uuid4

import psycopg
import pytest

from ticketlab import servers
from ticketlab.servers import _installation
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository, RetryPolicy, migrations
from ticketlab.tickets.strategies import coalesced

DEADLINE_S = 60
# A test run that was started in the background may have been told to ignore it, and its children with it.
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
SELL_ONE = "UPDATE events SET available_tickets = available_tickets - 1, version = version + 1 WHERE id = %s"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


@pytest.fixture(scope="session")
def server(pytestconfig):
    """An embedded server, or the one of --on; one for each process of the test run."""
    with servers.open(pytestconfig.getoption("--on") or "embedded") as server:
        yield server


@pytest.fixture
def database_url(server):
    """An empty database of the test's own."""
    with servers.scratch_database(server.url) as url:
        yield url


@pytest.fixture
def own_folder():
    """A folder that the embedded server's user can enter, which pytest's own may not be."""
    owner = _installation.account()
    with _installation.private(_installation.temporary(owner), owner) as folder:
        yield folder


@pytest.fixture
def child():
    """Run Python source in a process of its own: yields what it printed, as JSON, while it is still at it."""

    @contextlib.contextmanager
    def start(source, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", HEEDS_CTRL_C + source],
            stdin=subprocess.PIPE,  # the child waits on this
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    return start


@pytest.fixture(scope="session")
def template(server):
    """The name of a migrated database that nobody is in: the others are copies of it, not each migrated anew."""
    with servers.scratch_database(server.url, prefix="ticketlab_template") as url:
        settings = Settings.from_url(url)
        with Database(settings) as database:
            migrations.upgrade(database)
        yield settings.name


@pytest.fixture
def database(server, template):
    """A migrated database, open."""
    with _copied(server, template) as database:
        yield database


@pytest.fixture(scope="module")
def shared_database(server, template):
    """A migrated database for those tests of a file that keep to events of their own: one costs more than they do."""
    with _copied(server, template) as database:
        yield database


@contextlib.contextmanager
def _copied(server, template):
    with (
        servers.scratch_database(server.url, template=template) as url,
        Database(Settings.from_url(url)) as database,
    ):
        yield database


@pytest.fixture
def elsewhere(database):
    """The same database as another process sees it: with connections of its own, and queues of its own."""
    with Database(database.settings) as another:
        yield another


@pytest.fixture
def an_event():
    """Make an event of ten tickets, or of as many as are asked for."""

    def make(repository, tickets=10):
        return repository.create(name="an event", date=datetime(2026, 12, 1, 20, tzinfo=UTC), total_tickets=tickets)

    return make


@pytest.fixture
def nothing_for_the_pool_to_clean_up(caplog):
    """Whatever a purchase meets, it gives its connection back outside of any transaction."""
    yield
    assert "rolling back returned connection" not in caplog.text


@pytest.fixture
def rival(database):
    """Another buyer, who holds a transaction open in which one ticket of the event is sold."""

    @contextlib.contextmanager
    def selling(event_id):
        with psycopg.connect(database.settings.url) as connection:
            connection.execute(SELL_ONE, [event_id])
            connection.execute("INSERT INTO tickets (event_id, purchase_id) VALUES (%s, %s)", [event_id, uuid4()])
            yield connection

    return selling


@pytest.fixture
def waiting(database, eventually):
    """Wait until a session waits for a lock of the given connection."""

    def wait(connection):
        with psycopg.connect(database.settings.url, autocommit=True) as observer:
            backend = [connection.info.backend_pid]
            eventually(lambda: observer.execute(WAITS, backend).fetchone() == (1,))

    return wait


@pytest.fixture
def end_those_who_wait(database):
    """End the backends that wait for a lock of the given connection: to their buyers it is a connection lost."""

    def end(connection):
        with psycopg.connect(database.settings.url, autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
                [connection.info.backend_pid],
            )

    return end


@pytest.fixture
def single(database):
    """The same database through a pool of one connection: while it is taken, purchases gather."""
    with Database(database.settings.model_copy(update={"pool_size": 1})) as single:
        yield single


@pytest.fixture
def together(single, eventually):
    """Purchases of one batch, in the given order: pairs of a quantity and an id. Yields what each will be told."""

    @contextlib.contextmanager
    def gather(event, *wanted):
        repository = EventRepository(single, "coalesced")
        queues = single.get_or_create(coalesced._gatherer)._queues
        purchases = []
        with ThreadPoolExecutor(len(wanted)) as threads:
            with single.connection():
                for quantity, purchase_id in wanted:
                    purchases.append(threads.submit(repository.purchase_tickets, event.id, quantity, purchase_id))
                    # The first one leads, and has no place in the queue.
                    eventually(lambda: event.id in queues and len(queues[event.id]) == len(purchases) - 1)
            yield purchases
        assert not queues

    return gather


@pytest.fixture
def buy_together(together):
    """The results of purchases of one batch."""

    def buy(event, *wanted):
        with together(event, *wanted) as purchases:
            return [purchase.result(timeout=DEADLINE_S) for purchase in purchases]

    return buy


@pytest.fixture
def served(monkeypatch):
    """How many purchases each attempt at a transaction had."""
    sizes, sell = [], coalesced._sell_to_all

    def count(connection, requests):
        sizes.append(len(requests))
        return sell(connection, requests)

    monkeypatch.setattr(coalesced, "_sell_to_all", count)
    return sizes


@pytest.fixture
def books(database):
    """What the tables say of an event, past any repository: stock on its row, version, tickets."""

    def read(event_id):
        with psycopg.connect(database.settings.url) as connection:
            return connection.execute(
                "SELECT available_tickets, version, (SELECT count(*) FROM tickets WHERE event_id = events.id)"
                " FROM events WHERE id = %s",
                [event_id],
            ).fetchone()

    return read


@pytest.fixture
def agreed():
    """That the stock on an event's row, once settled, is what its tickets leave of all seats."""

    def check(repository, event, *, tickets):
        after = repository.get(event.id)
        with psycopg.connect(repository.database.settings.url) as connection:
            statement = "SELECT count(*) FROM tickets WHERE event_id = %s"
            assert connection.execute(statement, [event.id]).fetchone() == (tickets,)
        assert after.available_tickets == after.total_tickets - tickets

    return check


class Gate:
    """Where purchases that have sold stand at their commit, while it is shut: what they did is done, and not yet so."""

    # Shared, and until the end of the transaction: whoever passes the open gate shuts it for nobody.
    WAIT_AT_COMMIT = """
        CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END
        $$;
        DROP TRIGGER IF EXISTS wait ON tickets;
        CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION wait();
    """
    WAITS = "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"

    def __init__(self, connection, eventually):
        self._connection = connection
        self._eventually = eventually
        connection.execute(self.WAIT_AT_COMMIT)

    def shut(self):
        self._connection.execute("SELECT pg_advisory_lock(7)")

    def open(self):
        self._connection.execute("SELECT pg_advisory_unlock_all()")

    def waiting_for(self, pid):
        return [each for (each,) in self._connection.execute(self.WAITS, [pid])]

    def held(self, count=1):
        """The first backend that stands at the gate, once as many do."""
        own = self._connection.info.backend_pid
        self._eventually(lambda: len(self.waiting_for(own)) == count)
        return self.waiting_for(own)[0]

    def cancel(self, pid):
        """Roll back who stands at the gate."""
        self._connection.execute("SELECT pg_cancel_backend(%s)", [pid])

    def end(self, pid):
        """End the backend of who stands at the gate."""
        self._connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


@pytest.fixture
def gate(database, eventually):
    """A gate before every commit of tickets, open at first."""
    with psycopg.connect(database.settings.url, autocommit=True) as connection:
        yield Gate(connection, eventually)


@pytest.fixture
def meet(gate, eventually):
    """Two purchases: the first stands at its commit until the second has come to wait for it, or to try again.

    Then the first one is committed, or with `commit=False` rolled back. Returns both results.
    """

    def play(first, second, *, commit):
        came = Event()

        class Noting(RetryPolicy):
            """Notes that a purchase pauses; who never waits for a lock is known to have come by that."""

            def pause_s(self, attempt):
                came.set()
                return super().pause_s(attempt)

        repository, *wanted = second
        retry = Noting(**dataclasses.asdict(repository.strategy.retry))
        noted = EventRepository(repository.database, dataclasses.replace(repository.strategy, retry=retry))
        gate.shut()
        with ThreadPoolExecutor(2) as threads:
            try:
                one = threads.submit(first[0].purchase_tickets, *first[1:])
                backend = gate.held()
                two = threads.submit(noted.purchase_tickets, *wanted)
                eventually(lambda: came.is_set() or gate.waiting_for(backend), two)
                if not commit:
                    gate.cancel(backend)
                    one.result(timeout=30)
            finally:
                gate.open()
            return one.result(timeout=30), two.result(timeout=30)

    return play
