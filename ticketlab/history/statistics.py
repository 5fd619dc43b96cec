"""Exact confidence bounds, and ratios of measurements with their intervals. Knows no history."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final

import numpy as np
import numpy.typing as npt

from ticketlab.errors import InvalidInputError

CONFIDENCE: Final = 0.95


def upper_bound(violations: int, trials: int, *, confidence: float = CONFIDENCE) -> float:
    """The highest rate that goes with so many violations in so many trials: one-sided.

    Where none was seen in N it is 1 - (1 - confidence)^(1/N): at 95 % nearly 3/N, the "rule of three".

    Raises:
        InvalidInputError: the counts or the confidence can not be.
    """
    _check(violations, trials, confidence)
    return _highest(violations, trials, 1 - confidence)


def interval(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The lowest and the highest rate that go with so many successes in so many trials: two-sided.

    Raises:
        InvalidInputError: the counts or the confidence can not be.
    """
    _check(successes, trials, confidence)
    beyond = (1 - confidence) / 2
    # The lowest rate of successes is what the highest rate of failures leaves.
    return 1 - _highest(trials - successes, trials, beyond), _highest(successes, trials, beyond)


def _highest(count: int, trials: int, chance: float) -> float:
    """The rate at which `count` or fewer in `trials` have this chance."""
    if count == 0:
        return -math.expm1(math.log(chance) / trials)
    if count == trials:
        return 1.0
    from scipy.special import betaincinv  # takes long to import, and none is the usual count

    return float(betaincinv(count + 1, trials - count, 1 - chance))


def _check(count: int, trials: int, confidence: float) -> None:
    if trials < 1 or not 0 <= count <= trials:
        raise InvalidInputError(f"A rate needs at least one trial, and a count from 0 to it: not {count} in {trials}.")
    if not 0 < confidence < 1:
        raise InvalidInputError(f"A confidence lies between 0 and 1: {confidence} does not.")


_FEWEST: Final = 2
"""Numbers that a sample needs to show how they vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times the first sample the second is, and between which limits that may lie; NaN where unknown."""

    value: float
    low: float = nan
    high: float = nan

    @property
    def has_interval(self) -> bool:
        """Whether the samples show how sure the ratio is."""
        return not isnan(self.low)

    @property
    def clear(self) -> bool:
        """Whether the samples differ beyond what chance explains: the interval leaves 1 out.

        What fell to nothing differs clearly too, though nothing has no logarithm and so no interval.
        """
        return self.value == 0 or (self.has_interval and not self.low <= 1 <= self.high)

    def surely_below(self, limit: float) -> bool:
        """Whether the whole interval lies below; where there is none, whether the ratio does."""
        return (self.high if self.has_interval else self.value) < limit


def geometric_mean(sample: Sequence[float]) -> float:
    """The geometric mean, in the middle of log-normal numbers; where one of them is 0, their median. NaN of none."""
    values = np.asarray(sample, dtype=float)
    if not len(values):
        return nan
    return float(np.exp(np.log(values).mean()) if len(values) > 1 and values.all() else np.median(values))


def ratio_of(first: Sequence[float], second: Sequence[float], *, confidence: float = CONFIDENCE) -> Ratio:
    """What is typical of the second sample, divided by what is typical of the first; NaN where that is 0, or unknown.

    There is no interval where a sample has a single number, which shows no spread, or a 0, which has no logarithm.
    Numbers that do not vary at all have one of no width.
    """
    base = geometric_mean(first)
    value = geometric_mean(second) / base if base else nan
    if min(len(first), len(second)) < _FEWEST or not (all(first) and all(second)):
        return Ratio(value=value)
    reach = _half_width(np.log(first), np.log(second), confidence)
    with np.errstate(over="ignore"):  # two repeats far apart leave nearly everything possible
        return Ratio(value=value, low=float(value * np.exp(-reach)), high=float(value * np.exp(reach)))


def _half_width(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], confidence: float) -> float:
    """How far from the difference of the means its limits lie, with Welch's and Satterthwaite's degrees of freedom."""
    from scipy.special import stdtrit  # takes long to import

    shares = [sample.var(ddof=1) / len(sample) for sample in (first, second)]
    if not any(shares):
        return 0.0
    weights = sum(share**2 / (len(sample) - 1) for share, sample in zip(shares, (first, second), strict=True))
    freedom = sum(shares) ** 2 / weights if weights else inf
    return float(stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(sum(shares)))
