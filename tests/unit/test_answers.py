"""Five questions, each answered in sentences that claim no more than the numbers of the run."""

import pytest

from ticketlab.checks.mutation_baseline import MutantBaseline, MutationBaseline
from ticketlab.history.arrays import LoadPart
from ticketlab.report._answers import answers
from ticketlab.report.headline import Concern, ConcernKind


@pytest.fixture
def answer(results):
    """The answer of a run of these trials to the question of a name, as one text."""

    def ask(key, *trials, **fields):
        (found,) = [each for each in answers(results(*trials, **fields)) if each.key == key]
        return " ".join([*found.sentences, *found.details])

    return ask


@pytest.fixture
def repeats(trial):
    """Two trials of a strategy at so many purchases per second each."""

    def make(strategy, *per_s, **fields):
        return [
            trial(strategy, repeat=number, purchases_per_s=float(each), **fields)
            for number, each in enumerate(per_s, start=1)
        ]

    return make


@pytest.fixture
def power():
    """Of two mutants one is detected within 50 purchases, the other needs thousands."""
    soon, late = (
        MutantBaseline(name=name, twin="atomic", mistake="", check="no_oversell", purchases=(count,), buyers=(16,))
        for name, count in (("soon", 50), ("late", 5_000))
    )
    return MutationBaseline(conditions="16 buyers, one event", mutants=(soon, late), trials=200, false_alarms=0)


def test_the_questions_are_asked_in_order(trial, results):
    """Safe, fastest, lost, sure, repeated; the last answer is the exact command."""
    found = answers(results(trial("atomic")))
    assert [each.key for each in found] == ["safe", "fastest", "lost", "sure", "repeat"]
    assert found[-1].command == "ticketlab run --seed 7"


class TestSafe:
    def test_who_went_without_a_violation_is_named_in_full(self, answer, trial):
        """However many there are: who is left out might be the one that is asked about."""
        names = [f"way_{number}" for number in range(9)]
        told = answer("safe", *map(trial, names))
        assert told.endswith(": 9 trials without a violation.")
        assert all(name in told for name in names)

    def test_who_was_proven_wrong_is_said_not_to_be(self, answer, trial, verdict):
        """With the proof, and where it is."""
        wrong = [verdict("atomic", "INVALID", "31 too many", trial=number) for number in (1, 2)]
        told = answer("safe", *[trial("atomic", 131)] * 2, verdicts=wrong)
        assert told == "atomic is not safe: 31 too many (no_oversell, trial 1, and 1 more)."

    def test_one_bad_trial_is_enough(self, answer, trial, verdict):
        """A strategy that held twice and broke once is not safe."""
        trials = trial("atomic"), trial("atomic"), trial("atomic", 131)
        assert "without a violation" not in answer(
            "safe", *trials, verdicts=[verdict("atomic", "INVALID", "31 too many", trial=3)]
        )

    def test_what_was_not_decided_is_not_safe(self, answer, trial):
        """UNKNOWN is no kind of VALID."""
        assert answer("safe", trial("atomic", verdict="UNKNOWN")).startswith(
            "Undecided, and so not shown to be safe: atomic."
        )

    def test_a_control_is_never_safe(self, answer, trial):
        """Not even where nothing was found of it; and without others, no strategy is."""
        told = answer("safe", trial("naive"))
        assert told.startswith("Only controls were run")
        assert "known to be unsafe and run to show that the checks detect it: naive." in told


class TestFastest:
    def test_intervals_that_do_not_meet_name_the_fastest(self, answer, repeats):
        """By how much it leads, and over whom."""
        told = answer("fastest", *repeats("atomic", 90, 110), *repeats("coalesced", 400, 600))
        assert told == "With 16 buyers: coalesced, 500 sales/s (400 to 600); 5 times the next, atomic."

    def test_strategies_that_do_not_differ_clearly_are_named_together(self, answer, repeats):
        """The repeats do not show which is faster, so the report does not say it."""
        told = answer("fastest", *repeats("one", 90, 95), *repeats("two", 94, 97), *repeats("slow", 1, 1.1))
        assert told == "With 16 buyers: two, 95.5 sales/s (94 to 97), but not clearly faster than one."

    def test_from_which_number_of_buyers_on(self, answer, repeats):
        """One leads with few buyers, another from there on."""
        told = answer(
            "fastest",
            *(each for buyers, speed in ((1, 90), (4, 80)) for each in repeats("few", speed, speed, buyers=buyers)),
            *(each for buyers, speed in ((1, 10), (4, 20)) for each in repeats("many", speed, speed, buyers=buyers)),
            *(each for buyers in (16, 64) for each in repeats("few", 8, 8, buyers=buyers)),
            *(each for buyers in (16, 64) for each in repeats("many", 40, 40, buyers=buyers)),
        )
        assert told == (
            "With 1 and 4 buyers: few, 90 with 1 and 80 with 4 buyers (sales/s); 4 times the next, many with 4 buyers. "
            "From 16 buyers on: many, 40 with 16 and 40 with 64 buyers (sales/s); 5 times the next, few with 64 buyers."
        )

    def test_the_same_at_every_number_of_buyers(self, answer, repeats):
        """One sentence, which names them."""
        told = answer("fastest", *repeats("atomic", 90, 91, buyers=1), *repeats("atomic", 80, 81, buyers=4))
        assert told.startswith("At every number of buyers that was tried (1 and 4): atomic, 90.5 with 1 and 80.5")

    def test_speed_that_oversells_is_none(self, answer, trial):
        """Neither a control nor a strategy that was proven wrong is ranked."""
        fast = trial("naive", 131, purchases_per_s=9e3), trial("broken", 131, purchases_per_s=9e3)
        assert "With 16 buyers: atomic, 200 sales/s" in answer("fastest", *fast, trial("atomic"))
        assert answer("fastest", *fast).startswith("None: no strategy that claims to be safe sold anything")

    def test_one_repeat_shows_no_spread(self, answer, trial):
        """Said, and an only strategy is the fastest of nothing."""
        told = answer("fastest", trial("atomic"))
        assert "Each setting was run once: one repeat shows no spread" in told
        assert "There is no other safe strategy without a violation" in told


class TestLost:
    def test_tickets_oversold_are_counted_and_the_worst_trial_named(self, answer, trial):
        """All trials together, and where to look."""
        told = answer("lost", trial("naive", 131), trial("naive", 140), trial("atomic"))
        assert "naive (control) oversold 71 tickets in 2 trials, at worst 40 beyond 100 seats (trial 2)." in told
        assert "No ticket was oversold by a strategy that claims to be safe." in told

    def test_purchases_without_an_answer_are_counted(self, answer, trial):
        """Conflicts, failures, no connection, unknown: of how many."""
        told = answer("lost", trial("nowait", conflicts=7, unknown=1), trial("atomic"))
        assert "nowait: of 124 purchases, 7 given up after conflicts and 1 of unknown outcome." in told

    def test_false_refusals_are_told(self, answer, trial, verdict):
        """Who was sent away while seats were left."""
        told = answer(
            "lost", trial("atomic"), verdicts=[verdict("atomic", "INVALID", "9 false", check="no_false_sold_out")]
        )
        assert "atomic: 9 false (no_false_sold_out, trial 1)." in told

    def test_nothing_lost_is_said(self, answer, trial):
        """A clean run has two sentences."""
        assert answer("lost", trial("atomic")) == (
            "No ticket was oversold. Every purchase was answered: none failed or was given up after conflicts."
        )


class TestSure:
    def test_purchases_trials_and_the_exact_bound_of_each(self, answer, trial):
        """Refused and given up ones were made too, and may go wrong; without a connection nothing was made."""
        few = trial("coalesced", 60, conflicts=3, failed=1, unknown=4, unavailable=9)
        told = answer("sure", trial("atomic", 90), few)
        assert told.startswith(
            "0 violations in 190 purchases, at least 84 by each strategy: at most 3.5 % (1 in 28) of a strategy's "
            "purchases go wrong, at 95 % confidence."
        )
        assert (
            "By strategy, exact (Clopper and Pearson, one-sided): atomic 0 in 106 purchases, at most 2.79 % (1 in 35); "
            "coalesced 0 in 84 purchases, at most 3.5 % (1 in 28)."
        ) in told

    def test_what_the_bound_means_and_what_it_does_not(self, answer, trial):
        """How often such a run would find nothing all the same; under which load; and that purchases compete."""
        told = answer("sure", trial("atomic"))
        assert "The bound is exact (Clopper and Pearson, one-sided)." in told
        assert "If more went wrong, fewer than 5 of 100 such runs would find nothing." in told
        assert "Purchases that compete for an event are not independent" in told

    def test_what_is_not_folded_is_five_lines(self, power, results, trial):
        """Bound, mutants and control; how they are worked out is folded, and no sentence is in both."""
        run = results(trial("naive", 131), *map(trial, ("atomic", "optimistic", "pessimistic")), power=power)
        (found,) = [each for each in answers(run) if each.key == "sure"]
        assert len(found.sentences) <= 5
        assert len(" ".join(found.sentences)) <= 5 * 90
        assert not set(found.sentences) & set(found.details)

    def test_a_strategy_with_a_violation_has_no_bound(self, answer, trial):
        """Nor has one that was not decided, nor a control."""
        told = answer("sure", trial("one", 131), trial("two", verdict="UNKNOWN"), trial("naive"))
        assert "at most" not in told
        assert "0 violations" not in told

    def test_the_measured_power_stands_beside_it_where_it_is_known(self, answer, power, trial):
        """What is detected with as many purchases as the one that held with the fewest; and where it was measured."""
        assert "mutants" not in answer("sure", trial("atomic"))
        told = answer("sure", trial("atomic"), trial("coalesced", 60, sold_out=0, verdict="UNKNOWN"), power=power)
        assert "detected 1 of 2 mutants (deliberately broken strategies) within 116 purchases at up to 16" in told
        assert "In 200 trials of safe strategies the checks raised 0 false alarms." in told
        assert "The calibration: 16 buyers, one event." in told

    @pytest.mark.parametrize("broken", ["naive", "atomic"])
    def test_where_nothing_held_the_power_is_not_told(self, answer, broken, power, trial):
        """It says what would have been found, and something was; of controls alone there is no load to say it of."""
        assert "mutants" not in answer("sure", trial(broken, 131), power=power)

    def test_what_the_load_did_not_have_stands_beside_the_bound(self, answer, trial):
        """Of what was tried nothing is said; where all was tried there is no such sentence."""
        told = answer("sure", trial("atomic"), tried={LoadPart.BASKETS, LoadPart.CRASH})
        assert (
            "Not tried: quantities above 1, several events, refunds, double calls, disconnects, lost requests and lost "
            "replies. ticketlab run --thorough tries what strategies and server can do."
        ) in told
        assert "Not tried" not in answer("sure", trial("atomic"), tried=set(LoadPart))

    def test_little_evidence_is_said(self, answer, trial):
        """And no progress stands with the question who is safe."""
        said = [
            Concern(kind=ConcernKind.LITTLE_EVIDENCE, strategies=("atomic",), text="Little evidence: 1 repeat."),
            Concern(kind=ConcernKind.NO_PROGRESS, strategies=("atomic",), text="atomic made no progress."),
        ]
        assert "Little evidence: 1 repeat." in answer("sure", trial("atomic"), concerns=said)
        assert answer("safe", trial("atomic"), concerns=said).endswith("atomic made no progress.")

    def test_a_control_that_was_caught_shows_that_the_checks_see(self, answer, trial, verdict):
        """In how many of its trials."""
        caught = [verdict("naive", "INVALID", "31 too many")]
        told = answer("sure", trial("naive", 131), trial("naive"), trial("atomic"), verdicts=caught)
        assert "Under the same load the checks detected the control naive in 1 of 2 trials." in told

    def test_no_control_leaves_that_open(self, answer, trial):
        """And the answer says what to add."""
        assert "No control was run" in answer("sure", trial("atomic"))

    def test_what_was_not_decided_is_told(self, answer, trial, verdict):
        """How many verdicts; the notes of the run stand with its limits."""
        told = answer("sure", trial("atomic"), verdicts=[verdict("atomic", "UNKNOWN", "?")], notes=["Ended early."])
        assert "Undecided: 1 verdict of 1." in told
        assert "Ended early." not in told
