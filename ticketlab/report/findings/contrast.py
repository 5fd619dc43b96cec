"""Two things held against each other: runs, and strategies."""

from math import log

import pandas as pd

from ticketlab.report import summary
from ticketlab.report.findings.finding import Finding, named
from ticketlab.report.setting import GROUP
from ticketlab.report.words import NO_TRIALS, counted, number, several


def comparison(measures: pd.DataFrame) -> Finding:
    """Whose speed changed most from the first run to another, if any change exceeds the spread of the repeats."""
    kind = "Sales per second of each run with the interval over the repeats, by strategy"
    if measures.empty:
        return Finding(kind=kind, title=NO_TRIALS)
    changes = changes_of(measures)
    detail = "Purchases sold per second, medians; a change counts where the intervals over the repeats do not meet."
    if changes.empty:
        title = "The runs have no strategy in the same setting in common that sold anything"
        return Finding(kind=kind, title=title, detail=detail)
    clear = changes[changes["clear"]]
    if clear.empty:
        title = "No difference between the runs exceeds the spread of the repeats"
        return Finding(kind=kind, title=title, detail=detail)
    row = clear.loc[[max(clear.index, key=lambda index: abs(log(clear["ratio"][index])))]].iloc[0]
    only = " (one repeat)" if row["repeats"] == 1 else ""
    title = (
        f"{named(row, changes)} sold {number(row['ratio'])} times as much per second in {row['run']} as in "
        f"{row['first']}{only}: {number(row['median'])} against {number(row['median_first'])}"
    )
    return Finding(kind=kind, title=title, detail=detail)


def changes_of(measures: pd.DataFrame) -> pd.DataFrame:
    """Purchases per second of every later run against the first, a row a run, strategy and setting that both have.

    Columns: those of GROUP, `run` and `first`, `median`, `least` and `most`, the same ending in `_first`, `repeats`
    (the fewer of both), `ratio` (of the medians) and `clear`: whether the intervals do not meet. Where one of the
    two sold nothing there is no ratio, and no row.
    """
    rates = rates_by_run(measures)
    first = rates["run"].iloc[0]
    pairs = rates[rates["run"] != first].merge(
        rates[rates["run"] == first].drop(columns=["run", "safe"]), on=list(GROUP), suffixes=("", "_first")
    )
    pairs = pairs[(pairs["median"] > 0) & (pairs["median_first"] > 0)].assign(first=first)
    pairs["repeats"] = pairs[["repeats", "repeats_first"]].min(axis=1)
    pairs["ratio"] = pairs["median"] / pairs["median_first"]
    pairs["clear"] = (pairs["least"] > pairs["most_first"]) | (pairs["most"] < pairs["least_first"])
    changes: pd.DataFrame = pairs.reset_index(drop=True)
    return changes


def rates_by_run(measures: pd.DataFrame) -> pd.DataFrame:
    """`summary.spread` of the purchases per second in each run, in the order in which the runs appear."""
    runs = measures.groupby("run", sort=False)
    return pd.concat([summary.spread(trials, "purchases_per_s").assign(run=run) for run, trials in runs])


def crossover(measures: pd.DataFrame, one: str, other: str) -> str:
    """From which number of buyers on `other` sells more than `one` per second, as a sentence.

    More is where the intervals over the repeats no longer meet. Where the pool's size differs too, a sentence a size.
    """
    both = measures[measures["strategy"].isin([one, other])]
    if not several(both["pool_size"]):
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
        rates_told = f"{number(first['median_other'])} against {number(first['median'])} purchases/s"
        return f"From {counted(first.name, 'buyer')} on {more}: there {rates_told}{only}."
    if ahead.any():
        last = ahead[ahead].index[-1]
        return f"{more} with {counted(last, 'buyer')}, but with more buyers no longer{only}."
    if not behind.any():
        return f"{one} and {other} are too close to call {_range(pairs)}{only}."
    return f"{other} sells clearly more per second than {one} at no number of buyers that was run{only}."


def _range(pairs: pd.DataFrame) -> str:
    least, most = pairs.index[0], pairs.index[-1]
    if least == most:
        return f"with {counted(least, 'buyer')}"
    return f"at every number of buyers that was run, from {number(least)} to {number(most)}"
