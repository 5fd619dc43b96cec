"""Which strategy is the fastest, and from how many buyers on: sentences that claim no more than the repeats show.

Pure. Only strategies that claim to be safe and went without a violation are ranked: speed that oversells is none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.report.phrases import has_multiple, join_names, number, pluralize
from ticketlab.report.summary import summarise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """The strategies at one number of buyers, the fastest first."""

    buyers: int
    ranked: pd.DataFrame
    """Rows of the summary, of those that sold anything."""

    @property
    def leaders(self) -> pd.DataFrame:
        """The fastest, and those whose interval over the repeats reaches its own."""
        reached = self.ranked["per_s_min"].head(1).sum()
        return self.ranked[self.ranked["per_s_max"] >= reached]

    @property
    def names(self) -> list[str]:
        """Who leads, in the order of the alphabet: among those too close to call there is no other."""
        return sorted(self.leaders["strategy"])


def fastest(measures: pd.DataFrame) -> Iterator[str]:
    """Who is the fastest at which numbers of buyers, where the repeats tell, and what limits the answer."""
    ranked = _without_violation(measures)
    if not ranked["sales"].any():
        yield "None can be said to be: no strategy that claims to be safe sold anything without a violation."
        return
    yield from _stretches(summarise(ranked))
    if not has_multiple(ranked["strategy"]):
        yield "No other strategy that claims to be safe went without a violation: there is none to compare it with."
    if not has_multiple(ranked["repeat"]):
        yield "Each setting was run once, which shows no spread: the order may be chance."


def _without_violation(measures: pd.DataFrame) -> pd.DataFrame:
    """The trials of strategies that claim to be safe and were not proven wrong in any of them."""
    wrong = measures.loc[measures["verdict"] == Status.INVALID, "strategy"]
    return measures[measures["safe"].astype(bool) & ~measures["strategy"].isin(wrong)]


def _stretches(rows: pd.DataFrame) -> Iterator[str]:
    """A sentence for each stretch of numbers of buyers at which the same are ahead, pool by pool."""
    pools = sorted(rows["pool_size"].unique())
    for pool_size in pools:
        races = _races(rows[rows["pool_size"] == pool_size])
        pool = f", in a pool of {number(pool_size)}" if len(pools) > 1 else ""
        stretches = [list(same) for _, same in groupby(races, key=lambda race: race.names)]
        for stretch in stretches:
            where = _where(stretch, last=stretch is stretches[-1], of=len(stretches))
            yield f"{where}{pool}: {_ahead(stretch)}."


def _races(rows: pd.DataFrame) -> list[Ranking]:
    """One for each number of buyers, the fewest first."""
    sold = rows[rows["per_s"] > 0].sort_values("per_s", ascending=False)
    return [Ranking(buyers=each, ranked=sold[sold["buyers"] == each]) for each in sorted(rows["buyers"].unique())]


def _where(stretch: Sequence[Ranking], *, last: bool, of: int) -> str:
    """At which numbers of buyers; the last of several stretches is where it goes on from."""
    numbers = join_names([number(race.buyers) for race in stretch], most=len(stretch))
    if last and of > 1:
        return f"From {pluralize(stretch[0].buyers, 'buyer')} on"
    if len(stretch) > 1 and of == 1:
        return f"At every number of buyers that was tried ({numbers})"
    return f"With {numbers} buyer{'' if numbers == '1' else 's'}"


def _ahead(stretch: Sequence[Ranking]) -> str:
    """Who leads in all these races, and by how much in the last of them."""
    race = stretch[-1]
    if race.ranked.empty:
        return "nothing was sold"
    if len(race.names) > 1:
        names = join_names(race.names, most=len(race.names))
        return f"too close to call between {names}, at {_speeds(stretch)}: their intervals over the repeats overlap"
    best = race.ranked.iloc[0]
    ahead = f"{best['strategy']}, at {_speeds(stretch)}"
    if len(race.ranked) == 1:
        return ahead
    following = race.ranked.iloc[1]
    at = f" with {pluralize(race.buyers, 'buyer')}" if len(stretch) > 1 else ""
    return f"{ahead}; {number(best['per_s'] / following['per_s'], 2)} times the next, {following['strategy']}{at}"


def _speeds(stretch: Sequence[Ranking]) -> str:
    """The speed of the fastest of each race: of one with its interval over the repeats, of several at its buyers."""
    fastest_of = [race.ranked.iloc[0] for race in stretch]
    first = fastest_of[0]
    if len(stretch) > 1:
        told = [f"{number(row['per_s'])} with {number(row['buyers'])}" for row in fastest_of]
        return f"{join_names(told, most=len(told))} buyers, in sales/s"
    if first["repeats"] == 1:
        return f"{number(first['per_s'])} sales/s"
    return f"{number(first['per_s'])} sales/s ({number(first['per_s_min'])} to {number(first['per_s_max'])})"
