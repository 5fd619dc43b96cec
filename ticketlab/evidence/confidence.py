"""How sure counts make us of a rate: the exact intervals of Clopper and Pearson. Pure arithmetic.

C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934), 404-413: a limit is the rate at which a count as extreme as the one seen is just so unlikely. It
is a quantile of a beta distribution, which scipy.special.betaincinv computes
(https://docs.scipy.org/doc/scipy/reference/generated/scipy.special.betaincinv.html). They hold where the trials are
independent and alike: purchases of one load are so only nearly.
"""

from typing import Final

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
    from scipy.special import betaincinv  # takes long to import

    if count == trials:
        return 1.0
    return float(betaincinv(count + 1, trials - count, 1 - chance))


def _check(count: int, trials: int, confidence: float) -> None:
    if trials < 1 or not 0 <= count <= trials:
        raise InvalidInputError(f"A rate needs at least one trial, and a count from 0 to it: not {count} in {trials}.")
    if not 0 < confidence < 1:
        raise InvalidInputError(f"A confidence lies between 0 and 1: {confidence} does not.")
