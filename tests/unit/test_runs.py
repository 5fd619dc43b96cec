"""A run on disk is judged again from what was observed, without a server."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ticketlab.errors import NotFoundError
from ticketlab.experiment import Experiment
from ticketlab.runs import Run, Trial

SETTINGS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
S = 1_000_000_000


@pytest.fixture
def folder(tmp_path, history, ledger):
    """A run of a control that oversold by one, and a safe strategy that did not."""
    experiment = Experiment(strategies=("naive", "atomic"), buyers=(2,), repeats=1, stock=2, server="embedded")
    experiment.write(tmp_path / "experiment.json")
    server = {"kind": "embedded", "version": "18.6", "why": "asked for", "settings": SETTINGS}
    (tmp_path / "environment.json").write_text(json.dumps({"server": server, "packages": {}, "python": "3.11"}))
    sales = [{"version": 2, "completed_ns": S}, {"version": 3, "completed_ns": 2 * S, "buyer": 1}]
    write(
        tmp_path,
        1,
        "naive",
        False,
        history(*sales, {"version": 4, "completed_ns": 2 * S}),
        ledger(total=2, tickets=[1, 2, 3]),
    )
    write(tmp_path, 2, "atomic", True, history(*sales, {"outcome": "sold_out"}), ledger(total=2, tickets=[1, 2]))
    return tmp_path


def write(folder, number, strategy, safe, observed, books, **changes):
    described = {"number": number, "strategy": strategy, "safe": safe, "buyers": 2, "repeat": 1, "interrupted": False}
    trial = Trial(folder=folder / "trials" / str(number), **(described | changes))
    trial.write_history(observed)
    trial.write_ledger(books)


def test_a_run_is_judged_from_its_files(folder):
    """The control's oversell is found with its number, the safe strategy is found right."""
    run = Run(folder)
    assert run.measures[["strategy", "oversold", "verdict"]].to_numpy().tolist() == [
        ["naive", 1, "INVALID"],
        ["atomic", 0, "VALID"],
    ]
    assert (run.wrong, run.uncaught, run.ended_early, run.notes) == ([], [], False, [])


def test_a_safe_strategy_that_oversells_is_wrong(folder, history, ledger):
    """What claims to be safe and is found INVALID is named."""
    write(folder, 3, "atomic", True, history({}, {}), ledger(total=1, tickets=[1, 2]), repeat=2)
    assert Run(folder).wrong == ["atomic"]


def test_a_safe_strategy_that_was_not_shown_to_be_right_is_not_as_it_should_be(folder, history, ledger):
    """UNKNOWN is not VALID."""
    write(folder, 3, "atomic", True, history({"outcome": "unavailable"}), ledger(total=1, available=1), repeat=2)
    assert Run(folder).wrong == ["atomic"]


def test_a_control_that_was_not_caught_is_said_so(folder, history, ledger):
    """A control that did nothing wrong this time is no proof of anything but too little contention."""
    (folder / "trials" / "1" / "trial.json").unlink()
    write(folder, 3, "naive", False, history({}, {"outcome": "sold_out"}), ledger(total=1, tickets=[1]))
    run = Run(folder)
    assert (run.wrong, run.uncaught) == ([], ["naive"])
    assert "naive is a control and was not caught: too little contention" in run.notes[0]
    assert "more buyers" in run.notes[0]


def test_a_run_that_was_cut_off_is_read_up_to_there(folder):
    """A trial whose files are not complete is left out, and the reader is told."""
    (folder / "trials" / "2" / "trial.json").unlink()
    run = Run(folder)
    assert [trial.strategy for trial in run.trials] == ["naive"]
    assert run.ended_early
    assert "ended early: 1 of 2 trials were made." in run.notes[0]


def test_a_run_without_a_trial_has_nothing_to_judge(folder):
    """Cut off before the first trial was over: said so."""
    for path in folder.glob("trials/*/trial.json"):
        path.unlink()
    with pytest.raises(NotFoundError, match="before its first trial was over"):
        Run(folder)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path):
    """The folder is named, and what is missing."""
    with pytest.raises(NotFoundError, match=r"no experiment\.json"):
        Run(tmp_path / "nowhere")


@pytest.mark.parametrize("setting", SETTINGS)
def test_durability_that_is_off_is_said(folder, setting):
    """Every table and chart names the settings; one that is off gets a sentence of its own."""
    environment = json.loads((folder / "environment.json").read_text())
    environment["server"]["settings"][setting] = "off"
    (folder / "environment.json").write_text(json.dumps(environment))
    run = Run(folder)
    assert f"{setting} off" in run.conditions
    assert f"Durability was off ({setting} off)" in run.notes[0]


def test_conditions_name_all_that_a_number_depends_on(folder):
    """Server, durability, buyers, seats, time and repeats."""
    assert Run(folder).conditions == (
        "PostgreSQL 18.6 (embedded) · fsync on, full_page_writes on, synchronous_commit on · 2 buyers · "
        "1 event of 2 seats · at most 4 s · 1 repeat"
    )


def test_the_judgement_is_saved_beside_what_was_observed(folder):
    """verdicts.json and measures.parquet hold what the run says."""
    run = Run(folder)
    run.save_judgement()
    saved = json.loads((folder / "verdicts.json").read_text())
    assert [(row["strategy"], row["check"], row["status"]) for row in saved][:2] == [
        ("naive", "no_oversell", "INVALID"),
        ("naive", "sales_in_ledger", "VALID"),
    ]
    assert saved[0]["evidence"][0]["version"] == 4
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "measures.parquet"), run.measures)


def test_the_json_of_a_run_has_the_documented_fields(folder):
    """One object: the folder, the environment, and the trials with their numbers and verdicts."""
    printed = json.loads(json.dumps(Run(folder).as_json(), allow_nan=False))
    assert set(printed) == {"run", "environment", "trials"}
    assert Path(printed["run"]) == folder
    assert set(printed["trials"][0]) >= {
        "strategy", "buyers", "repeat", "seconds", "sold", "sold_out", "conflicts", "failed", "unknown", "oversold",
        "purchases_per_s", "latency_ms", "retries", "verdict", "checks",
    }  # fmt: skip
    assert set(printed["trials"][0]["latency_ms"]) == {"p50", "p95", "p99"}
    assert printed["trials"][0]["checks"]["no_oversell"]["status"] == "INVALID"
    assert printed["trials"][0]["oversold"] == 1


def test_a_trial_in_which_nothing_was_bought_prints_as_json_too(folder, history, ledger):
    """JSON has no NaN: a latency that there is none of is null."""
    write(folder, 3, "atomic", True, history(), ledger(total=1, available=1), repeat=2)
    printed = json.dumps(Run(folder).as_json(), allow_nan=False)
    assert json.loads(printed)["trials"][2]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
