"""Chasing a mutant and judging what came of it: the counting, the exit decisions, and what is saved. No database."""

from dataclasses import replace
from random import Random

import pytest

from ticketlab import mutants, power
from ticketlab.checks.mutation_baseline import MutantBaseline, MutationBaseline, load_baseline
from ticketlab.checks.verdict import Anomaly, Status, Verdict
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.history.arrays import LoadPart
from ticketlab.load import FaultKind
from ticketlab.mutants import Trigger
from ticketlab.power import tables
from ticketlab.power._detection import TrialOutcome, judged, random_trials, run_until_detected
from ticketlab.power.plan import BUYERS, MutationPlan, ScheduledRun, escalated_trial, select_mutants
from ticketlab.power.results import Detection, DetectionRun, MutationResults, SafeTrial, describe, needs_of
from ticketlab.tickets import strategies

UNLOCKED = mutants.registry()["pessimistic_unlocked"]
OTHER = mutants.registry()["nowait_uncommitted"]
ENVIRONMENT = {
    "machine": {"cpus": 2},
    "server": {"kind": "embedded", "version": "18.6", "why": "asked for by name", "settings": {"fsync": "on"}},
}


def verdict(check, status):
    anomaly = Anomaly.OVERSELL if status is Status.INVALID else None
    return Verdict(check=check, status=status, summary=f"{check} says so", anomaly=anomaly)


def seen(purchases=100, *, seconds=0.5, invalid=(), unknown=()):
    verdicts = [verdict(each, Status.INVALID) for each in invalid] + [verdict(each, Status.UNKNOWN) for each in unknown]
    return TrialOutcome(
        purchases=purchases, seconds=seconds, verdicts=(*verdicts, verdict("no_deadlock", Status.VALID))
    )


def chased(*trials, most=20_000):
    """The chase of a mutant whose trials come to this, and the trials that were asked for."""
    asked, told = [], iter(trials)

    def observe(pressed):
        asked.append(pressed)
        return next(told)

    turn = ScheduledRun("pessimistic_unlocked", 1)
    return run_until_detected(turn, UNLOCKED, most=most, seed=1, observe=observe), asked


def chase(repeat, *, mutant=UNLOCKED, needed=100, buyers=2, by=None):
    """A chase that the check which is meant ended after so many purchases; with None none did."""
    check = mutant.expected_check
    detections = (Detection(check=by or check, buyers=buyers, purchases=needed, seconds=0.25),) if needed else ()
    return DetectionRun(
        mutant=mutant.strategy.name,
        repeat=repeat,
        check=check,
        purchases=needed or 20_000,
        seconds=0.25 if needed else 9.0,
        detections=detections,
    )


def safe_trial(number, **said):
    about = {"number": number, "strategy": "atomic", "load": "2 buyers", "purchases": 40, "seconds": 0.1}
    return SafeTrial(**about | {"invalid": {}, "unknown": {}} | said)


NEEDS = ((), (LoadPart.BASKETS,), (LoadPart.CRASH,), (LoadPart.QUANTITIES, LoadPart.BASKETS))


def needing(needs):
    """A mutant that is detected within 100 purchases where the load has what it needs."""
    about = {"name": "m", "twin": "t", "mistake": "?", "check": "c"}
    return MutantBaseline(**about, purchases=(100,), buyers=(2,), needs=needs)


def results(*runs, safe=(), repeats=20, trials=0):
    family = [UNLOCKED, OTHER] if any(each.mutant == OTHER.strategy.name for each in runs) else [UNLOCKED]
    plan = MutationPlan(mutants=tuple(each.strategy.name for each in family), repeats=repeats, trials=trials)
    return MutationResults(
        plan=plan,
        environment=ENVIRONMENT,
        mutants=tuple(map(describe, family)),
        runs=tuple(runs),
        safe=tuple(safe),
    )


class TestCounting:
    def test_purchases_and_seconds_of_all_trials_until_the_catch_count(self):
        """Two trials that show nothing, and a third one that does: the catch is by all three."""
        made, _ = chased(seen(100), seen(150), seen(300, seconds=1.0, invalid=["no_oversell"]))
        assert made.detection == Detection(check="no_oversell", buyers=8, purchases=550, seconds=2.0)
        assert (made.purchases, made.seconds) == (550, 2.0)

    def test_a_catch_by_another_check_does_not_end_the_chase(self):
        """It is noted where it first came, with its contention, and not again."""
        made, asked = chased(
            seen(100, invalid=["strict_serializability"]),
            seen(100, invalid=["strict_serializability"]),
            seen(100, invalid=["strict_serializability", "no_oversell"]),
        )
        assert len(asked) == 3
        assert made.detections == (
            Detection(check="strict_serializability", buyers=2, purchases=100, seconds=0.5),
            Detection(check="no_oversell", buyers=8, purchases=300, seconds=1.5),
        )

    def test_unknown_is_no_catch(self):
        """A check that decided nothing has caught nothing."""
        made, asked = chased(seen(60, unknown=["no_oversell"]), seen(40, unknown=["no_oversell"]), most=100)
        assert (made.detection, made.purchases, len(asked)) == (None, 100, 2)

    def test_a_chase_ends_when_its_purchases_are_used_up(self):
        """The last trial is cut to what is left."""
        made, asked = chased(seen(100), seen(200), seen(50), most=350)
        assert (made.detection, made.detections, made.purchases) == (None, (), 350)
        assert [each.plan.purchases for each in asked] == [100, 200, 50]


class TestContention:
    def test_buyers_rise_and_then_begin_again(self):
        """From two on, each time twice as many."""
        steps = [escalated_trial(Trigger.LOAD, number, most=20_000, chance=Random(1)) for number in range(6)]
        assert [each.plan.buyers for each in steps] == [*BUYERS, BUYERS[0]]

    def test_the_first_trial_is_short_and_none_is_long(self):
        """What is easily caught is told to be; what is not is pressed by thousands."""
        purchases = [
            escalated_trial(Trigger.LOAD, number, most=20_000, chance=Random(1)).plan.purchases for number in range(8)
        ]
        assert purchases == [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]

    def test_stock_runs_out_but_where_something_is_to_be_lost(self):
        """The last seats are where many mistakes show; a refusal writes nothing that a crash could take."""
        stock = {each: escalated_trial(each, 0, most=20_000, chance=Random(1)).plan for each in Trigger}
        assert stock[Trigger.LOAD].stock < 100 * 2
        assert stock[Trigger.BASKETS].stock * stock[Trigger.BASKETS].events < 100 * 2 * 2.5
        assert {stock[each].stock for each in (Trigger.CRASH, Trigger.DISCONNECT, Trigger.LOSE_REPLY)} == {1_000_000}

    @pytest.mark.parametrize("number", range(8))
    def test_faults_come_while_purchases_are_still_to_come(self, number):
        """One crash; cuts again and again; neither elsewhere."""
        faults = {each: escalated_trial(each, number, most=20_000, chance=Random(1)).faults for each in Trigger}
        purchases = escalated_trial(Trigger.LOAD, number, most=20_000, chance=Random(1)).plan.purchases
        assert [each.kind for each in faults[Trigger.CRASH]] == [FaultKind.CRASH]
        assert len(faults[Trigger.DISCONNECT]) == len(faults[Trigger.LOSE_REPLY]) >= 3
        assert {each.kind for each in faults[Trigger.DISCONNECT]} == {FaultKind.DISCONNECT}
        assert {each.kind for each in faults[Trigger.LOSE_REPLY]} == {FaultKind.LOSE_REPLY}
        assert all(0 < each.after < purchases for made in faults.values() for each in made)
        assert faults[Trigger.LOAD] == faults[Trigger.BASKETS] == faults[Trigger.DOUBLE_CALLS] == ()

    def test_half_of_the_ids_are_called_twice_where_only_that_shows_a_mistake(self):
        """Of several events, for some calls are for another one; elsewhere no id is called twice."""
        plans = {each: escalated_trial(each, 0, most=20_000, chance=Random(1)).plan for each in Trigger}
        assert (plans[Trigger.DOUBLE_CALLS].double_calls, plans[Trigger.DOUBLE_CALLS].events) == (0.5, 3)
        assert {each.double_calls for name, each in plans.items() if name is not Trigger.DOUBLE_CALLS} == {0.0}

    def test_even_a_single_purchase_can_be_tried(self):
        """Where so few are left."""
        for setting in Trigger:
            assert escalated_trial(setting, 4, most=1, chance=Random(1)).plan.buyers == 1

    def test_each_repeat_wants_something_else_and_the_same_each_time(self):
        """By its seed, its mutant and its number."""

        def seeds(repeat, seed=1):
            asked = []
            run_until_detected(
                ScheduledRun("pessimistic_unlocked", repeat),
                UNLOCKED,
                most=300,
                seed=seed,
                observe=lambda pressed: asked.append(pressed.plan.seed) or seen(pressed.plan.purchases),
            )
            return asked

        assert seeds(1) == seeds(1)
        assert len({*seeds(1), *seeds(2), *seeds(1, seed=2)}) == 6


class TestExam:
    def test_every_mutant_has_its_turn_in_every_repeat(self):
        """In an order of its own in each, the same for the same seed."""
        exam = MutationPlan(repeats=3)
        turns = list(exam.schedule())
        assert sorted(turns) == sorted(
            ScheduledRun(name, repeat) for name in mutants.registry() for repeat in (1, 2, 3)
        )
        names = [[name for name, repeat in turns if repeat == number] for number in (1, 2)]
        assert names[0] != names[1]
        assert turns == list(exam.schedule())

    def test_a_mutant_that_there_is_not_is_told_with_those_that_there_are(self):
        """A typing error is answered by the list."""
        with pytest.raises(InvalidInputError, match=r"no mutant 'pesimistic'.*pessimistic_unlocked"):
            MutationPlan(mutants=("pesimistic",))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"repeats": 0}, "from one to"),
            ({"purchases": 0}, "at least one purchase"),
            ({"trials": -1}, "trials of safe strategies"),
            ({"seed": -1}, "a seed that is not negative"),
            ({"mutants": ("atomic_one_off", "atomic_one_off")}, "each mutant once"),
            ({"mutants": (), "trials": 0}, "a mutant, or a trial"),
        ],
    )
    def test_what_can_not_be_is_refused(self, changes, said):
        """Before anything is started."""
        with pytest.raises(InvalidInputError, match=said):
            MutationPlan(**changes)

    def test_mutants_can_be_chosen_by_the_check_that_is_meant_for_them(self):
        """All of a check, or of those that are named the ones that are meant for it."""
        assert set(select_mutants((), ("no_deadlock",))) == {
            name for name, each in mutants.registry().items() if each.expected_check == "no_deadlock"
        }
        named = ("pessimistic_shared", "pessimistic_unlocked")
        assert select_mutants(named, ("no_deadlock",)) == ("pessimistic_shared",)
        assert select_mutants((), ()) == tuple(mutants.registry())

    def test_a_check_that_no_mutant_is_meant_for_is_told(self):
        """With those that have one; and where nobody is left, that too."""
        with pytest.raises(InvalidInputError, match=r"'oversell'.*no_oversell"):
            select_mutants((), ("oversell",))
        with pytest.raises(InvalidInputError, match="leave one of the two out"):
            select_mutants(("pessimistic_unlocked",), ("no_deadlock",))


class TestSafeTrials:
    def test_plans_differ_and_are_the_same_for_the_same_seed(self):
        """Two hundred of them, all safe strategies among them, every kind of fault, baskets and hot events."""
        trials = list(random_trials(strategies.registry(), trials=200, seed=1, may_crash=True))
        assert trials == list(random_trials(strategies.registry(), trials=200, seed=1, may_crash=True))
        assert trials != list(random_trials(strategies.registry(), trials=200, seed=2, may_crash=True))
        safe = {each.name for each in strategies.registry().values() if each.safe}
        functions = {"locks_the_row", "takes_if_enough", "by_the_orm"}
        assert {each.strategy.name for each in trials} == safe | functions
        of_functions = [each for each in trials if each.strategy.name in functions]
        assert len(of_functions) == 100
        assert all(each.trial.plan.refunds for each in of_functions)
        plans = [each.trial.plan for each in trials]
        assert len({(each.buyers, each.events, each.stock, each.quantity, each.basket) for each in plans}) > 150
        assert {fault.kind for each in trials for fault in each.trial.faults} == set(FaultKind)
        assert any(each.sells_baskets for each in plans)
        assert any(each.hot for each in plans)

    def test_only_strategies_that_sell_baskets_are_asked_for_them(self):
        """Of ten thousand plans none can not be made."""
        for each in random_trials(strategies.registry(), trials=10_000, seed=3, may_crash=False):
            assert each.strategy.basket is not None or not each.trial.plan.sells_baskets

    def test_a_server_that_can_not_be_crashed_is_not(self):
        """The trial is made without."""
        trials = random_trials(strategies.registry(), trials=200, seed=1, may_crash=False)
        assert FaultKind.CRASH not in {fault.kind for each in trials for fault in each.trial.faults}

    def test_what_was_said_is_kept_with_its_load(self):
        """An alarm can be looked into: the seed, the strategy, the load, and the check's own words."""
        made = next(random_trials(strategies.registry(), trials=1, seed=1, may_crash=False))
        kept = judged(made, seen(40, invalid=["durable"], unknown=["atomic"]))
        assert kept.invalid == {"durable": "durable says so"}
        assert kept.unknown == {"atomic": "atomic says so"}
        assert f"seed {made.trial.plan.seed}" in kept.load
        assert f"{made.trial.plan.buyers} buyers" in kept.load


class TestResults:
    def test_nineteen_of_twenty_is_enough_and_eighteen_is_not(self):
        """At least 95 % of the repeats."""
        missed_once = results(*map(chase, range(1, 20)), chase(20, needed=None))
        missed_twice = results(*map(chase, range(1, 19)), chase(19, needed=None), chase(20, needed=None))
        assert (missed_once.undetected, missed_once.wrong) == ([], False)
        assert (missed_twice.undetected, missed_twice.wrong) == (["pessimistic_unlocked"], True)

    def test_five_of_five_are_needed_where_there_are_five(self):
        """One that is missed is a fifth of them."""
        assert results(*map(chase, range(1, 5)), chase(5, needed=None), repeats=5).wrong
        assert not results(*map(chase, range(1, 6)), repeats=5).wrong

    def test_a_catch_by_another_check_alone_is_a_miss(self):
        """It is told, but the check that is meant has failed."""
        made = results(*(chase(repeat, by="strict_serializability") for repeat in range(1, 21)))
        (found,) = made.found
        assert (found.missed, dict(found.detections_by_check), made.wrong) == (20, {"strict_serializability": 20}, True)
        assert (found.median_purchases, found.most_purchases, found.median_seconds) == (None, None, None)

    def test_a_mutant_is_not_weak_for_repeats_that_were_not_made(self):
        """Ctrl-C after two of twenty, both caught: nothing is wrong yet."""
        made = results(chase(1), chase(2))
        assert (made.undetected, made.ended_early) == ([], True)

    def test_a_mutant_that_can_not_make_it_any_more_is_weak_at_once(self):
        """Two misses of twenty are two misses, whatever follows."""
        assert results(chase(1, needed=None), chase(2, needed=None)).undetected == ["pessimistic_unlocked"]

    def test_numbers_are_of_the_repeats_in_which_it_was_caught(self):
        """Median and most; the interval is of all."""
        made = results(chase(1, needed=100), chase(2, needed=300), chase(3, needed=900), chase(4, needed=None))
        (found,) = made.found
        assert (found.median_purchases, found.most_purchases, found.missed) == (300, 900, 1)
        assert found.interval == pytest.approx((0.194, 0.994), abs=5e-4)

    def test_a_false_alarm_is_wrong_and_an_undecided_check_is_not(self):
        """Both are counted."""
        made = results(*map(chase, range(1, 21)), safe=[safe_trial(1, unknown={"atomic": "?"})], trials=1)
        assert (made.wrong, made.undecided) == (False, 1)
        made = replace(made, safe=(safe_trial(1, invalid={"atomic": "half of it"}),))
        assert (made.wrong, len(made.false_alarms)) == (True, 1)

    def test_missing_trials_of_safe_strategies_are_an_early_end(self):
        """As chases are."""
        made = results(*map(chase, range(1, 21)), safe=[safe_trial(1)], trials=2)
        assert made.ended_early
        assert "ended early" in made.sentences[0]

    def test_the_sentences_have_the_counts_and_the_bound(self):
        """None in 200 is at most 1.5 % at 95 %."""
        made = results(*map(chase, range(1, 21)), safe=[safe_trial(number) for number in range(1, 201)], trials=200)
        assert "1 of 1 mutants were detected" in made.sentences[0]
        assert "0 false alarms in 200 trials of safe strategies: at most 1.5%" in made.sentences[1]

    def test_json_has_what_its_module_says(self):
        """Of each mutant the purchases of every repeat, null where it was missed."""
        made = results(chase(1), chase(2, needed=None), safe=[safe_trial(1, invalid={"atomic": "half"})], trials=1)
        told = made.as_json()
        mutant = told["mutants"]["pessimistic_unlocked"]
        assert (mutant["caught"], mutant["repeats"], mutant["purchases"], mutant["buyers"]) == (
            *(1, 2),
            [100, None],
            [2, None],
        )
        assert told["safe"]["false_alarms"][0]["invalid"] == {"atomic": "half"}
        assert told["safe"]["at_most"] == 1.0

    def test_the_frame_has_a_row_a_catch_and_one_for_a_chase_without(self):
        """Nothing is lost of a chase that caught nothing."""
        frame = results(chase(1), chase(2, needed=None)).frame
        assert frame[["repeat", "check", "purchases"]].to_numpy().tolist() == [[1, "no_oversell", 100], [2, "", 20_000]]


class TestSaved:
    def test_results_can_be_read_again(self, tmp_path):
        """All of them, by value."""
        made = results(
            chase(1), chase(2, mutant=OTHER, needed=None), safe=[safe_trial(1, unknown={"atomic": "?"})], trials=1
        )
        folder = tables.write(made, tmp_path / "runs")
        assert power.read(folder) == made
        assert {each.name for each in folder.iterdir()} == {"power.json", "catches.parquet", "power.md"}

    def test_two_of_one_second_have_folders_of_their_own(self, tmp_path):
        """The second one gets a number."""
        made = results(chase(1))
        assert tables.write(made, tmp_path) != tables.write(made, tmp_path)

    def test_a_folder_without_results_is_told(self, tmp_path):
        """Also one whose file holds something else."""
        with pytest.raises(NotFoundError, match=r"no power\.json"):
            power.read(tmp_path)
        (tmp_path / "power.json").write_text("[]")
        with pytest.raises(InvalidInputError, match="cannot be read"):
            power.read(tmp_path)


class TestKnown:
    def test_what_is_kept_can_be_read_again(self, tmp_path):
        """By value, and by people: a line a mutant."""
        kept = results(chase(1), chase(2, needed=None)).known()
        kept.write(tmp_path / "power.json")
        text = (tmp_path / "power.json").read_text()
        assert len([line for line in text.splitlines() if '"name"' in line]) == 1
        assert MutationBaseline.read(tmp_path / "power.json") == kept

    @pytest.mark.parametrize(
        ("purchases", "buyers", "count"), [(99, 32, 0), (100, 1, 0), (100, 2, 1), (499, 8, 1), (500, 4, 2), (500, 8, 2)]
    )
    def test_a_load_catches_what_needed_no_more(self, purchases, buyers, count):
        """Neither more purchases nor more buyers at once."""
        made = results(*map(chase, range(1, 21)), *(chase(n, mutant=OTHER, needed=500, buyers=4) for n in range(1, 21)))
        kept = made.known()
        load = {"purchases": purchases, "buyers": buyers, "tried": ()}
        assert len(kept.caught(**load)) == count
        assert kept.detected_text(**load) == (
            f"In a separate calibration the checks detected {count} of 2 mutants (deliberately broken strategies) "
            f"within {purchases} purchases at up to {buyers} buyers."
        )

    def test_a_mutant_counts_only_where_the_load_has_what_it_needs(self):
        """Of four one needs nothing, two a fault or baskets, and one baskets of several tickets."""
        power = MutationBaseline(conditions="", mutants=tuple(map(needing, NEEDS)), trials=0, false_alarms=0)

        def told(*tried):
            *hidden, _alarms = power.limit_texts(tried)
            return len(power.caught(purchases=100, buyers=2, tried=tried)), hidden

        without = "which this run did not have."
        assert told() == (1, [f"3 mutants need quantities above 1, baskets or crashes, {without}"])
        assert told(LoadPart.BASKETS) == (2, [f"2 mutants need quantities above 1 or crashes, {without}"])
        assert told(LoadPart.CRASH, LoadPart.BASKETS) == (3, [f"1 mutant needs quantities above 1, {without}"])
        assert told(*LoadPart) == (4, [])

    def test_one_miss_of_twenty_is_still_caught_and_two_are_not(self):
        """As in the exam."""
        twenty = MutantBaseline(
            name="m",
            twin="t",
            mistake="?",
            check="c",
            purchases=(None, *[100] * 19),
            buyers=(None, *[2] * 19),
        )
        assert twenty.is_caught(purchases=100, buyers=2)
        twice = replace(twenty, purchases=(None, None, *[100] * 18), buyers=(None, None, *[2] * 18))
        assert not twice.is_caught(purchases=100, buyers=2)

    def test_what_ships_is_of_mutants_that_there_are(self):
        """Where something ships: else reports would speak of others."""
        kept = load_baseline()
        assert kept is None or {each.name for each in kept.mutants} == set(mutants.registry())

    def test_what_ships_knows_what_each_mutant_needs(self):
        """As its record says."""
        kept = load_baseline()
        assert kept is not None
        assert {each.name: each.needs for each in kept.mutants} == {
            name: needs_of(each) for name, each in mutants.registry().items()
        }

    def test_a_plain_run_has_not_what_nineteen_mutants_need(self):
        """Baskets five, crashes two, disconnects five, lost replies two, double calls four, several tickets one."""
        hidden = [needs_of(each) for each in mutants.registry().values() if needs_of(each)]
        assert len(hidden) == 19
        assert hidden.count((LoadPart.QUANTITIES, LoadPart.BASKETS)) == 2

    def test_every_setting_of_a_mutant_is_a_part_of_a_load(self):
        """But the plain load itself."""
        assert {str(each) for each in Trigger} - {"load"} <= {str(each) for each in LoadPart}
