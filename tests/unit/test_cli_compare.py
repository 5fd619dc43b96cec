"""On the command line two saved runs are compared, and a slower or a wrong one ends with exit code 1."""

import json

import pytest
from typer.testing import CliRunner

from ticketlab.cli import app
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.trial_data import Trial

SETTINGS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
SECONDS = (0.010, 0.011, 0.012)


@pytest.fixture
def saved(tmp_path, history, ledger):
    """A run in a folder: trials that sold two seats in so many seconds each, and one ticket too many if told."""

    def make(name, seconds=SECONDS, *, oversold=False, strategy="atomic"):
        folder = tmp_path / name
        folder.mkdir()
        experiment = Experiment(strategies=(strategy,), buyers=(2,), repeats=len(seconds), stock=2, server="embedded")
        experiment.write(folder / "experiment.json")
        server = {"kind": "embedded", "version": "18.6", "why": "asked for", "settings": SETTINGS}
        (folder / "environment.json").write_text(json.dumps({"server": server, "packages": {}, "python": "3.11"}))
        for repeat, last in enumerate(seconds, start=1):
            trial = Trial(
                folder=folder / "trials" / str(repeat), number=repeat, strategy=strategy, safe=strategy != "naive",
                buyers=2, pool_size=20, repeat=repeat, interrupted=False,
            )  # fmt: skip
            end = round(last * 1e9)
            sales = [{"version": 2, "completed_ns": end // 2}, {"version": 3, "completed_ns": end, "buyer": 1}]
            more = [{"version": 4, "completed_ns": end}] if oversold else []
            trial.write_history(history(*sales, *more))
            version = 4 if oversold else 3
            trial.write_ledger(ledger(total=2, version=version, tickets=[1, 2, 3] if oversold else [1, 2]))
        return str(folder)

    return make


def call(*words):
    """The exit code and standard output; an error that `main` would tell is raised."""
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["compare", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_two_runs_are_compared(saved):
    """Without a gate nothing fails, whatever differs; no server is asked."""
    code, text = call(saved("one"), saved("two", [0.1, 0.11, 0.12]))
    assert code == 0
    assert "Clearly slower: atomic (× 0.1)." in text
    assert "Verdicts: the same in both runs." in text


@pytest.mark.parametrize(
    ("second", "code", "said"),
    [
        ({"seconds": [0.1, 0.11, 0.12]}, 1, "- atomic has 0.1 times the sales/s"),
        ({"seconds": [0.014, 0.011, 0.010]}, 0, "Passed: "),
        ({"seconds": [0.030, 0.011, 0.010]}, 0, "Below 0.9, but not surely: atomic. Run more repeats to decide."),
        ({"oversold": True}, 1, "- atomic claims to be safe, and its verdict in the second run is worse"),
        ({"seconds": [0.1]}, 1, "the ratio itself counts"),
    ],
)
def test_the_gate_says_why(saved, second, code, said):
    """Surely slower, not surely slower, newly wrong, and slower by a single repeat."""
    done = call(saved("one"), saved("two", **second), "--fail-below", "0.9")
    assert done[0] == code
    assert said in " ".join(done[1].split())


def test_what_was_wrong_before_is_no_regression(saved):
    """The gate is about what changed; `ticketlab check` says what is wrong."""
    code, text = call(saved("one", oversold=True), saved("two", oversold=True), "--fail-below", "0.9")
    assert (code, "Passed" in text) == (0, True)


def test_json_has_the_gate_too(saved):
    """One object, and the exit code says the same."""
    code, text = call(saved("one"), saved("two", [0.1, 0.11, 0.12]), "--fail-below", "0.9", "--json")
    told = json.loads(text)
    assert (code, told["fail_below"], len(told["failed"])) == (1, 0.9, 1)
    assert told["strategies"][0]["speed"] == "slower"
    doubted = json.loads(call(saved("three"), saved("four", [0.030, 0.011, 0.010]), "--json", "--fail-below", "0.9")[1])
    assert (doubted["failed"], doubted["not_surely"]) == ([], ["atomic"])
    ungated = json.loads(call(saved("five"), saved("six", [0.1]), "--json")[1])
    assert (ungated["failed"], ungated["not_surely"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one", "one"], "Both runs are"),
        (["one", "one/../one"], "Both runs are"),
        (["one", "two", "--fail-below", "0"], "--fail-below takes a ratio above 0"),
        (["one", "two", "--fail-below", "nan"], "--fail-below takes a ratio above 0"),
        (["one", "two", "-s", "magic"], "Neither run has magic"),
        (["one", "other", "--fail-below", "0.9"], "--fail-below has nothing to compare"),
        (["one", "nowhere"], "There is no run in"),
    ],
    ids=" ".join,
)
def test_bad_input_is_told(saved, tmp_path, monkeypatch, words, said):
    """Which `ticketlab` ends with exit code 2."""
    for name, strategy in (("one", "atomic"), ("two", "atomic"), ("other", "nowait")):
        saved(name, strategy=strategy)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InvalidInputError, NotFoundError), match=said):
        call(*words)
