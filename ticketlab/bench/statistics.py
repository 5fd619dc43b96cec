"""From trials to medians and ratios. Pure functions of a frame with a row a trial; opens nothing, draws nothing.

The frame has the columns `contender`, `buyers`, `repeat`, `per_s`, `purchases`, `conflicts`, `unanswered` and `fault`
("" where the ledger proved the claim). A cell is a contender at a number of buyers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Self, TypeAlias

import pandas as pd

COLLAPSE_BUYERS: Final = 64
_COLLAPSE: Final = 0.5
_WORTH_A_NOTE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of some repeats, in their order, and their median and range."""

    values: tuple[float, ...]
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The spread of at least one value."""
        found = tuple(values)
        return cls(values=found, median=median(found), low=min(found), high=max(found))


Cells: TypeAlias = Mapping[tuple[str, int], Spread]
"""By contender and number of buyers; a cell that is not there was not measured, or not proven."""


def range_holds(repeats: int) -> float:
    """The probability with which the range of so many independent repeats holds the true median: 1 - 2^(1-n).

    It misses where all repeats fell on one side of it, each of them with probability 1/2: the sign test's interval.
    """
    return float(1 - 2.0 ** (1 - repeats))


def speeds(trials: pd.DataFrame) -> Cells:
    """Purchases per second."""
    return _spreads(_proven(trials))


def ratios(trials: pd.DataFrame, to: str) -> Cells:
    """Each contender's speed over that of `to`, paired: trials of the same repeat and number of buyers.

    The spread is that of the pairs' ratios, so that a slow minute of the machine, which slows both, is divided out.
    """
    proven = _proven(trials)
    base = proven.loc[(proven["contender"] == to) & (proven["per_s"] > 0), ["buyers", "repeat", "per_s"]]
    pairs = proven[proven["contender"] != to].merge(base, on=["buyers", "repeat"], suffixes=("", "_base"))
    return _spreads(pairs.assign(per_s=pairs["per_s"] / pairs["per_s_base"]))


def collapses(cells: Cells, costs: Mapping[str, str]) -> list[str]:
    """Of the contenders, those that sell less than half of their best at 64 buyers, and what it is that costs them."""
    notes = []
    for name, cost in costs.items():
        medians = {buyers: each.median for (contender, buyers), each in cells.items() if contender == name}
        if COLLAPSE_BUYERS not in medians:
            continue
        best = max(medians, key=lambda buyers: medians[buyers])
        share = medians[COLLAPSE_BUYERS] / medians[best]
        if share < _COLLAPSE:
            notes.append(
                f"{name} collapses: {medians[COLLAPSE_BUYERS]:,.0f} purchases/s at {COLLAPSE_BUYERS} buyers, "
                f"{share:.2f} of its best ({medians[best]:,.0f} at {best}). Its cost: {cost}."
            )
    return notes


def failures(trials: pd.DataFrame) -> list[str]:
    """Who gave up after conflicts in more than one purchase of a hundred, and whose purchases were not answered."""
    sums = trials.groupby(["contender", "buyers"], sort=False)[["purchases", "conflicts", "unanswered"]].sum()
    shares = sums.div(sums["purchases"].clip(lower=1), axis="index").reset_index()
    told = (("conflicts", _WORTH_A_NOTE, "gave up after conflicts"), ("unanswered", 0.0, "failed or got no answer"))
    notes = []
    for column, threshold, words in told:
        for name, rows in shares[shares[column] > threshold].groupby("contender", sort=False):
            counts = rows.sort_values("buyers")[["buyers", column]].itertuples(index=False, name=None)
            listed = ", ".join(f"{share:.2%} at {buyers}" for buyers, share in counts)
            notes.append(f"{name}: purchases that {words}, by buyers: {listed}.")
    return notes


def _spreads(trials: pd.DataFrame) -> Cells:
    """The spread of `per_s` in each cell, its values in order of the repeats."""
    values: dict[tuple[str, int], list[float]] = {}
    columns = trials.sort_values("repeat", kind="stable")[["contender", "buyers", "per_s"]]
    for contender, buyers, per_s in columns.itertuples(index=False, name=None):
        values.setdefault((contender, buyers), []).append(per_s)
    return {cell: Spread.of(each) for cell, each in values.items()}


def _proven(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of the cells in which every claim was proven: a median of the others would hide what happened."""
    unproven = trials.loc[trials["fault"] != "", ["contender", "buyers"]].drop_duplicates()
    marked = trials.merge(unproven, how="left", on=["contender", "buyers"], indicator=True)
    return marked[marked["_merge"] == "left_only"].drop(columns="_merge")
