"""What a bench makes of its trials: medians, paired ratios, notes, proofs. Literal trials, no server."""

import json

import pandas as pd
import pytest

from ticketlab import bench
from ticketlab.bench import _pgbench, _subjects, runner
from ticketlab.bench import results as figures
from ticketlab.bench._subjects import Claim, Subject, SubjectKind
from ticketlab.bench.results import BenchResults, BenchTrial, HotEvent, Spread, safe_strategies
from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.servers import Server
from ticketlab.tickets import strategies

SETTINGS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_connections": "286"}


def trial(subject, per_s, *, buyers=1, repeat=1, **rest):
    return BenchTrial(
        **{"subject": subject, "buyers": buyers, "repeat": repeat, "per_s": per_s, "purchases": 100} | rest
    )


def frame(*trials):
    return pd.DataFrame([{name: getattr(each, name) for name in BenchTrial.__slots__} for each in trials])


def results(*trials, names=("atomic", "bare_atomic", "pgbench_for_update", "limit"), settings=SETTINGS, **asked):
    kinds = {"bare": SubjectKind.BARE, "pgbench": SubjectKind.PEER, "limit": SubjectKind.LIMIT}
    repeats = max(each.repeat for each in trials)
    return BenchResults(
        plan=HotEvent(
            **{"strategies": ("atomic",), "buyers": tuple({each.buyers for each in trials}), "repeats": repeats} | asked
        ),
        server=Server(kind="embedded", url="", version="18.6", settings=settings, log=str, why="asked for"),
        subjects=[
            Subject(name=name, kind=kinds.get(name.split("_")[0], SubjectKind.STRATEGY), sell=lambda _context: None)
            for name in names
        ],
        trials=trials,
    )


# Figures


def test_a_cell_has_the_median_and_the_range_of_its_repeats_in_their_order():
    """The trials of one contender at one number of buyers, whatever order they came in."""
    trials = frame(trial("a", 30.0, repeat=2), trial("a", 10.0, repeat=1), trial("a", 5.0, buyers=8))
    assert figures.speeds(trials) == {
        ("a", 1): Spread(values=(10.0, 30.0), median=20.0, low=10.0, high=30.0),
        ("a", 8): Spread(values=(5.0,), median=5.0, low=5.0, high=5.0),
    }


def test_a_cell_with_an_unproven_claim_has_no_number():
    """Not even from its other repeats; other numbers of buyers keep theirs."""
    trials = frame(trial("a", 10.0), trial("a", 99.0, repeat=2, error="it sold nothing"), trial("a", 7.0, buyers=8))
    assert list(figures.speeds(trials)) == [("a", 8)]


def test_ratios_are_made_within_a_repeat():
    """A machine twice as slow in the second repeat slows both sides: the ratio stays, and so does its range."""
    trials = frame(
        *(trial("a", 10.0), trial("base", 20.0)),
        *(trial("a", 5.0, repeat=2), trial("base", 10.0, repeat=2)),
        trial("a", 77.0, repeat=3),
    )
    assert figures.ratios(trials, "base") == {("a", 1): Spread(values=(0.5, 0.5), median=0.5, low=0.5, high=0.5)}


def test_ratios_are_made_at_the_same_number_of_buyers():
    """One buyer of pgbench's says nothing of sixteen of ours."""
    trials = frame(trial("a", 10.0, buyers=16), trial("base", 20.0, buyers=1))
    assert figures.ratios(trials, "base") == {}


def test_nothing_is_compared_with_an_unproven_claim():
    """A base that may have sold nothing is no base."""
    trials = frame(trial("a", 10.0), trial("base", 20.0, error="it sold nothing"))
    assert figures.ratios(trials, "base") == {}


@pytest.mark.parametrize(("repeats", "held"), [(1, 0.0), (3, 0.75), (5, 0.9375)])
def test_the_range_of_more_repeats_is_surer(repeats, held):
    """Two of eight orders of three repeats lie on one side of the median."""
    assert figures.range_holds(repeats) == held


def test_less_than_half_of_its_best_at_64_buyers_is_a_collapse():
    """The note has the figures."""
    cells = figures.speeds(frame(trial("a", 1000.0, buyers=8), trial("a", 499.0, buyers=64)))
    assert figures.collapses(cells, {"a": "much work for nothing"}) == [
        "a collapses: 499 sales/s at 64 buyers, 0.50 of its best (1,000 at 8). Its cost: much work for nothing."
    ]


@pytest.mark.parametrize("at_64", [(), (500.0,)])
def test_half_of_its_best_or_no_trial_at_64_buyers_is_none(at_64):
    """What was not measured is not claimed."""
    trials = frame(trial("a", 1000.0, buyers=8), *(trial("a", each, buyers=64) for each in at_64))
    assert figures.collapses(figures.speeds(trials), {"a": "nothing"}) == []


def test_conflicts_above_one_in_a_hundred_are_told_with_their_share():
    """Over all repeats together, by number of buyers; one in a hundred is not yet worth a word."""
    trials = frame(
        trial("a", 1.0, buyers=8, conflicts=1),
        trial("a", 1.0, buyers=64, conflicts=20),
        trial("a", 1.0, buyers=64, repeat=2, conflicts=5),
    )
    assert figures.failures(trials) == ["a: purchases that gave up after conflicts, by buyers: 12.50% at 64."]


def test_any_purchase_without_an_answer_is_told():
    """One lost connection in a thousand is a finding."""
    (note,) = figures.failures(frame(trial("a", 1.0, purchases=1000, unanswered=1)))
    assert note == "a: purchases that failed or got no answer, by buyers: 0.10% at 1."


# Results


def test_the_json_has_speeds_and_every_ratio():
    """Literal trials of two repeats: what is printed can be worked out by hand."""
    made = results(
        *(
            trial("atomic", 50.0),
            trial("bare_atomic", 100.0),
            trial("pgbench_for_update", 40.0),
            trial("limit", 1000.0),
        ),
        *(trial("atomic", 70.0, repeat=2), trial("bare_atomic", 100.0, repeat=2), trial("limit", 1000.0, repeat=2)),
        trial("pgbench_for_update", 35.0, repeat=2),
    )
    printed = json.loads(json.dumps(made.as_json()))
    assert printed["contenders"]["atomic"] == {
        "kind": "strategy",
        "buyers": {
            "1": {
                "purchases_per_s": 60.0,
                "range": [50.0, 70.0],
                "repeats": [50.0, 70.0],
                "to_pgbench_for_update": {"median": 1.625, "range": [1.25, 2.0]},
                "to_limit": {"median": pytest.approx(0.06), "range": [0.05, 0.07]},
                "to_bare": {"median": 0.6, "range": [0.5, 0.7]},
            }
        },
    }
    assert {name: each["kind"] for name, each in printed["contenders"].items()} == {
        "atomic": "strategy",
        "bare_atomic": "bare",
        "pgbench_for_update": "peer",
        "limit": "limit",
    }
    assert "to_limit" not in printed["contenders"]["limit"]["buyers"]["1"]
    assert (printed["errors"], printed["conditions"]["ended_early"]) == ([], False)
    assert printed["server"]["settings"]["synchronous_commit"] == "on"


def test_an_unproven_claim_is_an_error_and_no_number():
    """The JSON names the trial, and the speed is null."""
    made = results(trial("atomic", 50.0, error="it sold nothing"), names=("atomic",))
    printed = made.as_json()
    assert printed["errors"] == ["atomic, 1 buyers, repeat 1: it sold nothing."]
    assert printed["contenders"]["atomic"]["buyers"]["1"] == {"purchases_per_s": None, "range": None, "repeats": []}


def test_a_bench_without_pgbench_says_so():
    """A missing peer is a note, not an empty column."""
    (note,) = results(trial("atomic", 50.0), names=("atomic",)).notes
    assert note.startswith("pgbench is left out")


def test_a_bench_on_a_server_without_durability_says_so():
    """A speed that a crash would unmake is not compared silently."""
    made = results(trial("atomic", 50.0), names=("atomic",), settings=SETTINGS | {"fsync": "off"})
    assert any("Durability was off (fsync)" in note for note in made.notes)
    assert "fsync off" in made.conditions


def test_a_bench_that_was_ended_early_says_after_how_many_trials():
    """Sixteen buyers were asked for, and not one of their trials was made."""
    made = results(trial("atomic", 50.0), names=("atomic", "pgbench_for_update"), buyers=(1, 16))
    assert made.ended_early
    assert made.notes[0] == "The bench was ended early, after 1 trials."


# Order


def test_every_contender_has_its_turn_at_every_number_of_buyers_in_each_repeat():
    """None is missing and none comes twice, and repeats follow one another."""
    turns = list(HotEvent(buyers=(1, 8, 16), repeats=2).schedule(["a", "b", "c"]))
    expected = {(name, buyers, repeat) for name in "abc" for buyers in (1, 8, 16) for repeat in (1, 2)}
    assert len(turns) == len(expected)
    assert set(turns) == expected
    assert [turn.repeat for turn in turns] == [1] * 9 + [2] * 9


def test_contenders_that_are_compared_follow_one_another():
    """Within a repeat a number of buyers comes once, with all contenders."""
    turns = list(HotEvent(buyers=(1, 8, 16), repeats=1).schedule(["a", "b", "c"]))
    for start in (0, 3, 6):
        assert len({turn.buyers for turn in turns[start : start + 3]}) == 1


def test_the_order_follows_from_the_seed():
    """The same seed, the same order; and repeats are shuffled anew."""
    one, same, other = (list(HotEvent(seed=seed, repeats=2).schedule("abcdef")) for seed in (1, 1, 2))
    assert one == same != other
    half = len(one) // 2
    assert [turn[:2] for turn in one[:half]] != [turn[:2] for turn in one[half:]]


def test_without_a_choice_every_safe_strategy_takes_part():
    """And no control."""
    assert set(safe_strategies()) == {each.name for each in strategies.registry().values() if each.safe}
    assert "naive" not in HotEvent().strategies


def test_a_bench_that_can_not_be_made_is_refused():
    """Before anything is started."""
    with pytest.raises(InvalidInputError, match="each number of buyers once"):
        bench.HotEvent(buyers=(8, 8))


def test_bare_loops_and_pgbench_come_with_what_they_are_compared_with(tmp_path):
    """A loop for each chosen strategy whose SQL it has; both scripts where there is a pgbench."""
    chosen = [strategies.get("atomic"), strategies.get("optimistic")]
    assert [each.name for each in _subjects.all_subjects(chosen, tmp_path)] == [
        *("atomic", "optimistic", "bare_atomic"),
        *("pgbench_for_update", "pgbench_one_statement", "limit"),
    ]
    assert [each.name for each in _subjects.all_subjects(chosen, None)] == [
        "atomic",
        "optimistic",
        "bare_atomic",
        "limit",
    ]


# Proof


def test_a_claim_that_the_ledger_bears_out_has_no_fault(ledger):
    """Two tickets claimed, two there, and the stock is what is left."""
    claim = Claim(sold=2, per_s=1.0, purchases=2)
    assert runner.verify_claim(claim, ledger(total=5, available=3, tickets=[1, 2])) == ""


@pytest.mark.parametrize(
    ("sold", "available", "tickets", "said"),
    [
        (3, 3, [1, 2], "claims 3 tickets, the ledger has 2"),
        (1, 3, [1, 2], "claims 1 tickets, the ledger has 2"),
        (2, 4, [1, 2], "so 3 are left, but the stock says 4"),
        (0, 5, [], "sold nothing"),
    ],
)
def test_a_claim_that_the_ledger_does_not_bear_out_has_one(ledger, sold, available, tickets, said):
    """Too many, too few, a stock that does not agree, nothing at all."""
    claim = Claim(sold=sold, per_s=1.0, purchases=sold)
    assert said in runner.verify_claim(claim, ledger(total=5, available=available, tickets=tickets))


def test_a_claim_with_a_history_must_pass_every_check(history, ledger):
    """The number of tickets is right, but one belongs to a purchase that nobody was told of."""
    claim = Claim(sold=2, per_s=1.0, purchases=2, history=history({}, {}))
    assert runner.verify_claim(claim, ledger(total=5, available=3, tickets=[1, 2])) == ""
    assert "sales_in_ledger" in runner.verify_claim(claim, ledger(total=5, available=3, tickets=[1, 9]))


# pgbench


def log(*ends):
    """A log of pgbench's: the client of each transaction and the microsecond at which it ended."""
    return "".join(f"{client} 1 500 0 {end // 10**6} {end % 10**6}\n" for client, end in ends)


def test_pgbench_is_counted_from_the_last_clients_first_transaction():
    """Client 1 came late, at 0.4 s: of the second after that five transactions are counted, and all seven claimed."""
    ends = [(0, 100), (1, 400_000), (0, 500_000), (0, 600_000), (1, 700_000), (0, 800_000), (1, 1_400_000)]
    read = _pgbench.read(log(*ends), clients=2, warm_up_s=0.0, seconds=1.0)
    assert read == _pgbench.LogSummary(transactions=7, per_s=5.0)


def test_pgbench_is_counted_after_the_warm_up_and_for_no_longer_than_asked():
    """Ten a second throughout: of three seconds the second one is counted, in whichever order threads have logged."""
    ends = [(number % 2, 5_000_000 + number * 100_000) for number in range(31)]
    read = _pgbench.read(log(*reversed(ends)), clients=2, warm_up_s=1.0, seconds=1.0)
    assert read == _pgbench.LogSummary(transactions=31, per_s=10.0)


@pytest.mark.parametrize(
    "ends", [(), ((0, 1), (0, 2_000_000)), ((0, 1), (1, 1_900_000), (0, 2_000_000))], ids=["none", "one", "late"]
)
def test_clients_that_were_not_at_work_for_half_of_the_time_are_an_error(ends):
    """No transaction at all, a client without any, a client that came too late: no number is better than a guess."""
    with pytest.raises(TicketlabError, match="2 clients made a transaction"):
        _pgbench.read(log(*ends), clients=2, warm_up_s=0.0, seconds=1.0)
