"""On the command line a history made by others is judged like a run, and a run's history is written for others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import command_line
import pytest

from ticketlab import console, report_writer
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import Trial

ORDERS = """\
buyer,event,quantity,purchase_id,invoked_ns,completed_ns,outcome,version,available
alice,rock,1,order-1,0,10,SOLD,2,1
bob,rock,1,order-2,5,15,SOLD,3,0
carol,rock,1,order-3,20,25,SOLD_OUT,3,0
"""
TICKETS = "event,purchase_id\nrock,order-1\nrock,order-2\n"


def call(*words, **given):
    return command_line.call(*words, COLUMNS="100", **given)


@pytest.fixture
def orders(tmp_path):
    """A folder with a right history and its tickets."""
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "tickets.csv").write_text(TICKETS)
    return tmp_path


class TestCheck:
    def test_strict_fails_a_file_of_which_nothing_is_decided(self, orders):
        """Without --strict its exit code is 0, for nothing wrong was found."""
        (orders / "lost.csv").write_text(ORDERS.replace("SOLD,", "UNKNOWN,").replace("SOLD_OUT", "UNKNOWN"))
        assert call("check", "lost.csv", "--stock", "2", cwd=orders).returncode == 0
        done = call("check", "lost.csv", "--stock", "2", "--strict", cwd=orders)
        assert (done.returncode, "every check was undecided" in done.stderr) == (1, True)
        assert call("check", "orders.csv", "--stock", "2", "--strict", cwd=orders).returncode == 0

    def test_a_right_history_is_valid(self, orders):
        """Every check has its row and its sentence, and the run's word stands below."""
        done = call("check", "orders.csv", "--stock", "2", "--tickets", "tickets.csv", cwd=orders)
        assert done.returncode == 0, done.stderr
        assert "2 tickets for 2 seats" in done.stdout
        assert "No violation found" in done.stdout
        assert "INVALID" not in done.stdout

    def test_a_wrong_history_is_shown_by_its_lines(self, orders):
        """Exit code 1; who bought what stands below, in the words of the file."""
        done = call("check", "orders.csv", "--stock", "1", "--tickets", "tickets.csv", cwd=orders)
        assert done.returncode == 1
        assert "event rock: 2 tickets for 1 seat, 1 too many" in done.stdout
        assert "no_oversell, line 3: buyer bob, event rock" in done.stdout
        assert "Violations found" in done.stdout

    def test_without_tickets_the_rest_is_undecided(self, orders):
        """Which is neither right nor wrong."""
        done = call("check", "-", "--stock", "2", cwd=orders, given=ORDERS)
        assert done.returncode == 0
        assert "no ledger was given" in done.stdout
        assert "Undecided" in done.stdout

    def test_json_is_one_object(self, orders):
        """With the file's names, the evidence and what a reader must know."""
        done = call("check", "-", "--stock", "1", "--tickets", "tickets.csv", "--json", cwd=orders, given=ORDERS)
        told = json.loads(done.stdout)
        assert (done.returncode, told["verdict"], told["events"]) == (1, "INVALID", ["rock"])
        assert told["checks"]["no_oversell"]["evidence"][0]["purchase_id"] == "order-2"
        assert "is not a UUID" in told["notes"][0]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["orders.csv"], "either --stock for all events, or --events"),
            (["orders.csv", "--stock", "-1"], "--stock takes a whole number from 0"),
            (["orders.csv", "--events", "none.csv"], "none.csv cannot be read: No such file"),
            (["none.parquet", "--stock", "1"], "none.parquet cannot be read: No such file"),
            (["orders.csv", "--events", "tickets.csv"], "tickets.csv lacks total"),
            (["tickets.csv", "--stock", "1"], "lacks buyer, quantity, invoked_ns, completed_ns, outcome"),
            (["a-run", "--stock", "1"], "need a .csv or .parquet file; a-run is not one"),
            (["bad.csv", "--stock", "1"], "line 3, quantity: found '0'"),
        ],
        ids=lambda each: each if isinstance(each, str) else " ".join(each),
    )
    def test_bad_input_is_answered_with_a_sentence(self, orders, words, said):
        """Exit code 2, and no traceback."""
        (orders / "bad.csv").write_text(ORDERS.replace("bob,rock,1", "bob,rock,0"))
        done = call("check", *words, cwd=orders)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def press_ctrl_c(*_words, **_options):
    raise KeyboardInterrupt


@pytest.fixture
def run(tmp_path, history, ledger):
    """A run of two trials, of one sale each."""
    Experiment(strategies=("atomic",), repeats=2, stock=2, server="embedded").write(tmp_path / "experiment.json")
    server = {"kind": "embedded", "version": "18.6", "why": "asked for", "settings": {}}
    (tmp_path / "environment.json").write_text(json.dumps({"server": server, "packages": {}, "python": "3.11"}))
    for number in (1, 2):
        trial = Trial(
            folder=tmp_path / "trials" / str(number), number=number, strategy="atomic", safe=True, buyers=1,
            pool_size=1, repeat=number, interrupted=False,
        )  # fmt: skip
        trial.write_history(history({"version": 2, "available": 1, "buyer": number}))
        trial.write_ledger(ledger(total=2, available=1, version=2, tickets=[1]))
    return tmp_path


@pytest.mark.parametrize("interrupted", [(console, "results"), (report_writer, "write")], ids=["tables", "report"])
def test_a_ctrl_c_after_the_trials_says_where_they_are(run, monkeypatch, interrupted):
    """They are judged and kept by then: only the tables or the report are missing."""
    monkeypatch.setattr(lab, "run", lambda *_words, **_options: Run(run))
    monkeypatch.setattr(*interrupted, press_ctrl_c)
    done = call("run", "--quiet", cwd=run)
    assert done.returncode == 130
    saved = f"The run is saved in {run}; write its report with: ticketlab report {run}"
    assert done.stderr == f"Error: Interrupted. {saved}\n"


class TestExport:
    @pytest.mark.parametrize("form", ["elle-append", "elle-register"])
    def test_elle_is_given_one_array(self, run, form):
        """On standard output there is nothing else."""
        done = call("export", str(run), "--trial", "2", "--format", form, cwd=run)
        assert done.returncode == 0, done.stderr
        assert [each["process"] for each in json.loads(done.stdout)] == [2, 2, 3, 3]

    def test_a_reader_that_leaves_ends_it_quietly(self, run):
        """As SIGPIPE ends others, though a short history is only written in the end."""
        reading, writing = os.pipe()
        os.close(reading)
        words = [
            Path(sys.executable).with_name("ticketlab"),
            "export",
            str(run),
            "--trial",
            "1",
            "--format",
            "porcupine",
        ]
        done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    def test_a_file_is_written(self, run):
        """Where --out says, an operation a line."""
        done = call("export", str(run), "--trial", "1", "--format", "porcupine", "--out", "p.json", cwd=run)
        assert (done.returncode, done.stdout) == (0, "")
        lines = (run / "p.json").read_text().splitlines()
        assert [json.loads(line)["input"]["op"] for line in lines] == ["purchase", "read"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--format", "elle-append"], "Choose a trial with --trial: . has 1 (atomic), 2 (atomic)"),
            (["--trial", "3", "--format", "elle-append"], "There is no trial 3: . has 1 (atomic)"),
            (["--trial", "1", "--format", "edn"], "edn"),
            (["--trial", "1", "--format", "porcupine", "--out", "no/p.json"], "no/p.json cannot be written"),
        ],
        ids=lambda each: each if isinstance(each, str) else " ".join(each),
    )
    def test_bad_input_is_answered_with_a_sentence(self, run, words, said):
        """Exit code 2, and no traceback."""
        done = call("export", ".", *words, cwd=run)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
