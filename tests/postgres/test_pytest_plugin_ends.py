"""However a session with the pytest plugin ends, and in however many processes it ran, nothing of it is left."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import psycopg
import pytest

from ticketlab.runs.run import Run

PYTEST = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may have been told to ignore it
import pytest
sys.exit(pytest.main())
"""
WRITES_BACK = '''
import pytest

def buy(connection, event_id, quantity, purchase_id):
    with connection.transaction():
        (left,) = connection.execute("SELECT available_tickets FROM events WHERE id = %s", [event_id]).fetchone()
        if left >= quantity:
            connection.execute("UPDATE events SET available_tickets = %s WHERE id = %s", [left - quantity, event_id])
            connection.execute("INSERT INTO tickets (event_id, purchase_id) VALUES (%s, %s)", [event_id, purchase_id])
    return left >= quantity

@pytest.mark.stress(strategy=buy, buyers=8, purchases=100, repeats=1)
def test_it():
    """Not reached: its run fails."""
'''
SELLS_WELL = """
def test_it(ticketlab_run):
    run = ticketlab_run("atomic", buyers=2, purchases=60, repeats=1)
    assert run.experiment.buyers == (2,)
"""
IS_KILLED = """
import os, signal
def test_it(ticketlab_database):
    os.kill(os.getpid(), signal.SIGKILL)
"""
NOTES_ITS_SERVER = """
import os, pytest
@pytest.fixture(autouse=True)
def note(ticketlab_server):
    with open("servers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], ticketlab_server.url, file=file)
"""
SELLS_FOR_EVER = """
from pathlib import Path
import ticketlab
from ticketlab.tickets.strategies import get
def buy(connection, request):
    result = get("atomic").purchase(connection, request)
    Path("sold").touch()
    return result
def test_it(ticketlab_run):
    for_ever = ticketlab.Experiment(strategies=("buy",), seconds=600, stock=2_000_000_000, warm_up_s=0)
    ticketlab_run(for_ever, own=[buy])
"""
HOLDS_A_DATABASE = """
from pathlib import Path
def test_it(ticketlab_database):
    with ticketlab_database.connection() as connection:
        Path("held").touch()
        connection.execute("SELECT pg_sleep(600)")
"""


@pytest.fixture
def session(pytester, own_folder):
    """Start pytest in a process of its own, its servers' data in `own_folder`; killed at the end of the block."""

    @contextlib.contextmanager
    def start(*words):
        options = ["-p", "no:cacheprovider", f"--basetemp={pytester.path / 'base'}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))}
        with subprocess.Popen(
            [sys.executable, "-c", PYTEST, *options, *words],
            cwd=pytester.path,
            env=environment | {"TMPDIR": str(own_folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


def databases(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.slow
def test_workers_have_servers_of_their_own_share_the_buyers_and_may_be_killed(
    pytester, session, own_folder, eventually
):
    """The story of a worker is told, its command needs no workers, and of one that is killed nothing stays."""
    pytester.makeconftest(NOTES_ITS_SERVER)
    pytester.makepyfile(test_buy=WRITES_BACK, test_sell=SELLS_WELL, test_killed=IS_KILLED)
    with session("-n2", "--ticketlab-server=embedded") as process:
        told, _ = process.communicate(timeout=300)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED, told
    assert "2 failed, 1 passed" in told
    assert "crashed while running 'test_killed.py::test_it'" in told
    assert re.search(r"^buy: .*\. It claims to be safe \(4 buyers, 1 repeat, seed 1\)\.$", told, re.MULTILINE)
    again = "pytest test_buy.py::test_it -n 0 --ticketlab-server=embedded --ticketlab-seed=1 --ticketlab-buyers=4"
    assert f"Again:  {again}\n" in told
    assert re.search(r"^atomic +2 .* VALID\b", told, re.MULTILINE)  # one repeat is little evidence
    assert re.search(r"^buy +4 +100 .* INVALID$", told, re.MULTILINE)
    assert "Each of 2 xdist workers had its own server and a share of the buyers, at least two." in told
    served = {tuple(line.split()) for line in (pytester.path / "servers").read_text().splitlines()}
    assert len(served) == len({worker for worker, _ in served}) == len({url for _, url in served}) >= 2
    (kept,) = (pytester.path / "ticketlab-runs").iterdir()
    assert Run(kept).failed_strategies == ["buy"]
    eventually(lambda: not list(own_folder.iterdir()))


def test_ctrl_c_ends_the_session_and_not_only_the_run(pytester, session, own_folder, eventually):
    """In the middle of a trial, of which the lab would make a run: no further test is begun, and no server is left."""
    pytester.makepyfile(test_long=SELLS_FOR_EVER, test_next="def test_it(ticketlab_database): open('reached', 'w')")
    with session("--ticketlab-server=embedded") as process:
        eventually((pytester.path / "sold").exists, process.poll)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=300)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, told
    assert "KeyboardInterrupt" in told
    assert not (pytester.path / "reached").exists()
    assert list(own_folder.iterdir()) == []


@pytest.mark.slow
def test_a_killed_session_leaves_no_database_on_the_server_of_others(pytester, session, eventually, server):
    """Neither the test's, nor the template, nor that in which the session itself was."""
    before = databases(server.url)
    pytester.makepyfile(test_held=HOLDS_A_DATABASE)
    with session(f"--ticketlab-url={server.url}") as process:
        eventually((pytester.path / "held").exists, process.poll)
        assert len(databases(server.url) - before) in {3, 4}  # the next copy of the template may be there already
        process.send_signal(signal.SIGKILL)
    eventually(lambda: databases(server.url) == before, lambda: databases(server.url) - before)
