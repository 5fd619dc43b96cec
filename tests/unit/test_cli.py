"""The command line refuses what it can not do: a sentence, exit code 2, no traceback, and nothing made."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

from ticketlab import servers
from ticketlab.tickets import strategies

TICKETLAB = str(Path(sys.executable).with_name("ticketlab"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--strategy", "magic"], "There is no strategy 'magic'"),
        (["run", "--buyers", "0"], "buyers must be from 1"),
        (["run", "--buyers", "many"], "--buyers takes whole numbers such as 4 or 4,16"),
        (["run", "--quantity", "3-1"], "the fewest first"),
        (["run", "--quantity", "1-2-3"], "a range such as 1-4"),
        (["run", "--basket", "2"], "basket must be from 1 to as many events as are sold (1)"),
        (["run", "--basket", "two"], "--basket takes whole numbers"),
        (["run", "--basket", "1-2-3"], "--basket takes a number or a range"),
        (["run", "--basket", "2", "--events", "4", "-s", "naive", "-s", "atomic"], "No baskets are sold by naive."),
        (["run", "--seconds", "0"], "seconds must be above 0"),
        (["run", "--seconds", "soon"], "--seconds"),
        (["run", "--purchases", "-1"], "purchases must be at least 1"),
        (["run", "--stock", "3000000000"], "stock must be from 0"),
        (["run", "--repeats", "0"], "from one to 1,000 repeats"),
        (["run", "--seconds", "inf"], "seconds must be above 0, and finite"),
        (["run", "--warm-up", "nan"], "warm_up_s must not be negative"),
        (["run", "--buyers", "1000000"], "buyers must be from 1 to 10,000"),
        (["run", "--hot", "2"], "hot must be a share"),
        (["run", "--set", "fsync"], "--set takes NAME=VALUE"),
        (["run", "--refunds", "1.5"], "refunds must be a share from 0 to 1"),
        (["run", "--double-calls", "1.5"], "double_calls must be a share from 0 to 1"),
        (["run", "--double-calls", "nan"], "double_calls must be a share from 0 to 1"),
        (["run", "--double-calls", "often"], "--double-calls"),
        (["run", "--fault", "crash"], "A fault reads KIND@N, such as crash@500"),
        (["run", "--fault", "crash@5", "--server", "container"], "--server embedded"),
        (["run", "--server", "mainframe"], "mainframe"),
        (["run", "--name", "a/b"], "a name of letters"),
        (["run", "--server", "embedded", "--url", "postgresql://u@127.0.0.1/x"], "a URL is for the kind external"),
        (["run", "--url", "mysql://u@127.0.0.1/x"], "postgresql://"),
        (["power", "-m", "magic"], "There is no mutant 'magic'. There are: advisory_other_key"),
        (["power", "--check", "magic"], "No mutant breaks 'magic'. Checks that have one: answers_match_tickets"),
        (["power", "--repeats", "0"], "from one to 100,000 repeats"),
        (["power", "--purchases", "0"], "at least one purchase"),
        (["power", "--keep", "--repeats", "2"], "--keep needs all mutants"),
        (["power", "--server", "container", "--url", "postgresql://u@h/x"], "a URL is for the kind external"),
        (["bench", "hot-event", "-s", "magic"], "There is no strategy 'magic'"),
        (["bench", "hot-event", "-s", "atomic", "-s", "atomic"], "each strategy once"),
        (["bench", "hot-event", "--buyers", "0"], "buyers must be from 1"),
        (["bench", "hot-event", "--buyers", "1,x"], "--buyers takes whole numbers such as 4 or 4,16"),
        (["bench", "hot-event", "--repeats", "0"], "from one to 1,000 repeats"),
        (["bench", "hot-event", "--seconds", "nan"], "seconds must be above 0"),
        (["bench", "hot-event", "--pool-size", "0"], "a pool of at least one connection"),
        (["bench", "hot-event", "--seed", "-1"], "seed must not be negative"),
        (
            ["bench", "hot-event", "--server", "embedded", "--url", "postgresql://u@h/x"],
            "a URL is for the kind external",
        ),
        (["bench", "cold-event"], "cold-event"),
        (["check", "nowhere"], "There is no run in nowhere"),
        (["compare", "nowhere", "elsewhere"], "There is no run in nowhere"),
        (["compare", "nowhere", "nowhere"], "Both runs are nowhere"),
        (["compare", "nowhere"], "RUN"),
        (["compare", "nowhere", "elsewhere", "--fail-below", "-1"], "--fail-below takes a ratio above 0"),
        (["report", "nowhere"], "There is no run in nowhere"),
        (["report"], "RUN"),
        (["report", "nowhere", "--format", "pdf"], "pdf"),
        (["migrate", "upgrade", "--url", "postgresql://u:hunter2@127.0.0.1:1/x"], "No database at u@127.0.0.1:1/x"),
        (["frobnicate"], "frobnicate"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_bad_input_is_answered_with_a_sentence(tmp_path, words, said):
    """Each names what is wrong; nothing is left behind, no password repeated."""
    done = call(*words, cwd=tmp_path, COLUMNS="200")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_process_answers_bad_input_as_well(tmp_path):
    """What is installed as `ticketlab` is what is called in this process everywhere else."""
    done = subprocess.run(
        [TICKETLAB, "run", "--buyers", "0"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: This load is invalid: buyers must be from 1")
    assert done.stderr.count("\n") == 1


def test_help_names_every_command(tmp_path):
    """The first thing that a newcomer types lists what there is."""
    done = call("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("run", "check", "report", "compare", "export", "strategies", "doctor", "migrate", "bench"):
        assert f" {command} " in done.stdout


def test_strategies_lists_the_registry(tmp_path):
    """Every strategy by its name, and whether it claims to be safe."""
    done = call("strategies", cwd=tmp_path, COLUMNS="200")
    assert done.returncode == 0
    for name in strategies.registry():
        assert name in done.stdout


def test_doctor_says_what_there_is(tmp_path):
    """Python, the packages that matter and the servers; a usable machine exits 0."""
    done = call("doctor", cwd=tmp_path, COLUMNS="200")
    for words in ("python", "psycopg", "container engine", "embedded binaries"):
        assert words in done.stdout
    assert done.returncode == 0


def test_a_defect_is_told_without_a_traceback(tmp_path, monkeypatch):
    """An error that nobody foresaw exits 3 and asks to be reported; with TICKETLAB_DEBUG it shows itself."""

    def broken():
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(servers, "diagnose", broken)
    told = call("doctor", cwd=tmp_path)
    assert told.returncode == 3
    assert "a defect of ticketlab: ZeroDivisionError: oops" in told.stderr
    assert "Traceback" not in told.stderr
    with pytest.raises(ZeroDivisionError, match="oops"):
        call("doctor", cwd=tmp_path, TICKETLAB_DEBUG="1")
