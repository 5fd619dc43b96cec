"""A run ends, whatever a purchase function does: its line is named, what was measured is kept, no server is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from ticketlab import EventRepository, Experiment, Settings, adopt
from ticketlab.errors import OwnCodeError, TerminatedError, TicketlabError
from ticketlab.load import driver
from ticketlab.runs import lab
from ticketlab.runs.run import Run
from ticketlab.tickets import lending, trial_tables

SHOP = """
import itertools, threading
lock = threading.Lock()
numbers = itertools.count()
calls = []

def sell(connection, event_id, quantity, purchase_id):
    take = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s AND available_tickets >= %s"
    if not connection.execute(take, [quantity, event_id, quantity]).rowcount:
        return False
    add = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"
    connection.execute(add, [event_id, purchase_id, quantity])
    return True

def loses_its_lock(connection, event_id, quantity, purchase_id):
    if len(calls) == 40:
        open("lost", "w").close()  # by one that will wait for it
    lock.acquire()
    calls.append(purchase_id)
    if len(calls) == 40:
        return sell(connection, event_id, quantity, purchase_id)
    lock.release()
    return sell(connection, event_id, quantity, purchase_id)

def orphans_its_transaction(connection, event_id, quantity, purchase_id):
    number = next(numbers)
    connection.tpc_begin(str(purchase_id))
    sold = sell(connection, event_id, quantity, purchase_id)
    connection.tpc_prepare()
    if number != 8:
        connection.tpc_commit()
    return sold
"""
COMMAND = """
import json, signal, sys
from ticketlab import __main__
from ticketlab.load import driver
signal.signal(signal.SIGINT, signal.default_int_handler)
for name, seconds in json.loads(sys.argv.pop(1)).items():
    setattr(driver, name, seconds)
__main__.main()
"""
SHORT = {"GRACE_S": 0.5, "CUT_S": 0.5}
AT_ONCE_S = 10.0


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@pytest.fixture
def started(shop, own_folder):
    """Start `ticketlab run` on a function of the shop; its process is gone at the end of the test."""
    processes = []

    def start(function, *words, **constants):
        command = [sys.executable, "-c", COMMAND, json.dumps(constants), "run", "--strategy", f"shop:{function}"]
        load = ["--server", "embedded", "--buyers", "4", "--repeats", "2", "--warm-up", "0", "--quiet"]
        process = subprocess.Popen(
            [*command, *load, *words], cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"TMPDIR": str(own_folder)}, start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for each in processes:
        each.kill()
        each.communicate()


def kept(folder):
    (run,) = folder.glob("runs/*")
    return Run(run)


def test_a_function_that_never_returns_ends_the_run_with_its_line(started, shop, own_folder, eventually):
    process = started("loses_its_lock", "--seconds", "1", **SHORT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "s in shop.py:18, in loses_its_lock: it did not return when its connection was cut" in errors
    assert 'shop.py", line 18, in loses_its_lock' in errors
    run = kept(shop)
    assert f"The results before it are kept in {Path('runs') / run.folder.name}" in errors
    history = run.trials[0].history()
    assert run.trials[0].interrupted
    assert (history["outcome"] == "sold").sum() >= 30
    assert (history["outcome"] == "unknown").sum() >= 3
    assert (run.folder / "verdicts.json").is_file()
    eventually(lambda: not list(own_folder.iterdir()))


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param((signal.SIGTERM,), id="SIGTERM", marks=pytest.mark.slow),
        pytest.param((signal.SIGINT, signal.SIGINT), id="Ctrl-C twice"),
    ],
)
def test_a_run_that_hangs_can_be_ended_at_once(started, shop, own_folder, eventually, signals):
    process = started("loses_its_lock", "--seconds", "600", "--stock", "1000000")
    eventually((shop / "lost").exists, process.poll)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.5)  # two that come at once are one signal
    began_s = time.monotonic()
    _, errors = process.communicate(timeout=60)
    took_s = time.monotonic() - began_s
    assert process.returncode == 130, errors
    assert took_s < AT_ONCE_S
    assert "The run was interrupted." in errors
    assert "The results so far are kept in" in errors
    assert kept(shop).trials[0].interrupted
    eventually(lambda: not list(own_folder.iterdir()))


def test_an_orphaned_prepared_transaction_keeps_no_trial_from_ending(shop, monkeypatch):
    for name, seconds in SHORT.items():
        monkeypatch.setattr(driver, name, seconds)
    experiment = Experiment(
        strategies=(f"{shop / 'shop.py'}:orphans_its_transaction",), buyers=(4,), repeats=2, seconds=1.0, warm_up_s=0.0,
        stock=10**6, server="embedded", server_settings={"max_prepared_transactions": "16"},
    )  # fmt: skip
    run = lab.run(experiment, out=shop / "runs")
    assert len(run.trials) == 2
    found = [each for _, verdicts in run.verdicts for each in verdicts if each.check == "leaves_connection_clean"]
    assert ("INVALID", "once a prepared transaction was left in the server") in [
        (each.status, each.summary) for each in found
    ]


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(trial_tables, "LOCK_TIMEOUT_S", 0.2)


@pytest.mark.usefixtures("soon")
def test_tables_that_somebody_holds_are_said_with_the_session(database):
    with psycopg.connect(database.settings.url, application_name="a till") as holder:
        holder.execute("SELECT count(*)  FROM tickets")
        with pytest.raises(TicketlabError, match="The table of events cannot be emptied: it was locked") as caught:
            trial_tables.clear(database)
        pid = holder.info.backend_pid
    assert f"process {pid} (a till, idle in transaction): SELECT count(*) FROM tickets" in str(caught.value)
    trial_tables.clear(database)


@pytest.mark.usefixtures("soon")
def test_tables_that_cannot_be_read_are_said_with_the_session(database, an_event):
    event = an_event(EventRepository(database))
    with psycopg.connect(database.settings.url, application_name="a till") as holder:
        holder.execute("LOCK TABLE events")
        with pytest.raises(TicketlabError, match=r"cannot be read: .* process \d+ \(a till, idle in transaction\)"):
            trial_tables.read(database, [event.id])


class Till:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ended = None


def buys_nothing(till: Till, event_id, quantity, purchase_id):
    return till.settings is None or not (event_id and quantity and purchase_id)


def test_a_close_that_fails_or_never_returns_ends_the_run_when_the_trial_is_saved(server, tmp_path, monkeypatch):
    experiment = Experiment(strategies=("buys_nothing",), buyers=(2,), repeats=2, purchases=4, warm_up_s=0.0)

    def fails(_till):
        raise LookupError("no till")

    monkeypatch.setattr(Till, "close", fails, raising=False)
    with pytest.raises(OwnCodeError, match=r"Till\.close failed in your code: LookupError: no till"):
        lab.run_on(server, experiment, own=[adopt(buys_nothing)], out=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert len(Run(folder).trials) == 1


def test_a_ctrl_c_while_the_tables_are_read_keeps_the_trial(server, tmp_path, monkeypatch):
    presses = ["close"]

    def press(*words, **options):
        if presses:
            presses.pop()
            raise KeyboardInterrupt
        return close(*words, **options)

    close = lending.close
    monkeypatch.setattr(lending, "close", press)
    experiment = Experiment(strategies=("atomic",), buyers=(2,), repeats=2, purchases=4, warm_up_s=0.0)
    with pytest.raises(TerminatedError) as caught:
        lab.run_on(server, experiment, out=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert caught.value.__notes__ == [f"The results so far are kept in {folder}."]
    assert Run(folder).measures["verdict"].tolist() == ["VALID"]
