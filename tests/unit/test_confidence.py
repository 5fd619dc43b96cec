"""How sure counts make us: the rule of three, and intervals that others have computed."""

import math
import subprocess
import sys

import pytest
from scipy.stats import binom, binomtest

from ticketlab.errors import InvalidInputError
from ticketlab.history.statistics import interval, upper_bound

COUNTS = [(0, 1), (1, 1), (0, 20), (19, 20), (20, 20), (7, 200), (3, 20_000), (1, 10_000_000)]


@pytest.mark.parametrize("trials", [1, 10, 300, 20_000, 10_000_000])
def test_none_in_n_is_at_most_the_root_of_a_twentieth(trials):
    """At 95 % none in N leaves a rate of 1 - 0.05^(1/N)."""
    assert upper_bound(0, trials) == pytest.approx(-math.expm1(math.log(0.05) / trials), rel=1e-6)


@pytest.mark.parametrize("trials", [300, 20_000, 10_000_000])
def test_none_in_n_is_about_three_in_n(trials):
    """The rule of three: a little less than 3/N, where N is not small."""
    assert 2.97 / trials < upper_bound(0, trials) < 3 / trials


@pytest.mark.parametrize(("count", "trials"), COUNTS)
def test_an_interval_is_that_of_scipys_own_test(count, trials):
    """scipy.stats.binomtest has the same, found by another way."""
    expected = binomtest(count, trials).proportion_ci(0.95, method="exact")
    assert interval(count, trials) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("count", "trials"), COUNTS)
def test_an_upper_bound_is_that_of_scipys_own_test(count, trials):
    """The same of the one-sided limit."""
    expected = binomtest(count, trials, alternative="less").proportion_ci(0.95, method="exact")
    assert upper_bound(count, trials) == pytest.approx(expected.high, rel=1e-6)


def test_known_values():
    """19 of 20 are from 75.13 % to 99.87 %, and 20 of 20 at least 83.16 %: as in printed tables."""
    assert interval(19, 20) == pytest.approx((0.7513, 0.9987), abs=5e-5)
    assert interval(20, 20) == pytest.approx((0.8316, 1.0), abs=5e-5)
    assert interval(0, 20) == pytest.approx((0.0, 0.1684), abs=5e-5)


def test_at_the_bound_what_was_seen_is_just_so_unlikely():
    """With the rate of the upper bound 7 or fewer of 200 are seen in one of twenty times: that is what it means."""
    assert binom.cdf(7, 200, upper_bound(7, 200)) == pytest.approx(0.05)


def test_more_confidence_is_a_wider_interval():
    """Who wants to be surer must allow for more."""
    assert upper_bound(0, 100, confidence=0.99) > upper_bound(0, 100)
    low, high = interval(50, 100, confidence=0.99)
    assert low < interval(50, 100)[0] < interval(50, 100)[1] < high


@pytest.mark.parametrize(("count", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(count, trials):
    """The message says what was given."""
    with pytest.raises(InvalidInputError, match=f"{count} in {trials}"):
        upper_bound(count, trials)
    with pytest.raises(InvalidInputError, match=f"{count} in {trials}"):
        interval(count, trials)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_an_impossible_confidence_is_refused(confidence):
    """A percentage is not taken for a share."""
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        upper_bound(0, 10, confidence=confidence)


def test_scipy_is_imported_only_when_it_is_used():
    """It takes long, and `ticketlab --help` is not to wait for it."""
    source = "import sys, ticketlab.history.statistics; print('scipy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
