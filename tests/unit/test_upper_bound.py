"""A VALID verdict states its bound, in purchases, wherever it is told."""

import pandas as pd
import pytest

from ticketlab.checks.mutation_baseline import MutationBaseline
from ticketlab.history.arrays import LoadPart
from ticketlab.report.headline import headline
from ticketlab.report.limits import at_most, bound


@pytest.mark.parametrize(
    ("purchases", "text"),
    [
        (1_016, "at most 0.294 % (1 in 339)"),
        (100_000, "at most 0.003 % (1 in 33,381)"),
        (1, "at most 95 % (1 in 1)"),
        (0, "at most all of them"),
    ],
)
def test_none_in_so_many_is_at_most(purchases, text):
    """Exact, not three by count: 1 - 0.05 ** (1 / 1,016) is 0.002944; one in so many is rounded to the safe side."""
    assert at_most(purchases) == text


def test_the_headline_bounds_what_was_found_valid(trial):
    """All purchases that were sent count, of all trials; those of the control do not."""
    trials = [trial("atomic"), trial("atomic", repeat=2), trial("naive", 131)]
    said = headline(pd.DataFrame(trials))
    assert said.sentences[:2] == (
        "atomic: 2 trials without a violation.",
        "0 violations in 232 purchases: at most 1.28 % (1 in 77) go wrong, at 95 % confidence.",
    )


def test_the_measured_power_stands_beside_the_bound(trial):
    """Only where something was found VALID: power says what the checks detect."""
    power = MutationBaseline(conditions="", mutants=(), trials=200, false_alarms=0)
    held, broken = (headline(pd.DataFrame([trial("atomic", each)]), power).sentences for each in (100, 131))
    assert held[2] == (
        "In a separate calibration the checks detected 0 of 0 mutants (deliberately broken strategies) within 116 "
        "purchases at up to 16 buyers."
    )
    assert not any("the checks detected" in each for each in broken)


def test_what_was_not_tried_stands_beside_the_bound(trial):
    """Where it is known what the run tried; beside what was found wrong nothing is said of it."""
    held = pd.DataFrame([trial("atomic")])
    said = headline(held, tried=set(LoadPart) - {LoadPart.REFUNDS}).sentences
    assert said[2] == "Not tried: refunds. ticketlab run --thorough tries what strategies and server can do."
    assert not any("Not tried" in each for each in headline(held).sentences)
    assert not any("Not tried" in each for each in headline(pd.DataFrame([trial("atomic", 131)]), tried=()).sentences)


def test_of_several_strategies_the_one_with_the_fewest_purchases_is_told(trial):
    """What is known of all together says less of each."""
    measures = pd.DataFrame([trial("atomic"), trial("coalesced", 60, sold_out=0)])
    assert bound(measures, ["atomic", "coalesced"]) == (
        "0 violations in 176 purchases, at least 60 by each strategy: at most 4.87 % (1 in 20) of a strategy's "
        "purchases go wrong, at 95 % confidence."
    )


@pytest.mark.parametrize("verdict", ["INVALID", "UNKNOWN"])
def test_nothing_else_has_a_bound(trial, verdict):
    """Neither what was found wrong nor what was not decided."""
    assert "at most" not in " ".join(headline(pd.DataFrame([trial("atomic", verdict=verdict)])).sentences)
