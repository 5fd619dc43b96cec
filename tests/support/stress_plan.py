"""How the stress tests share their time, and how they are split among machines.

Pure: knows tests by their names and by what they are known to take, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

KEPT: Final = Path("runs")
"""Where runs stay that are worth a look: the whole comparison, and those of tests that failed."""

BUDGET_S: Final = 34 * 60.0
"""Of the whole suite, or of a shard of it: forty minutes, less what starts, waits and is judged."""

LEAST_S: Final = 1.0
"""What every test may take, however late it is."""
MOST_TIMES: Final = 4
"""Of what it is known to take: who runs a few tests only does not wait for half an hour."""

SECONDS: Final = {
    "test_every_strategy_in_one_run": 150.0,
    "test_a_load_is_judged_rightly": 16.0,
    "test_faults_are_judged_rightly": 10.0,
    "test_baskets_are_judged_rightly": 14.0,
    "test_calls_made_twice_sell_once": 5.0,
    "test_long_stories_agree_with_the_model": 8.0,
    "test_a_mutant_is_caught": 4.0,
    "test_safe_strategies_raise_no_alarm": 20.0,
    "test_checks_agree_with_the_brute_force": 56.0,
    "test_checks_agree_with_the_brute_force_where_no_tickets_are_known": 56.0,
    "test_a_right_function_is_valid_in_every_trial": 30.0,
    "test_a_wrong_function_is_invalid_whatever_else_happens": 12.0,
}
"""What a test takes on two processors, two at a time; its share of the budget goes by this."""

SLOW: Final = {"orm_optimistic": 3.0, "optimistic": 2.0, "serializable": 2.0, "nowait": 1.5, "sharded": 1.5}
"""How many times as long it takes with these strategies."""

PLENTY: Final = 20_000
PURCHASES: Final = {"orm_optimistic": 2_500, "optimistic": 10_000, "serializable": 10_000}
"""Of a load, where the strategy is too slow for `PLENTY`; where the time is over, there are fewer."""


class Known(NamedTuple):
    """A test, and what it is known to take."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of several parts of the suite."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """What is meant by 1/4.

        Raises:
            ValueError: it is not of that form, or there is no such part.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ValueError(f"--shard takes one part of so many, such as 1/4, and not {text!r}.")
        return cls(number=int(number), of=int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def seconds_of(test: str, strategy: str = "") -> float:
    """What a test is known to take; one that nobody has measured is taken for a short one."""
    return SECONDS.get(test, min(SECONDS.values())) * SLOW.get(strategy, 1.0)


def longest_first(tests: Iterable[Known]) -> list[Known]:
    """The order in which nobody is left alone with a long one at the end."""
    return sorted(tests, key=lambda known: (-known.seconds, known.name))


def in_shard(tests: Iterable[Known], shard: Shard) -> set[str]:
    """The names of those tests that are of this shard: the longest first, each to whoever has least to do by then."""
    loads = [0.0] * shard.of
    chosen = set()
    for name, seconds in longest_first(tests):
        least = loads.index(min(loads))
        loads[least] += seconds
        if least == shard.number - 1:
            chosen.add(name)
    return chosen


def share_s(ordered: Sequence[Known], name: str, *, elapsed_s: float, at_once: int) -> float:
    """The seconds that a test may take, of what is left of the budget for it and for those that come after it.

    So what others took too long for is saved by those that follow, in a machine that is slow or has much else to do.
    """
    number = next(number for number, each in enumerate(ordered) if each.name == name)
    own, whole = ordered[number].seconds, sum(each.seconds for each in ordered[number:])
    share = (BUDGET_S - elapsed_s) * at_once * own / whole
    return min(max(LEAST_S, share), MOST_TIMES * own)
