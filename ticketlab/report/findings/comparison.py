"""Two things held against each other: runs, and strategies."""

from collections.abc import Sequence
from math import inf, isnan, log, nan
from typing import Any, Final

import pandas as pd

from ticketlab.history.statistics import geometric_mean, ratio_of
from ticketlab.report import summary
from ticketlab.report.findings.caption import Caption, strategy_label
from ticketlab.report.grouping import GROUP
from ticketlab.report.phrases import NO_TRIALS, has_multiple, number, pluralize

_HOW_CLEAR: Final = (
    "A change is that of the geometric means of the repeats, and clear where its 95 % interval leaves out 1 (Welch's t "
    "on logarithms); a single repeat has no interval."
)
_CHANGE: Final = (*GROUP, "run", "first", "repeats", "typical_first", "typical", "ratio", "low", "high", "clear")


def comparison(measures: pd.DataFrame) -> Caption:
    """Whose speed changed most from the first run to another, if any change exceeds the spread of the repeats."""
    kind = "Sales per second of each run with the interval over the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    changes = changes_of(measures)
    detail = f"Purchases sold per second. {_HOW_CLEAR}"
    if changes.empty:
        title = "The runs have no strategy in the same setting in common that sold anything"
        return Caption(kind=kind, title=title, detail=detail)
    clear = changes[changes["clear"]]
    if clear.empty and (changes["repeats"] == 1).all():
        title = "One repeat of a run shows no spread: no difference between the runs can be told from chance"
        return Caption(kind=kind, title=title, detail=detail)
    if clear.empty:
        title = "No difference between the runs exceeds the spread of the repeats"
        return Caption(kind=kind, title=title, detail=detail)
    row = clear.loc[[max(clear.index, key=lambda index: _distance(clear["ratio"][index]))]].iloc[0]
    title = (
        f"{strategy_label(row, changes)} sold {number(row['ratio'])} times as much per second in {row['run']} as in "
        f"{row['first']}: {number(row['typical'])} against {number(row['typical_first'])}"
    )
    return Caption(kind=kind, title=title, detail=detail)


def _distance(ratio: float) -> float:
    """How far from 1: half as much is as far as twice as much, and nothing is the farthest."""
    return abs(log(ratio)) if ratio else inf


def changes_of(measures: pd.DataFrame, column: str = "purchases_per_s") -> pd.DataFrame:
    """A column of every later run against the first: a row a run, strategy and setting that both have.

    This is the one place that says how much two runs differ, and whether that is clear: see
    `ticketlab.history.statistics`. Columns: those of GROUP; `run` and `first`, their names; `repeats`, the fewer of
    both;
    `typical_first` and `typical`, what is divided; `ratio`, its limits `low` and `high`, NaN where there is no
    interval, and `clear`. Where the first run has nothing there is no ratio, and no row.
    """
    first = next(iter(measures["run"]), "")
    trials = measures.dropna(subset=[column]).groupby(["run", *GROUP], sort=False)[column]
    samples = {key: list(values) for key, values in trials}
    rows = [
        _change(dict(zip(("run", *GROUP), key, strict=True)) | {"first": first}, samples[first, *key[1:]], values)
        for key, values in samples.items()
        if key[0] != first and any(samples.get((first, *key[1:]), ()))
    ]
    changes = pd.DataFrame(rows, columns=list(_CHANGE))
    return changes[changes["ratio"].notna()].astype({"clear": bool}).reset_index(drop=True)


def _change(about: dict[str, Any], first: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    ratio = ratio_of(first, values)
    return about | {
        "repeats": min(len(first), len(values)),
        "typical_first": geometric_mean(first),
        "typical": geometric_mean(values),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "clear": ratio.clear,
    }


def change_text(row: pd.Series) -> str:
    """How many times as much it is, between which limits, and that this is unclear where it is."""
    if isnan(row["ratio"]):
        return number(nan)
    limits = "" if isnan(row["low"]) else f" ({number(row['low'])} to {number(row['high'])})"
    return f"{number(row['ratio'])}{limits}{'' if row['clear'] else ', unclear'}"


def rates_by_run(measures: pd.DataFrame) -> pd.DataFrame:
    """`summary.spread` of the purchases per second in each run, in the order in which the runs appear."""
    runs = measures.groupby("run", sort=False)
    return pd.concat([summary.spread(trials, "purchases_per_s").assign(run=run) for run, trials in runs])


def crossover(measures: pd.DataFrame, one: str, other: str) -> str:
    """From which number of buyers on `other` sells more than `one` per second, as a sentence.

    More is where the intervals over the repeats no longer meet. Where the pool's size differs too, a sentence a size.
    """
    both = measures[measures["strategy"].isin([one, other])]
    if not has_multiple(both["pool_size"]):
        return _crossover(both, one, other)
    return " ".join(
        f"With a pool of {number(trials['pool_size'].iloc[0])}: {_crossover(trials, one, other)}"
        for _, trials in both.groupby("pool_size")
    )


def _crossover(measures: pd.DataFrame, one: str, other: str) -> str:
    rows = summary.spread(measures, "purchases_per_s")
    ones, others = (rows[rows["strategy"] == name] for name in (one, other))
    pairs = ones.merge(others, on="buyers", suffixes=("", "_other")).set_index("buyers").sort_index()
    if pairs.empty:
        return f"{one} and {other} were not run with the same number of buyers."
    ahead, behind = pairs["least_other"] > pairs["most"], pairs["most_other"] < pairs["least"]
    only = " (one repeat)" if pairs[["repeats", "repeats_other"]].min(axis=None) == 1 else ""
    more = f"{other} sells more per second than {one}"
    if ahead.all():
        return f"{more} {_range(pairs)}{only}."
    if ahead.iloc[-1]:
        since = pairs.loc[~ahead[::-1].cummin()[::-1]].index[-1]
        first = pairs.loc[pairs.index > since].iloc[0]
        rates_told = f"{number(first['median_other'])} against {number(first['median'])} sales/s"
        return f"From {pluralize(first.name, 'buyer')} on {more}: there {rates_told}{only}."
    if ahead.any():
        last = ahead[ahead].index[-1]
        return f"{more} with {pluralize(last, 'buyer')}, but with more buyers no longer{only}."
    if not behind.any():
        return f"{one} and {other} are too close to call {_range(pairs)}{only}."
    return f"{other} sells clearly more per second than {one} at no number of buyers that was run{only}."


def _range(pairs: pd.DataFrame) -> str:
    least, most = pairs.index[0], pairs.index[-1]
    if least == most:
        return f"with {pluralize(least, 'buyer')}"
    return f"at every number of buyers that was run, from {number(least)} to {number(most)}"
