"""What a person sees when a run is over."""

from io import StringIO
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console
from verdicts import of_trial, proven

from ticketlab import console
from ticketlab.checks import CHECKS
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.outcomes import RETRIES
from ticketlab.report.headline import Concern, ConcernKind
from ticketlab.report.summary import summarise
from ticketlab.runs.experiment import Experiment


def table_of(*trials, found=(), colours=None):
    """The table of trials that differ in these fields, as a terminal of 80 columns shows it."""
    trial = {
        "trial": 1, "strategy": "pessimistic", "safe": False, "buyers": 16, "pool_size": 20, "repeat": 1,
        "seats": 1_000, "tickets": 5_148, "oversold": 4_148, "sales": 5_148, "sold_out": 0, "conflicts": 3, "failed": 0,
        "unavailable": 0, "unknown": 0, "purchases_per_s": 1_285.0, "p50_ms": 9.0, "p95_ms": 37.0, "p99_ms": 58.0,
        "retries": 40, **dict.fromkeys(RETRIES.values(), 0), "failure_share": 0.0, "progress": "PROGRESS",
        "verdict": "INVALID",
    }  # fmt: skip
    summary = summarise(pd.DataFrame([trial | each for each in trials]))
    run = SimpleNamespace(experiment=Experiment(repeats=1), concerns=found, summary=summary)
    out = StringIO()
    Console(file=out, width=80, color_system=colours, force_terminal=bool(colours)).print(console.results(run))
    return out.getvalue()


YELLOW, GREEN = "\x1b[33m", "\x1b[32m"


@pytest.mark.parametrize(
    ("fields", "found", "words"),
    [
        ({"progress": "NO PROGRESS"}, (), ["VALID", "no", "progress"]),
        ({}, ("little evidence",), ["VALID", "little", "evidence"]),
        ({}, ("no control",), ["VALID"]),
    ],
    ids=["no progress", "little evidence", "no control"],
)
def test_valid_with_a_concern_is_yellow_and_says_why(fields, found, words):
    """One word below the other beside the row, within 80 columns; without a concern VALID is green."""
    valid = {"strategy": "atomic", "safe": True, "verdict": "VALID"}
    concerns = [Concern(kind=ConcernKind(kind), strategies=("atomic",), text="") for kind in found]
    shown = table_of(valid | fields, found=concerns)
    assert [line.split()[-1] for line in shown.splitlines() if line.split()[-1:] and line.split()[-1] in words] == words
    assert max(map(len, shown.splitlines())) <= 80
    assert f"{YELLOW}VALID" in table_of(valid | fields, found=concerns, colours="standard")
    assert f"{GREEN}VALID" in table_of(valid, colours="standard")


def test_a_concern_about_another_strategy_leaves_a_row_green():
    """It is about the strategies that it names."""
    other = Concern(kind=ConcernKind.LITTLE_EVIDENCE, strategies=("mine",), text="")
    valid = {"strategy": "atomic", "safe": True, "verdict": "VALID"}
    assert f"{GREEN}VALID" in table_of(valid, found=[other], colours="standard")


@pytest.mark.parametrize(
    ("latency", "told"),
    [
        ({}, ["9.0/37/58"]),
        ({"p50_ms": 12_526.0, "p95_ms": 19_450.0, "p99_ms": 19_451.0}, ["12,526/", "19,450/", "19,451"]),
        ({"p50_ms": 73.0, "p95_ms": 634.0, "p99_ms": 1_000.0}, ["73/", "634/", "1,000"]),
    ],
    ids=["milliseconds", "seconds", "a second"],
)
def test_long_waits_leave_the_names_their_room(latency, told):
    """Neither the name of a strategy nor a verdict is broken, however long its buyers waited."""
    shown = table_of(latency | {"strategy": "serializable", "purchases_per_s": 1_223.0})
    words = shown.split()
    assert {"serializable", "INVALID", *told} <= set(words)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(("oversold", "shown"), [(24, "+24 over"), (375, "+375"), (4_148, "+4,148")])
def test_tickets_in_excess_are_named_within_80_columns(oversold, shown):
    """On one line where the column is wide enough, else with the word below; the legend of the table explains it."""
    text = table_of({"strategy": "serializable", "oversold": oversold})
    assert shown in text
    assert "over" in text.split()
    assert "serializable" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("trials", "named", "unnamed"),
    [
        ([{}], set(), {"buyers", "pool"}),
        ([{"pool_size": 5}, {"pool_size": 20}], {"pool of 5", "pool of 20"}, {"buyers"}),
        ([{}, {"buyers": 1, "pool_size": 5}], {"1 buyer", "16 buyers", "pool of 5", "pool of 20"}, set()),
    ],
    ids=["one setting", "two pools", "both differ"],
)
def test_a_row_names_the_setting_where_it_differs(trials, named, unnamed):
    """Buyers and pool stand under the strategy's name where there is more than one number of them, and only there."""
    shown = table_of(*trials)
    assert all(each in shown for each in named)
    assert not any(each in shown for each in unnamed)


def test_verdicts_name_what_tells_the_trials_apart_and_break_no_name():
    """Buyers, pool and repeat have a column where they differ, and only there; the longest names stay whole."""
    held = [Verdict(check=check.name, status=Status.VALID, summary="") for check in CHECKS]
    trial = {"trial": 1, "strategy": "serializable", "buyers": 16, "pool_size": 20, "repeat": 1}

    def shown(*changes):
        run = SimpleNamespace(
            verdicts=[(SimpleNamespace(setting=trial | each), held) for each in changes],
            measures=pd.DataFrame({"progress": ["PROGRESS"] * len(changes)}),
        )
        out = StringIO()
        Console(file=out, width=80, color_system=None).print(console.verdicts(run))
        return out.getvalue()

    alike, differing = shown({}, {"trial": 2}), shown({}, {"trial": 2, "repeat": 2, "buyers": 64})
    assert "buyers" not in alike
    assert "peat" not in alike
    for words in ("buyers", "peat", "64"):
        assert words in differing
    assert "pool" not in differing
    assert "pool" in shown({}, {"pool_size": 5})
    assert alike.count("serializable") == differing.count("serializable") == 2
    assert alike.count("VALID") == 2


def test_the_checks_that_did_not_hold_are_named_beside_the_verdict():
    """Those that held are only counted; one INVALID decides over one UNKNOWN, and both are named."""
    told = {"no_oversell": Status.INVALID, "durable": Status.UNKNOWN, "atomic": Status.VALID}
    found = [Verdict(check=name, status=status, summary="") for name, status in told.items()]
    setting = {"trial": 1, "strategy": "naive", "buyers": 16, "pool_size": 20, "repeat": 1}
    out = StringIO()
    progress = pd.DataFrame({"progress": ["PROGRESS"]})
    run = SimpleNamespace(verdicts=[(SimpleNamespace(setting=setting), found)], measures=progress)
    Console(file=out, width=80, color_system=None).print(console.verdicts(run))
    for words in ("(of 3 checks)", "INVALID", "no_oversell", "durable"):
        assert words in out.getvalue()
    assert "atomic" not in out.getvalue()


def test_a_trial_without_progress_says_so_beside_its_verdict():
    """No check failed, and the trial is not green."""
    held = [Verdict(check="no_oversell", status=Status.VALID, summary="")]
    trial = SimpleNamespace(setting={"trial": 1, "strategy": "mine", "buyers": 16, "pool_size": 20, "repeat": 1})
    run = SimpleNamespace(verdicts=[(trial, held)], measures=pd.DataFrame({"progress": ["NO PROGRESS"]}))
    out = StringIO()
    Console(file=out, width=80, color_system="standard", force_terminal=True).print(console.verdicts(run))
    assert f"{YELLOW}VALID" in out.getvalue()
    assert f"{YELLOW}progress" in out.getvalue()


def run_with(*rows):
    """A run with these verdicts, each of the strategy naive unless it says otherwise."""
    evidence = [
        {"buyer": buyer, "event": 0, "quantity": 1, "outcome": "sold", "version": 8, "available": 40,
         "invoked_ns": 1_000_000, "completed_ns": 2_000_000 + buyer}
        for buyer in (3, 7)
    ]  # fmt: skip
    plain = {
        "check": "strict_serializability", "status": "INVALID", "anomaly": "lost update",
        "summary": "event 0: version 8 was made twice", "evidence": evidence,
    }  # fmt: skip
    told = [{name: row.get(name, value) for name, value in plain.items()} for row in rows]
    settings = [{name: value for name, value in row.items() if name not in plain} for row in rows]
    found = [proven(*each.pop("evidence"), **each) for each in told]
    verdicts = [of_trial(each, **setting) for each, setting in zip(found, settings, strict=True)]
    return SimpleNamespace(results=SimpleNamespace(verdicts=verdicts))


def shown_faults(*rows):
    """What a terminal of 80 columns shows of them."""
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(*console.violations(run_with(*rows)), sep="\n")
    return out.getvalue()


def test_a_fault_is_told_by_its_name_and_as_a_story():
    """The anomaly, trial, strategy and check; then who did what, why it is wrong and what that is, in 80 columns."""
    shown = shown_faults({})
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    text = " ".join(shown.split())
    told = [
        "Lost update · trial 1, naive, strict_serializability: event 0: version 8 was made twice",
        "1. Buyer 3 bought 1 ticket of event 0 (called 1.00 ms, answered 2.00 ms after the start)",
        "2. Buyer 7 bought 1 ticket of event 0",
        "Why it is wrong: Version 8 of event 0 can be made only once",
        "Lost update: Two sales were computed from the same stock",
        "In the field: lost update (P4).",
    ]
    places = [text.index(each) for each in told]
    assert places == sorted(places)


def test_of_a_kind_the_first_is_told_at_length_and_an_anomaly_is_explained_once():
    """Every fault has its line; another strategy has its own story, and what is known is not said again."""
    shown = " ".join(shown_faults({}, {"trial": 2}, {"trial": 3, "strategy": "mine"}).split())
    assert [f"trial {number}, " in shown for number in (1, 2, 3)] == [True] * 3
    assert shown.count("Why it is wrong") == 2
    assert shown.count("In the field") == 1


def test_what_was_not_decided_is_a_line_and_what_held_is_none():
    """There is nothing to tell of it."""
    undecided = {"status": "UNKNOWN", "anomaly": "", "summary": "no purchase was answered", "evidence": []}
    shown = shown_faults(undecided, {"status": "VALID"})
    assert " ".join(shown.split()) == "trial 1, naive, strict_serializability: no purchase was answered"
