"""The ratio of two samples has the interval that it claims."""

import numpy as np
import pytest
from scipy import stats

from ticketlab.history.statistics import Ratio, geometric_mean, ratio_of

BEFORE, AFTER = [100.0, 110.0, 121.0], [220.0, 200.0, 242.0, 210.0]


def test_the_interval_is_welchs_on_logarithms():
    """The limits are those that scipy.stats computes for the difference of the means of logarithms."""
    ratio = ratio_of(BEFORE, AFTER)
    reference = stats.ttest_ind(np.log(AFTER), np.log(BEFORE), equal_var=False).confidence_interval(0.95)
    assert (ratio.low, ratio.high) == pytest.approx((np.exp(reference.low), np.exp(reference.high)))
    assert ratio.value == pytest.approx(stats.gmean(AFTER) / stats.gmean(BEFORE))


def test_two_samples_of_one_spread_by_hand():
    """Means of logarithms 0 and 1, both of variance 0.01: four degrees of freedom, t = 2.776."""
    first, second = np.exp([-0.1, 0.0, 0.1]), np.exp([0.9, 1.0, 1.1])
    reach = 2.776445 * np.sqrt(2 * 0.01 / 3)
    ratio = ratio_of(first, second)
    assert (ratio.low, ratio.high) == pytest.approx((np.exp(1 - reach), np.exp(1 + reach)))


@pytest.mark.parametrize(("repeats", "spreads"), [((3, 3), (0.1, 0.1)), ((5, 3), (0.05, 0.3)), ((10, 10), (0.5, 0.1))])
def test_the_interval_covers_the_true_ratio_as_often_as_it_says(repeats, spreads):
    """Of 2,000 pairs of log-normal samples whose medians are as 1 to 0.8, about 95 % have 0.8 in their interval."""
    drawn = np.random.default_rng(6)
    covered = 0
    for _ in range(2_000):
        first, second = (
            median * drawn.lognormal(sigma=spread, size=size)
            for median, spread, size in zip((1_000, 800), spreads, repeats, strict=True)
        )
        ratio = ratio_of(first, second)
        covered += ratio.low <= 0.8 <= ratio.high
    assert 0.92 < covered / 2_000 < 0.98


@pytest.mark.parametrize(
    ("first", "second", "clear"),
    [
        ([100, 110, 121], [200, 220, 242], True),
        ([100, 110, 121], [100, 120, 140], False),
        ([100], [200], False),
        ([100, 110, 121], [200], False),
        ([100, 100], [100, 100], False),
        ([100, 100], [101, 101], True),
        ([100], [0], True),
        ([100, 110], [0, 110], False),
    ],
)
def test_a_difference_is_clear_where_the_interval_leaves_out_1(first, second, clear):
    """A single number shows no spread, and is unclear; what fell to nothing is clear."""
    assert ratio_of(first, second).clear is clear


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [([100], [80], 0.8), ([100, 100], [0, 0], 0.0), ([100], [0, 90, 110], 0.9), ([], [1.0], None), ([0], [1.0], None)],
)
def test_without_spread_or_logarithm_there_is_a_ratio_and_no_interval(first, second, value):
    """With a 0 among the numbers the medians are divided; by nothing nothing is."""
    ratio = ratio_of(first, second)
    assert not ratio.has_interval
    assert np.isnan(ratio.value) if value is None else ratio.value == pytest.approx(value)


def test_two_numbers_far_apart_leave_everything_possible():
    """The limits are then 0 and infinity, and no overflow."""
    ratio = ratio_of([1e-9, 1e9], [1e-290, 1e290])
    assert (ratio.low, ratio.high) == (0, np.inf)


@pytest.mark.parametrize(
    ("ratio", "below"),
    [
        (Ratio(value=0.8, low=0.7, high=0.89), True),
        (Ratio(value=0.8, low=0.7, high=0.9), False),
        (Ratio(value=0.89), True),
        (Ratio(value=0.9), False),
        (Ratio(value=float("nan")), False),
    ],
)
def test_a_ratio_is_surely_below_with_its_whole_interval(ratio, below):
    """Where there is none, the ratio itself counts."""
    assert ratio.surely_below(0.9) is below


def test_what_is_typical_is_the_geometric_mean_or_with_a_0_the_median():
    """Of nothing nothing is typical."""
    assert geometric_mean([1.0, 100.0]) == pytest.approx(10)
    assert geometric_mean([0, 4, 8]) == 4
    assert geometric_mean([0.1]) == 0.1
    assert np.isnan(geometric_mean([]))
