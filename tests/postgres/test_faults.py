"""A trial in which the server is crashed or every connection cut goes on, ends in time, and is judged by its sales."""

import os
import signal
import subprocess
import sys

import pytest

from ticketlab.load import Fault, FaultKind, driver
from ticketlab.outcomes import Outcome
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment

PLAN = {"buyers": (8,), "repeats": 1, "stock": 10**6, "purchases": 700, "seconds": 60.0, "warm_up_s": 0.0}
SAFE = ("atomic", "coalesced", "pessimistic")
some_then_all = pytest.mark.parametrize(
    "names", [SAFE[1:2], pytest.param(SAFE, marks=pytest.mark.slow)], ids=["one", "all"]
)
FEW_SECONDS_NS = 10 * 10**9
"""What no purchase may need; without a crash it needs milliseconds."""
TRIES = 5


def ran(folder, *faults, **changes):
    wanted = tuple(map(Fault.parse, faults))
    return lab.run(Experiment(**PLAN | {"server": "embedded", "faults": wanted} | changes), out=folder)


def sales(trial):
    history = trial.history()
    return history[history["outcome"] == Outcome.SOLD]


@some_then_all
def test_safe_strategies_stay_right_through_a_crash(tmp_path, names):
    """Every sale that was told before it is in the ledger, and soon after it buyers buy again."""
    run = ran(tmp_path, "crash@250", strategies=names)
    for trial in run.trials:
        (crash_ns,) = trial.crashes_ns
        history = trial.history()
        assert 250 <= (history["completed_ns"] <= crash_ns).sum() < 650
        assert (sales(trial)["completed_ns"] <= crash_ns).sum() > 200
        assert sales(trial)["buyer"][sales(trial)["invoked_ns"] > crash_ns].nunique() == 8
        assert (history["completed_ns"] - history["invoked_ns"]).max() < FEW_SECONDS_NS
        assert set(history["outcome"]) & {Outcome.UNKNOWN, Outcome.FAILED}
        assert trial.ledger().crashes_ns == (crash_ns,)
    assert set(run.measures["verdict"]) == {"VALID"}
    assert "crash after 250 purchases" in run.conditions
    assert not any("was not injected" in note for note in run.notes)


@some_then_all
def test_safe_strategies_stay_right_when_every_connection_is_cut(tmp_path, names):
    """Who was cut off in a commit is not told that he has bought, nor that he has not."""
    run = ran(tmp_path, "disconnect@250", "disconnect@500", strategies=names, purchases=1_000)
    for trial in run.trials:
        assert (len(trial.faults_ns[FaultKind.DISCONNECT]), trial.crashes_ns) == (2, ())
        assert (
            sales(trial)["buyer"][sales(trial)["invoked_ns"] > trial.faults_ns[FaultKind.DISCONNECT][-1]].nunique() == 8
        )
    cut_off = [(trial.history()["cause"] == "connection").sum() for trial in run.trials]
    assert max(cut_off) <= 2 * 20  # each connection of the pool once a cut, whoever gets it
    assert sum(cut_off) >= len(names) or names != SAFE  # one trial's cuts may find its connections idle
    assert set(run.measures["verdict"]) == {"VALID"}


def test_faults_may_come_close_upon_one_another(tmp_path):
    """Connections break while they are being opened again, and a crash follows."""
    cuts = "disconnect@201", "lose-reply@201", "lose-request@201"
    run = ran(tmp_path, "crash@200", *cuts, "crash@202", "disconnect@500", strategies=("atomic",), purchases=5_000)
    (trial,) = run.trials
    assert [len(trial.faults_ns[kind]) for kind in FaultKind] == [2, 2, 1, 1]
    assert run.measures["verdict"].tolist() == ["VALID"]


def test_a_crash_shows_a_server_that_does_not_wait_for_the_disk(tmp_path):
    """A right strategy on a server that forgets: sales that were told are not in the ledger."""
    unwaiting = {"server_settings": {"synchronous_commit": "off"}, "strategies": ("atomic",), "double_calls": 0.0}
    for number in range(TRIES):  # the last sales may just have been written when the crash comes
        run = ran(tmp_path / str(number), "crash@500", **unwaiting)
        found = {row["check"]: row["status"] for row in run.verdict_rows()}
        if found["durable"] == "INVALID":
            break
    assert (found["durable"], found["sales_in_ledger"]) == ("INVALID", "INVALID")
    assert {found[name] for name in ("no_oversell", "exactly_once", "atomic", "no_deadlock")} == {"VALID"}


def test_the_ledger_is_read_when_a_fault_came_last(tmp_path, monkeypatch):
    """No buyer has used the connections since: they are made sound first."""
    tick = driver._monitor

    def then_once_more(lives, stop, overdue, *, trigger, **options):
        tick(lives, stop, overdue, trigger=trigger, **options)
        trigger.fire_due(10**9)

    monkeypatch.setattr(driver, "_monitor", then_once_more)
    run = ran(
        tmp_path, "disconnect@1000000", "crash@2000000", "disconnect@3000000", strategies=("atomic",), double_calls=0.0
    )
    (trial,) = run.trials
    assert (trial.history()["completed_ns"] < trial.crashes_ns[0]).all()
    assert len(trial.ledger().tickets) == len(trial.history()) == PLAN["purchases"]


def test_a_fault_that_never_came_is_a_note_of_the_run(tmp_path):
    """Too few purchases: nothing was tried, and it is not said to have been."""
    run = ran(tmp_path, "crash@1000000", strategies=("atomic",), purchases=100)
    assert run.trials[0].crashes_ns == ()
    assert any("The crash after 1,000,000 purchases was not injected in 1 of 1 trials" in note for note in run.notes)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_run_that_is_ended_in_a_crash_leaves_nothing(number, tmp_path, eventually, own_folder):
    """Ctrl-C and kill -9 while the server is down: with the first one the trial is kept."""
    source = f"""
import dataclasses, os, signal
from pathlib import Path
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.load import Fault
from ticketlab.servers.embedded import Postmaster

signal.signal(signal.SIGINT, signal.default_int_handler)
crash = Postmaster.crash
def crash_and_die(self):
    crash(self)
    os.kill(os.getpid(), {int(number)})
Postmaster.crash = crash_and_die
fault = Fault.parse("crash@100")
experiment = Experiment(strategies=("atomic",), repeats=1, stock=10**6, seconds=60.0, server="embedded")
run = lab.run(dataclasses.replace(experiment, faults=(fault,)), out=Path("."))
print(run.trials[0].interrupted, run.measures["verdict"].tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(own_folder)},
        check=False,
        timeout=120,
    )
    kept = (0, "True ['VALID']\n") if number == signal.SIGINT else (-signal.SIGKILL, "")
    assert (done.returncode, done.stdout) == kept, done.stderr
    eventually(lambda: not list(own_folder.iterdir()))
