"""A run on disk is judged again from what was observed, without a server."""

import hashlib
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from command_line import call

from ticketlab import console
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.faults.schedule import Fault
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import Trial

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
    write(
        tmp_path,
        2,
        "atomic",
        True,
        history(*sales, {"outcome": "sold_out"}),
        ledger(total=2, version=3, tickets=[1, 2]),
    )
    return tmp_path


def write(folder, number, strategy, safe, observed, books, **changes):
    described = {
        "number": number, "strategy": strategy, "safe": safe, "buyers": 2, "pool_size": 20, "repeat": 1,
        "interrupted": False,
    }  # fmt: skip
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
    assert (run.failed_strategies, run.undetected_controls, run.ended_early, run.notes) == ([], [], False, [])


def stuck(folder, history, ledger):
    """A third trial: one purchase of `atomic` was sold, and one given up after conflicts, of nine seats."""
    write(
        folder,
        3,
        "atomic",
        True,
        history({"version": 2}, {"outcome": "conflict"}),
        ledger(total=9, available=8, version=2, tickets=[1]),
        repeat=2,
    )


def test_a_strategy_that_makes_no_progress_is_a_concern_and_not_wrong(folder, history, ledger):
    """Of two purchases that found seats one failed; where so many may, that is progress."""
    stuck(folder, history, ledger)
    run = Run(folder)
    assert (run.measures["progress"].tolist(), run.failed_strategies) == (["PROGRESS", "PROGRESS", "NO PROGRESS"], [])
    assert run.measures[["found_seats", "failed_with_seats"]].to_numpy().tolist() == [[3, 0], [2, 0], [2, 1]]
    assert run.concerns[0].text.startswith("atomic made no progress in 1 of 2 trials: at worst 1 of 2 purchases")
    assert run.strict_failures == [run.concerns[0].text]
    changed(max_failures=0.5)(folder / "experiment.json")
    assert Run(folder).strict_failures == []


def test_strict_fails_for_a_fault_that_did_not_come_and_a_check_that_decided_nothing(folder, history, ledger):
    """Both in a sentence; a trial that was cut short is undecided too."""
    assert Run(folder).strict_failures == []
    changed(faults=["crash@9"])(folder / "experiment.json")
    nothing = history({"outcome": "unavailable"}), ledger(total=1, available=1)
    write(folder, 3, "atomic", True, *nothing, repeat=2, interrupted=True, faults_ns={"crash": (7,)})
    run = Run(folder)
    assert run.untested == ["crash after 9 purchases"]
    assert run.strict_failures[0] == "Not tested in every trial: the crash after 9 purchases."
    assert "Undecided: trial 3, atomic, no_oversell." in run.strict_failures


def test_a_run_knows_which_parts_of_a_load_it_tried(folder, history, ledger):
    """By its experiment; of faults those that came, and of double calls those that were made."""
    assert Run(folder).tried == set()
    changed(quantity=[1, 3], refunds=0.1, events=2, faults=["crash@9", "disconnect@9"])(folder / "experiment.json")
    twice = {"purchase_id": 1}, {"purchase_id": 1, "cause": "repeated"}
    write(folder, 3, "atomic", True, history(*twice), ledger(total=1, tickets=[1]), repeat=2, faults_ns={"crash": (7,)})
    assert {str(each) for each in Run(folder).tried} == {"quantities", "refunds", "events", "crash", "double-calls"}


def test_own_tables_have_another_remedy_than_a_control(folder):
    """A run remembers which strategies sell from tables of a user's own."""
    (folder / "trials" / "1" / "trial.json").unlink()
    assert Run(folder).concerns[-1].text.endswith("Add one: -s naive.")
    changed(own_tables=["atomic"])(folder / "environment.json")
    assert "do not sell from your tables" in Run(folder).concerns[-1].text


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_check_fails_for_no_progress_only_where_it_is_strict(folder, history, ledger, options, code):
    """The verdict is the same, and the reason is told beside it."""
    stuck(folder, history, ledger)
    done = call("check", str(folder), *options, cwd=folder, COLUMNS="200")
    assert done.returncode == code
    assert "No violation found, but no progress" in done.stdout
    assert ("--strict fails this run.\natomic made no progress" in done.stderr) == bool(code)


def test_a_safe_strategy_that_oversells_is_wrong(folder, history, ledger):
    """What claims to be safe and is found INVALID is named."""
    write(folder, 3, "atomic", True, history({}, {}), ledger(total=1, tickets=[1, 2]), repeat=2)
    assert Run(folder).failed_strategies == ["atomic"]


def test_a_safe_strategy_that_was_not_shown_to_be_right_is_not_as_it_should_be(folder, history, ledger):
    """UNKNOWN is not VALID."""
    write(folder, 3, "atomic", True, history({"outcome": "unavailable"}), ledger(total=1, available=1), repeat=2)
    assert Run(folder).failed_strategies == ["atomic"]


def test_a_safe_strategy_whose_trial_was_cut_short_before_it_showed_anything_is_not_wrong(folder, history, ledger):
    """Ctrl-C before the first answer says nothing against a strategy."""
    nothing = history({"outcome": "unavailable"}), ledger(total=1, available=1)
    write(folder, 3, "atomic", True, *nothing, repeat=2, interrupted=True)
    run = Run(folder)
    assert run.measures["verdict"].tolist() == ["INVALID", "VALID", "UNKNOWN"]
    assert (run.failed_strategies, run.ended_early) == ([], True)
    assert run.notes[0] == "The run was ended early: 3 of 2 trials were run, the last of them cut short."


def test_a_safe_strategy_that_oversold_before_it_was_cut_short_is_wrong(folder, history, ledger):
    """Ctrl-C does not undo what was seen until then."""
    write(folder, 3, "atomic", True, history({}, {}), ledger(total=1, tickets=[1, 2]), repeat=2, interrupted=True)
    assert Run(folder).failed_strategies == ["atomic"]


def test_a_control_that_showed_nothing_is_not_called_uncaught(folder, history, ledger):
    """A control whose only trial is UNKNOWN had no chance to oversell."""
    (folder / "trials" / "1" / "trial.json").unlink()
    write(folder, 3, "naive", False, history({"outcome": "unavailable"}), ledger(total=1, available=1))
    run = Run(folder)
    assert run.measures["verdict"].tolist() == ["VALID", "UNKNOWN"]
    assert (run.failed_strategies, run.undetected_controls) == ([], [])


def test_a_control_that_was_caught_once_is_caught(folder, history, ledger):
    """One trial that oversold is enough, though another did not."""
    write(folder, 3, "naive", False, history({}, {"outcome": "sold_out"}), ledger(total=1, tickets=[1]), repeat=2)
    run = Run(folder)
    assert run.measures["verdict"].tolist() == ["INVALID", "VALID", "VALID"]
    assert run.undetected_controls == []


def test_a_control_that_was_not_caught_is_said_so(folder, history, ledger):
    """A control that did nothing wrong this time is no proof of anything; what might make it show itself is told."""
    (folder / "trials" / "1" / "trial.json").unlink()
    write(folder, 3, "naive", False, history({}, {"outcome": "sold_out"}), ledger(total=1, tickets=[1]))
    run = Run(folder)
    assert (run.failed_strategies, run.undetected_controls) == ([], ["naive"])
    assert run.notes[0] == (
        "naive is a control, and no check detected it: try more buyers, more repeats, fewer events, or --basket 2-3 "
        "for a control of baskets."
    )


def test_a_run_that_was_cut_off_is_read_up_to_there(folder):
    """A trial whose files are not complete is left out, and the reader is told."""
    (folder / "trials" / "2" / "trial.json").unlink()
    run = Run(folder)
    assert [trial.strategy for trial in run.trials] == ["naive"]
    assert run.ended_early
    assert "ended early: 1 of 2 trials were run." in run.notes[0]


def test_a_trial_that_could_not_be_completed_is_none(folder, history, ledger, monkeypatch):
    """A trial whose description was still being written when all ended is left out."""

    def cut_off(_self, _target):
        raise OSError("the lights went out")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut_off)
        with pytest.raises(OSError, match="the lights went out"):
            write(folder, 3, "atomic", True, history({}), ledger(total=1, tickets=[1]), repeat=2)
    assert [trial.number for trial in Run(folder).trials] == [1, 2]


def test_a_saved_trial_leaves_nothing_unfinished(folder):
    """What was written aside is in its place, and a trial is its four files."""
    expected = ["events.parquet", "history.parquet", "tickets.parquet", "trial.json"]
    assert sorted(path.name for path in (folder / "trials" / "1").iterdir()) == expected


def test_a_folder_among_the_trials_without_a_number_is_none_of_them(folder):
    """What somebody keeps beside the trials is not read, whatever is in it."""
    (folder / "trials" / "old").mkdir()
    (folder / "trials" / "old" / "trial.json").write_text("not read")
    assert [trial.number for trial in Run(folder).trials] == [1, 2]


def test_trials_are_read_in_the_order_of_their_numbers(folder, history, ledger):
    """The tenth comes after the second."""
    write(folder, 10, "atomic", True, history({}), ledger(total=1, tickets=[1]), repeat=2)
    assert [trial.number for trial in Run(folder).trials] == [1, 2, 10]


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


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(**values):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def text(written):
    return lambda path: path.write_text(written)


def numbered(column):
    def number(path):
        pd.read_parquet(path).assign(**{column: 7}).to_parquet(path)

    return number


def without(column):
    def drop(path):
        pd.read_parquet(path).drop(columns=column).to_parquet(path)

    return drop


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        pytest.param("experiment.json", cut, id="experiment cut off"),
        pytest.param("experiment.json", text(""), id="experiment empty"),
        pytest.param("experiment.json", text("[]"), id="experiment a list"),
        pytest.param("experiment.json", text("7"), id="experiment a number"),
        pytest.param("experiment.json", changed(stock="many"), id="stock a word"),
        pytest.param("experiment.json", changed(stock=-1), id="stock negative"),
        pytest.param("experiment.json", changed(buyers=16), id="buyers no list"),
        pytest.param("experiment.json", changed(quantity=[1]), id="quantity no range"),
        pytest.param("experiment.json", changed(repeats=None), id="repeats null"),
        pytest.param("experiment.json", changed(seconds="four"), id="seconds a word"),
        pytest.param("environment.json", Path.unlink, id="environment missing"),
        pytest.param("environment.json", cut, id="environment cut off"),
        pytest.param("environment.json", text("{}"), id="environment without a server"),
        pytest.param("environment.json", text("[]"), id="environment a list"),
        pytest.param("experiment.json", changed(name=5), id="name a number"),
        pytest.param("experiment.json", changed(server_settings=[]), id="settings a list"),
        pytest.param("experiment.json", changed(strategies=[1, 2]), id="strategies numbers"),
        pytest.param("experiment.json", changed(strategies="naive"), id="strategies a word"),
        pytest.param("experiment.json", changed(stock=2.5), id="half a seat"),
        pytest.param("environment.json", changed(server={}), id="server empty"),
        pytest.param("environment.json", changed(server={"settings": None}), id="settings null"),
        pytest.param("trials/2/trial.json", changed(safe="perhaps"), id="safe perhaps"),
        pytest.param("trials/2/trial.json", changed(buyers="x"), id="buyers a word"),
        pytest.param("trials/2/trial.json", cut, id="trial cut off"),
        pytest.param("trials/2/trial.json", text("[]"), id="trial a list"),
        pytest.param("trials/2/trial.json", text('{"number": 2}'), id="trial without a strategy"),
    ],
)
def test_a_run_that_is_spoilt_is_refused(folder, file, spoil):
    """A file that is cut off, or holds what it should not, is an error that names the run's folder."""
    spoil(folder / file)
    with pytest.raises(InvalidInputError, match=rf"{re.escape(str(folder))} cannot be read as those of a run"):
        Run(folder)


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        pytest.param("history.parquet", cut, id="history cut off"),
        pytest.param("history.parquet", Path.unlink, id="history missing"),
        pytest.param("history.parquet", text("no Parquet"), id="history of another format"),
        pytest.param("history.parquet", text(""), id="history empty"),
        pytest.param("history.parquet", without("outcome"), id="history without outcomes"),
        pytest.param("history.parquet", numbered("purchase_id"), id="purchase ids as numbers"),
        pytest.param("tickets.parquet", without("event"), id="tickets without events"),
        pytest.param("tickets.parquet", without("purchase_id"), id="tickets without purchases"),
        pytest.param("events.parquet", without("total"), id="events without seats"),
        pytest.param("events.parquet", Path.unlink, id="events missing"),
    ],
)
def test_a_trial_that_is_spoilt_is_refused(folder, file, spoil):
    """What was observed can not be read: an error that names the trial's folder, and no verdict."""
    trial = folder / "trials" / "2"
    spoil(trial / file)
    with pytest.raises(InvalidInputError, match=rf"{re.escape(str(trial))} cannot be read as those of a run"):
        Run(folder).verdicts  # noqa: B018 - judged when first asked for


@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        (["failed", "failed", "unavailable", "unknown"], "2 failed, 1 unavailable, 1 unknown"),
        (["unknown"], "1 unknown"),
    ],
)
def test_purchases_without_an_answer_are_counted_in_a_note(folder, history, ledger, outcomes, counts):
    """They are in no latency, and a reader of the table must know."""
    unanswered = history({"version": 2}, *({"outcome": each} for each in outcomes))
    write(folder, 3, "atomic", True, unanswered, ledger(total=9, available=8, tickets=[1]), repeat=2)
    assert Run(folder).notes == [f"Not every purchase was answered: {counts}. Latencies do not include them."]


def test_refunds_are_told_of_and_those_that_were_not_made_are_counted(folder, history, ledger):
    """What refunds mean for the numbers stands beside them; nothing is said where a run has none."""
    experiment = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_text(json.dumps(experiment | {"refunds": 0.25}))
    refund = {"kind": "refund", "outcome": "refunded", "version": 3}
    operations = {"version": 2}, refund | {"purchase_id": 1}, *({"kind": "refund", "outcome": "failed"},) * 2
    write(folder, 3, "atomic", True, history(*operations), ledger(total=9, available=9, version=3), repeat=2)
    run = Run(folder)
    assert " · 25 % of the sales refunded · " in run.conditions
    came_back, not_made = run.notes
    assert came_back.startswith("1 ticket refunded: 'sold' counts only the others.")
    assert not_made == "Not every refund succeeded: 2 failed. None was repeated."
    assert [run.trial_rows()[2][name] for name in ("sold", "refunded", "refunds_failed", "failed")] == [0, 1, 2, 0]


def test_sales_without_a_version_are_told_of_once_a_strategy(folder, history, ledger):
    """What the checks can not decide about a strategy stands beside its numbers, in one sentence."""
    for number in (3, 4):
        write(folder, number, "sharded", True, history({}), ledger(total=1, available=0, tickets=[1]), repeat=number)
    assert Run(folder).notes == [
        "sharded: its sales report no version, so their order is not checked; the number of tickets is."
    ]


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
        "PostgreSQL 18.6 (embedded) · fsync on, full_page_writes on, synchronous_commit on · 2 buyers · pool of 20 · "
        "1 event of 2 seats · at most 4 s · 1 repeat"
    )


@pytest.mark.parametrize(("basket", "said"), [([2, 3], "baskets of 2 to 3"), ([2, 2], "baskets of 2")])
def test_conditions_name_the_baskets(folder, basket, said):
    """How many events were bought together, where they were."""
    changed(basket=basket, events=5)(folder / "experiment.json")
    assert f"5 events of 2 seats, {said} · at most" in Run(folder).conditions


def test_conditions_name_the_faults(folder):
    """What went wrong, and when."""
    changed(faults=["crash@500", "disconnect@1000"])(folder / "experiment.json")
    assert " · at most 4 s · crash after 500 purchases, disconnect after 1,000 purchases · 1" in Run(folder).conditions


def test_a_fault_that_did_not_come_is_said(folder, history, ledger):
    """Of two crashes the later one was missed twice, and the disconnect once."""
    changed(faults=["crash@9", "disconnect@3", "crash@1"])(folder / "experiment.json")
    for number, cut_ns in ((1, ()), (2, (5,))):
        (folder / "trials" / str(number)).rename(folder / f"former-{number}")
        made = {"crash": (7,), "disconnect": cut_ns}
        write(folder, number, "atomic", True, history({}), ledger(total=1, tickets=[1]), repeat=number, faults_ns=made)
    told = [note for note in Run(folder).notes if "was not injected" in note]
    assert [note.partition(":")[0] for note in told] == [
        "The crash after 9 purchases was not injected in 2 of 2 trials",
        "The disconnect after 3 purchases was not injected in 1 of 2 trials",
    ]


def lost(folder, number, history, ledger, *, strategy="atomic", faults_ns, tickets=(1,), **changes):
    """Two purchases from 10 to 30, one sold and one lost, and a sale from 100 to 200."""
    times = {"invoked_ns": 10, "completed_ns": 30}
    operations = (
        times | {"version": 2},
        times | {"outcome": "unknown", "cause": "connection"},
        {"invoked_ns": 100, "completed_ns": 200, "outcome": "sold_out", "cause": "insufficient"},
    )
    books = ledger(total=2, available=2 - len(tickets), version=1 + len(tickets), tickets=tickets)
    write(folder, number, strategy, True, history(*operations), books, faults_ns=faults_ns, **changes)


def notes_of_faults(run):
    return [note for note in run.notes if " hit " in note]


def test_what_each_fault_met_is_said_over_all_trials(folder, history, ledger):
    """By its option: how many purchases, and how many of them had committed; of a single one too."""
    changed(faults=["lose-reply@2", "disconnect@1"])(folder / "experiment.json")
    for number in (1, 2):
        (folder / "trials" / str(number)).rename(folder / f"former-{number}")
        faults = {"lose-reply": (20,), "disconnect": (20 if number == 1 else 5,)}
        lost(folder, number, history, ledger, faults_ns=faults, tickets=(1, 2), repeat=number)
    run = Run(folder)
    assert notes_of_faults(run) == [
        "lose-reply@2 hit 2 purchases, of which 2 had committed.",
        "disconnect@1 hit 1 purchase, of which 1 had committed.",
    ]
    assert run.untested_faults == []


def test_a_fault_that_met_nothing_or_never_came_was_not_tested(folder, history, ledger):
    """The one is said so, the other that it did not come; a fault that met something is in no list."""
    changed(faults=["lose-reply@2", "lose-request@1", "disconnect@9"])(folder / "experiment.json")
    (folder / "trials" / "1").rename(folder / "former-1")
    (folder / "trials" / "2").rename(folder / "former-2")
    lost(folder, 1, history, ledger, faults_ns={"lose-reply": (150,), "lose-request": (20,)})
    run = Run(folder)
    assert notes_of_faults(run) == [
        "lose-reply@2 hit no purchase: this fault was not tested.",
        "lose-request@1 hit 1 purchase, of which none had committed.",
    ]
    assert [str(each) for each in run.untested_faults] == ["lose-reply@2", "disconnect@9"]
    assert run.untriggered_faults == {Fault.parse("disconnect@9"): 1}
    assert run.trial_rows()[0]["faults"] == [
        {"fault": "lose-reply@2", "came": True, "met": 0, "committed": 0, "refunds_met": 0, "refunds_made": 0},
        {"fault": "lose-request@1", "came": True, "met": 1, "committed": 0, "refunds_met": 0, "refunds_made": 0},
        {"fault": "disconnect@9", "came": False, "met": 0, "committed": 0, "refunds_met": 0, "refunds_made": 0},
    ]


def test_a_fault_that_met_nothing_of_a_strategy_is_said(folder, history, ledger):
    """Another strategy was tested by it."""
    changed(faults=["lose-reply@2"])(folder / "experiment.json")
    for number, (strategy, instant_ns) in enumerate((("naive", 150), ("atomic", 20)), start=1):
        (folder / "trials" / str(number)).rename(folder / f"former-{number}")
        lost(folder, number, history, ledger, strategy=strategy, faults_ns={"lose-reply": (instant_ns,)})
    run = Run(folder)
    assert notes_of_faults(run) == [
        "lose-reply@2 hit 1 purchase, of which none had committed.",
        "lose-reply@2 hit no purchase of naive: it was not tested there.",
    ]
    assert run.untested_faults == []


def test_faults_of_one_kind_are_told_apart_by_their_turn(folder, history, ledger):
    """The first that came is the one of the fewest purchases; what came while it lasted is met too."""
    changed(faults=["disconnect@9", "disconnect@2"])(folder / "experiment.json")
    (folder / "trials" / "1").rename(folder / "former-1")
    (folder / "trials" / "2").rename(folder / "former-2")
    times = {"faults_ns": {"disconnect": (5, 50)}, "faults_over_ns": {"disconnect": (10, 60)}}
    lost(folder, 1, history, ledger, **times)
    assert [(each["fault"], each["met"]) for each in Run(folder).trial_rows()[0]["faults"]] == [
        ("disconnect@9", 0),
        ("disconnect@2", 1),
    ]


def test_what_a_crash_loses_before_the_server_is_dead_was_met_by_it(folder, history, ledger):
    """From its beginning on."""
    changed(faults=["crash@2"])(folder / "experiment.json")
    (folder / "trials" / "1").rename(folder / "former-1")
    (folder / "trials" / "2").rename(folder / "former-2")
    lost(folder, 1, history, ledger, faults_ns={"crash": (900,)}, faults_over_ns={"crash": (990,)})
    assert Run(folder).trial_rows()[0]["faults"][0]["met"] == 0
    (folder / "trials" / "1").rename(folder / "former-3")
    times = {"faults_ns": {"crash": (900,)}, "faults_over_ns": {"crash": (990,)}, "faults_began_ns": {"crash": (5,)}}
    lost(folder, 1, history, ledger, **times)
    assert Run(folder).trial_rows()[0]["faults"][0]["met"] == 1


def test_refunds_that_a_fault_met_are_said(folder, history, ledger):
    """Beside the purchases."""
    changed(faults=["lose-reply@1"])(folder / "experiment.json")
    back = {"kind": "refund", "purchase_id": 1, "outcome": "unknown", "cause": "connection"}
    sale = {"version": 2, "completed_ns": 10}
    lost_sale = {"invoked_ns": 25, "completed_ns": 40, "outcome": "unknown", "cause": "connection"}
    books = ledger(total=1, available=1, version=3)
    for number, more in ((1, ()), (2, (lost_sale,))):
        (folder / "trials" / str(number)).rename(folder / f"former-{number}")
        operations = history(sale, back | {"invoked_ns": 20, "completed_ns": 40}, *more)
        write(folder, number, "atomic", True, operations, books, repeat=number, faults_ns={"lose-reply": (30,)})
        expected = [
            "1 refund, of which 1 had committed.",
            "1 purchase, of which none had committed; and 2 refunds, of which 2 had committed.",
        ]
        assert notes_of_faults(Run(folder)) == [f"lose-reply@1 hit {expected[number - 1]}"]


def test_the_ledger_of_a_trial_knows_when_the_server_was_crashed(folder, history, ledger):
    """As the trial was saved; its tables hold nothing of it."""
    write(folder, 3, "atomic", True, history({}), ledger(total=1, tickets=[1]), faults_ns={"crash": (3 * S, 5 * S)})
    assert Run(folder).trials[2].crashes_ns == Run(folder).trials[2].ledger().crashes_ns == (3 * S, 5 * S)


def test_a_trial_that_was_saved_without_its_faults_had_none(folder):
    """A trial of an older version is read all the same."""
    file = folder / "trials" / "1" / "trial.json"
    saved = json.loads(file.read_text())
    file.write_text(json.dumps({name: saved[name] for name in saved if not name.endswith("_ns")}))
    trial = Run(folder).trials[0]
    assert (trial.faults_ns, trial.crashes_ns, trial.ledger().crashes_ns) == ({}, (), ())


def test_a_trial_without_the_newer_columns_is_refused_with_a_reason(folder):
    """A run of an older version is not half understood."""
    without("retries_deadlock")(folder / "trials" / "1" / "history.parquet")
    with pytest.raises(InvalidInputError, match=r"lacks retries_deadlock: it was saved by another version"):
        Run(folder).verdicts  # noqa: B018 - judged when first asked for


def test_an_experiment_without_baskets_in_its_file_had_none(folder):
    """A run of an older version says nothing of baskets."""
    saved = json.loads((folder / "experiment.json").read_text())
    del saved["basket"]
    (folder / "experiment.json").write_text(json.dumps(saved))
    assert Run(folder).experiment.basket == (1, 1)


def test_retries_are_told_by_cause(folder, history, ledger):
    """In the frame, in the JSON and in a sentence, the commonest cause first; without retries there is none."""
    tried = (
        {"version": 2, "attempts": 3, "retries_deadlock": 1, "retries_stale_version": 1, "cause": "stale_version"},
        {"version": 3, "attempts": 1_501, "retries_deadlock": 1_500, "cause": "deadlock"},
    )
    write(folder, 3, "optimistic", True, history(*tried), ledger(total=2, tickets=[1, 2]))
    run = Run(folder)
    assert run.measures["retries_deadlock"].tolist() == [0, 0, 1_501]
    told = run.as_json()["trials"][2]
    assert told["retries_by_cause"] == {
        "stale_version": 1, "concurrent_update": 0, "serialization": 0, "deadlock": 1_501, "lock_timeout": 0,
        "pool_timeout": 0,
    }  # fmt: skip
    assert told["retries"] == sum(told["retries_by_cause"].values())
    sentences = [finding.plain for finding in console.findings(run) if "retried" in finding.plain]
    assert sentences == ["optimistic retried 1,502 times: 1,501 deadlock, 1 stale_version."]


def test_what_is_wrong_is_saved_and_printed_with_its_name_and_its_story(folder):
    """The same sentences in verdicts.json and in --json; what held has neither."""
    run = Run(folder)
    run.save_judgement()
    saved = json.loads((folder / "verdicts.json").read_text())
    oversold = next(each for each in saved if each["trial"] == 1 and each["check"] == "no_oversell")
    assert (oversold["anomaly"], oversold["crashes_ns"]) == ("oversell", [])
    assert oversold["story"][0].startswith("Buyer 0 bought 1 ticket of event 0")
    printed = run.trial_rows()[0]["checks"]
    assert (printed["no_oversell"]["anomaly"], printed["no_oversell"]["story"]) == ("oversell", oversold["story"])
    held = printed["no_deadlock"]
    assert (held["status"], held["anomaly"], held["story"]) == ("VALID", "", [])


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


@pytest.mark.parametrize(
    ("save", "file"),
    [
        (Run.save_judgement, "verdicts.json"),
        (Run.save_judgement, "measures.parquet"),
    ],
    ids=["verdicts", "measures"],
)
def test_what_can_not_be_written_is_said(folder, save, file):
    """Something else stands where the file belongs: the run's folder is named, and why."""
    (folder / file).mkdir()
    with pytest.raises(
        InvalidInputError, match=rf"Nothing can be written to {re.escape(str(folder))}: .*Is a directory"
    ):
        save(Run(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_folder_that_is_only_for_reading_is_said_to_be_one(folder):
    """A run in somebody else's folder can be read, and is not written to."""
    folder.chmod(0o500)
    try:
        with pytest.raises(InvalidInputError, match=rf"written to {re.escape(str(folder))}: Permission denied"):
            Run(folder).save_judgement()
    finally:
        folder.chmod(0o700)
    assert not {"verdicts.json", "measures.parquet"} & {path.name for path in folder.iterdir()}


def test_the_json_of_a_run_has_the_documented_fields(folder):
    """One object: the folder, the environment, concerns, and the trials with their numbers and verdicts."""
    printed = json.loads(json.dumps(Run(folder).as_json(), allow_nan=False))
    assert set(printed) == {"run", "environment", "concerns", "trials"}
    assert printed["trials"][1]["progress"] == {
        "share": 0.0, "failed": 0, "sold": 2, "limit": 0.05, "verdict": "PROGRESS",
    }  # fmt: skip
    assert [each["kind"] for each in printed["concerns"]] == ["little evidence", "little evidence"]
    assert Path(printed["run"]) == folder
    assert set(printed["trials"][0]) >= {
        "trial", "strategy", "safe", "buyers", "repeat", "seconds", "sold", "sales", "sold_out", "conflicts", "failed",
        "unknown", "oversold", "refunded", "refunds_failed", "refunds_unknown",
        "purchases_per_s", "latency_ms", "retries", "verdict", "checks", "history_sha256", "faults",
    }  # fmt: skip
    assert set(printed["trials"][0]["latency_ms"]) == {"p50", "p95", "p99"}
    assert printed["trials"][0]["checks"]["no_oversell"]["status"] == "INVALID"
    assert printed["trials"][0]["oversold"] == 1


def test_a_trial_in_which_nothing_was_bought_prints_as_json_too(folder, history, ledger):
    """JSON has no NaN: a latency that there is none of is null."""
    write(folder, 3, "atomic", True, history(), ledger(total=1, available=1), repeat=2)
    printed = json.dumps(Run(folder).as_json(), allow_nan=False)
    assert json.loads(printed)["trials"][2]["latency_ms"] == {"p50": None, "p95": None, "p99": None}


def test_every_trial_has_the_hash_of_its_history(folder):
    """Whoever holds the file can tell that the numbers are of it."""
    history = (folder / "trials" / "2" / "history.parquet").read_bytes()
    assert Run(folder).as_json()["trials"][1]["history_sha256"] == hashlib.sha256(history).hexdigest()


def test_a_history_that_is_gone_is_an_error_of_the_trial(folder):
    """Not a bare error of the file system."""
    run = Run(folder)
    (folder / "trials" / "1" / "history.parquet").unlink()
    with pytest.raises(InvalidInputError, match="cannot be read as those of a run"):
        run.trials[0].history_sha256  # noqa: B018 - read when asked for
