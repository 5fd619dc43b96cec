"""The server and the databases that the tests of this folder run on, and what tests of killed processes need."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ticketlab import servers
from ticketlab.servers import folders
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations

DEADLINE_S = 60
# A test run that was started in the background may have been told to ignore it, and its children with it.
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


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
