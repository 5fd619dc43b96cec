"""The server and the databases that the tests of this folder run on, and what tests of killed processes need."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from ticketlab import servers
from ticketlab.servers import folders
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository, migrations
from ticketlab.tickets.strategies import coalesced

DEADLINE_S = 60
# A test run that was started in the background may have been told to ignore it, and its children with it.
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
SELL_ONE = "UPDATE events SET available_tickets = available_tickets - 1, version = version + 1 WHERE id = %s"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


@pytest.fixture(scope="session")
def server():
    """An embedded server; one for each process of the test run."""
    with servers.open("embedded") as server:
        yield server


@pytest.fixture
def database_url(server):
    """An empty database of the test's own."""
    with servers.scratch_database(server.url) as url:
        yield url


@pytest.fixture
def own_folder():
    """A folder that the embedded server's user can enter, which pytest's own may not be."""
    owner = folders.account()
    with folders.private(folders.temporary(owner), owner) as folder:
        yield folder


@pytest.fixture
def eventually():
    """Wait until something is so, and fail when it is not within the deadline, showing what `found` finds then."""

    def wait(condition, found=lambda: None):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"this has not come true: {found()}"
            time.sleep(0.01)

    return wait


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


@pytest.fixture
def is_running():
    """Whether a process is there, and not only its entry that nobody has collected."""

    def look(pid):
        stat = Path(f"/proc/{pid}/stat")
        if stat.parent.parent.joinpath("self").exists():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return stat.read_text().rpartition(")")[2].split()[0] != "Z"
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.Signals(0))
            return True
        return False

    return look


@pytest.fixture
def database(database_url):
    """A migrated database, open."""
    with Database(Settings.from_url(database_url)) as database:
        migrations.upgrade(database)
        yield database


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
        queues = single.companion(coalesced._gatherer)._queues
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
