"""How many times as much: two samples of positive numbers, such as the speeds of two runs' repeats. Pure arithmetic.

Speeds and latencies are positive, skewed to the right, and vary by a share of themselves: their logarithms are nearer
to a normal distribution than they are. The difference of the means of logarithms has the interval of Welch's t test,
which asks for no common variance, and its exponential is an interval of the ratio of the geometric means.

B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34 (1947), 28-35; the quantile of Student's t is scipy.special.stdtrit
(https://docs.scipy.org/doc/scipy/reference/generated/scipy.special.stdtrit.html).

It is assumed that the numbers of a sample are independent and log-normal, and that both samples were drawn under the
same conditions but for what is compared. Repeats of one run are that only nearly, and of what changed between two runs
made at different times an interval of repeats knows nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final

import numpy as np
import numpy.typing as npt

from ticketlab.evidence.confidence import CONFIDENCE

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


def typical(sample: Sequence[float]) -> float:
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
    base = typical(first)
    value = typical(second) / base if base else nan
    if min(len(first), len(second)) < _FEWEST or not (all(first) and all(second)):
        return Ratio(value=value)
    reach = _reach(np.log(first), np.log(second), confidence)
    with np.errstate(over="ignore"):  # two repeats far apart leave nearly everything possible
        return Ratio(value=value, low=float(value * np.exp(-reach)), high=float(value * np.exp(reach)))


def _reach(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], confidence: float) -> float:
    """How far from the difference of the means its limits lie, with Welch's and Satterthwaite's degrees of freedom."""
    from scipy.special import stdtrit  # takes long to import

    shares = [sample.var(ddof=1) / len(sample) for sample in (first, second)]
    if not any(shares):
        return 0.0
    weights = sum(share**2 / (len(sample) - 1) for share, sample in zip(shares, (first, second), strict=True))
    freedom = sum(shares) ** 2 / weights if weights else inf
    return float(stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(sum(shares)))
