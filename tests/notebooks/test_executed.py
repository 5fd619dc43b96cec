"""Every notebook runs from scratch with small parameters, and what it claims is so."""

from pathlib import Path

import nbformat
import papermill
import pytest

from ticketlab.report.summary import summarise
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.servers import container

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def execute(tmp_path):
    """Execute a notebook with the given parameters; returns its runs by name, and all that it printed."""

    def call(name, **parameters):
        written = tmp_path / f"{name}.ipynb"
        papermill.execute_notebook(
            FOLDER / f"{name}.ipynb", written, parameters, cwd=tmp_path, progress_bar=False, kernel_name="python3"
        )
        runs = {run.experiment.name: run for run in map(Run, sorted((tmp_path / "runs").glob("*")))}
        outputs = [output for cell in nbformat.read(written, as_version=4).cells for output in cell.get("outputs", [])]
        return runs, "".join(output.get("text", "") for output in outputs)

    return call


def verdicts_of(run):
    """The worst verdict of each strategy."""
    return dict(zip(run.summary["strategy"], run.summary["verdict"], strict=True))


def test_01_the_control_oversells_and_the_others_do_not(execute):
    """More tickets than seats by naive, and by nobody else; the proof is printed."""
    runs, printed = execute("01_oversell", server="embedded", buyers=8, seconds=20.0, stock=300, repeats=1)
    found = verdicts_of(runs["oversell"])
    assert {name for name, verdict in found.items() if verdict == "INVALID"} == {"naive"}
    assert {verdict for name, verdict in found.items() if name != "naive"} == {"VALID"}
    assert "(embedded) · fsync on" in printed
    assert "naive, lost update: event 0:" in printed


def test_02_work_for_nothing_grows_with_the_buyers_and_locks_waste_none(execute):
    """Whoever compares afterwards wastes more work with more buyers; who locks first wastes nothing."""
    runs, printed = execute("02_conflicts", server="embedded", buyers=[1, 12], seconds=0.4, repeats=1)
    rows = summarise(runs["conflicts"].measures).set_index(["strategy", "buyers"])["retries_per_sale"]
    for strategy in ("optimistic", "repeatable_read", "serializable"):
        assert rows[strategy, 1] == 0
        assert rows[strategy, 12] > 0.1
    for strategy in ("pessimistic", "atomic"):
        assert rows[strategy, 12] == 0
    assert runs["conflicts"].failed_strategies == []
    assert "optimistic retried" in printed


def test_03_runs_both_experiments(execute):
    """Every number of buyers, and every size of the pool."""
    runs, _ = execute(
        "03_throughput_and_latency", server="embedded", buyers=[1, 32], pool_sizes=[2, 8], seconds=0.5, repeats=1
    )
    assert set(runs["hot-event"].measures["buyers"]) == {1, 32}
    assert set(runs["pools"].measures["pool_size"]) == {2, 8}
    assert runs["hot-event"].failed_strategies == runs["pools"].failed_strategies == []


def test_03_the_gathered_sales_grow_with_the_buyers(tmp_path):
    """One purchase at a time sells no more to many than to some; gathered, many are sold several times as much.

    Each commit waits 5 ms, as for a slow disk: the wait is what is gathered, and a fast disk shows little of it.
    """
    load = {"buyers": (1, 32), "seconds": 0.5, "stock": 1_000_000, "repeats": 1, "server": "embedded"}
    waiting = {"commit_delay": "5000", "commit_siblings": "0"}
    experiment = Experiment(strategies=("pessimistic", "coalesced"), server_settings=waiting, **load)
    rate = summarise(lab.run(experiment, out=tmp_path).measures).set_index(["strategy", "buyers"])["per_s"]
    assert rate["coalesced", 32] > 2 * rate["coalesced", 1]
    assert rate["coalesced", 32] > 2 * rate["pessimistic", 32]


@pytest.mark.xdist_group("containers")
def test_04_the_own_strategy_holds_and_without_its_lock_is_caught(execute):
    """The reader's strategy is VALID; with FOR UPDATE taken away it still claims to be safe, and is found out.

    In a container where an engine answers. Which kind of server it is is the lab's affair, so that one notebook is
    enough.
    """
    server = "embedded" if container.unavailable_reason() else "container"
    runs, printed = execute("04_your_own_strategy", server=server, buyers=8, seconds=20.0, stock=300, repeats=1)
    assert f"({server}) · fsync on" in printed
    assert verdicts_of(runs["my-own"]) == {"pessimistic": "VALID", "mine": "VALID"}
    assert runs["my-own-broken"].failed_strategies == ["mine_unlocked"]
    assert verdicts_of(runs["my-own-broken"]) == {"mine": "VALID", "mine_unlocked": "INVALID"}
    assert "mine_unlocked claims to be safe and was not found VALID" in printed


def test_a_saved_run_is_shown_in_place_of_a_new_one(execute, tmp_path):
    """With RUN a notebook starts no server: it shows the run that lies there."""
    small = {"buyers": (8,), "repeats": 1, "stock": 200, "seconds": 20.0, "server": "embedded"}
    saved = lab.run(Experiment(**small, strategies=("naive", "atomic")), out=tmp_path / "runs").folder
    _, printed = execute("01_oversell", RUN=str(saved))
    assert list((tmp_path / "runs").iterdir()) == [saved]
    assert saved.name in printed
