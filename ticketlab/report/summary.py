"""Summarises trials: one row per strategy and setting, and which differences of speed are clear. Knows no charts.

Every part of the report decides here whether one speed differs clearly from another: `ticketlab.history.statistics`
compares the geometric means of the repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, log, nan
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ticketlab.checks.verdict import worst, worst_progress
from ticketlab.history.statistics import Ratio, geometric_mean, ratio_of
from ticketlab.outcomes import RETRIES
from ticketlab.report._caption import Caption, strategy_label
from ticketlab.report.phrases import GROUP, NO_TRIALS, SETTING, has_multiple, matching_rows, number, pluralize

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS: Final = (
    "strategy",
    "safe",
    *SETTING,
    "repeats",
    "sold",
    "seats",
    "oversold",
    "oversold_median",
    "sales",
    "sold_out",
    "conflicts",
    "failed",
    "unavailable",
    "unknown",
    "per_s",
    "per_s_min",
    "per_s_max",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "retries_per_sale",
    *RETRIES.values(),
    "failure_share",
    "progress",
    "verdict",
)

_MEDIANS: Final = {
    "tickets": "sold",
    "oversold": "oversold_median",
    "purchases_per_s": "per_s",
    **{name: name for name in ("p50_ms", "p95_ms", "p99_ms")},
}
"""Columns of measures whose median a row has, with the column's name there."""
_SUMS: Final = ("sales", "sold_out", "conflicts", "failed", "unavailable", "unknown", *RETRIES.values())


def summarise(measures: pd.DataFrame) -> pd.DataFrame:
    """One row per strategy, number of buyers and size of the pool, with the columns of COLUMNS.

    `sold` (tickets in the ledger), `oversold_median`, `per_s` and the percentiles are medians over the repeats;
    `oversold` is the largest. `sales`, `sold_out`, `conflicts`, `failed`, `unavailable`, `unknown` and the retries of
    each cause are sums over the repeats, because a median would hide what happened in one of three.
    `retries_per_sale` is NaN without a sale. `failure_share` is the largest, `progress` the worst. Controls come first,
    then the strategies as they first appear, each by its number of buyers and then by its pool.
    """
    if measures.empty:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    return pd.DataFrame([_summary(trials) for trials in _by_setting(measures)])[list(COLUMNS)]


def _summary(trials: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    sales = sum(trials["sales"])
    return {
        **{name: trials[name][0] for name in GROUP},
        "safe": all(trials["safe"]),
        "repeats": len(trials["safe"]),
        "seats": max(trials["seats"]),
        "oversold": max(trials["oversold"]),
        "per_s_min": min(trials[_SPEED]),
        "per_s_max": max(trials[_SPEED]),
        "failure_share": max(_known(trials["failure_share"]), default=nan),
        **{name: _median(trials[column]) for column, name in _MEDIANS.items()},
        **{name: sum(trials[name]) for name in _SUMS},
        "retries_per_sale": sum(trials["retries"]) / sales if sales else nan,
        "progress": worst_progress(trials["progress"]),
        "verdict": str(worst(trials["verdict"])),
    }


def _by_setting(measures: pd.DataFrame) -> list[dict[str, list[Any]]]:
    """The columns of the trials of each strategy and setting, in the order of `summarise`.

    A frame has few trials: plain lists are many times as fast as the groups of pandas.
    """
    columns = measures.to_dict("list")
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*(columns[name] for name in GROUP), strict=True)):
        places.setdefault(key, []).append(place)
    appeared = {name: place for place, name in enumerate(dict.fromkeys(columns["strategy"]))}
    groups = [{str(name): [each[place] for place in at] for name, each in columns.items()} for at in places.values()]
    return sorted(
        groups,
        key=lambda trials: (
            all(trials["safe"]), appeared[trials["strategy"][0]], *(trials[name][0] for name in SETTING)
        ),
    )  # fmt: skip


def _median(values: Sequence[float]) -> float:
    known = _known(values)
    return float(median(known)) if known else nan


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if not isnan(value)]


def spread(measures: pd.DataFrame, column: str) -> pd.DataFrame:
    """The `median` of a column over the repeats, its `least` and its `most`, a row as `summarise` has them.

    Beside them stand `strategy`, `safe`, the setting and the number of `repeats`; NaN where no repeat has a value.
    """
    rows = [
        {
            **{name: trials[name][0] for name in GROUP},
            "safe": all(trials["safe"]),
            "repeats": len(trials["repeat"]),
            "median": _median(trials[column]),
            "least": min(_known(trials[column]), default=nan),
            "most": max(_known(trials[column]), default=nan),
        }
        for trials in _by_setting(measures)
    ]
    return pd.DataFrame(rows)


def wasted(measures: pd.DataFrame) -> pd.Series[float]:
    """For each trial the percentage of attempts that sold nothing although seats were left; NaN without attempts.

    Those are the attempts that were followed by another, and those that ended a purchase in a conflict. All attempts
    are these and the sales: a refusal as sold out is an answer, and counts for neither.
    """
    in_vain = measures["retries"] + measures["conflicts"]
    attempts = in_vain + measures["sales"]
    return 100 * in_vain / attempts.where(attempts > 0)


_SPEED: Final = "purchases_per_s"
_HOW_CLEAR: Final = (
    "A change compares the geometric means of the repeats. It is clear if its 95 % interval excludes 1 (Welch's t-test "
    "on logarithms); a single repeat has no interval."
)
_CHANGE: Final = (*GROUP, "run", "first", "repeats", "typical_first", "typical", "ratio", "low", "high", "clear")


def speed_ratio(measures: pd.DataFrame, first: pd.Series, second: pd.Series) -> Ratio:
    """The speed of the second row of a summary, divided by that of the first."""
    return ratio_of(*(matching_rows(measures, row)[_SPEED].tolist() for row in (first, second)))


def leaders(ranked: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """The first of the ranked rows, and those that are not clearly slower than it.

    A single repeat shows no spread: then it is the first row alone, and the sentence must say so.
    """
    if ranked.empty or ranked["repeats"].max() == 1:
        return ranked.head(1)
    ratios = [speed_ratio(measures, ranked.iloc[0], row) for _, row in ranked.iloc[1:].iterrows()]
    return ranked[[True, *(not (ratio.clear and ratio.value < 1) for ratio in ratios)]]


def comparison(measures: pd.DataFrame) -> Caption:
    """The largest clear change of speed from the first run to another."""
    kind = "Sales per second of each run with the range of the repeats, by strategy"
    if measures.empty:
        return Caption(kind=kind, title=NO_TRIALS)
    changes = changes_of(measures)
    clear = changes[changes["clear"]]
    if changes.empty:
        title = "The runs share no strategy and setting that sold anything"
    elif len(clear):
        row = clear.loc[max(clear.index, key=lambda index: _distance(clear["ratio"][index]))]
        title = (
            f"{strategy_label(row, changes)} made {number(row['typical'])} sales/s in {row['run']}, "
            f"{number(row['ratio'])} times the {number(row['typical_first'])} in {row['first']}"
        )
    elif (changes["repeats"] == 1).all():
        title = "With one repeat of a run no difference between the runs is clear"
    else:
        title = "No difference between the runs is clear"
    return Caption(kind=kind, title=title, detail=_HOW_CLEAR)


def _distance(ratio: float) -> float:
    """How far a ratio is from 1: half as far as double, and 0 the farthest."""
    return abs(log(ratio)) if ratio else inf


def changes_of(measures: pd.DataFrame, column: str = _SPEED) -> pd.DataFrame:
    """A column of every later run divided by the first run: one row per run, strategy and setting that both have.

    Columns: those of GROUP; `run` and `first`, the names of the runs; `repeats`, the smaller number of both;
    `typical_first` and `typical`, the geometric means; `ratio`, its limits `low` and `high` (NaN without an interval)
    and `clear`. No row if the first run has only zeros, because there is no ratio.
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
    """A ratio with its limits, such as "0.5 (0.4 to 0.62)"; "unclear" is added if it is not clear."""
    if isnan(row["ratio"]):
        return number(nan)
    limits = "" if isnan(row["low"]) else f" ({number(row['low'])} to {number(row['high'])})"
    return f"{number(row['ratio'])}{limits}{'' if row['clear'] else ', unclear'}"


def rates_by_run(measures: pd.DataFrame) -> pd.DataFrame:
    """`summary.spread` of the sales per second of each run, in the order in which the runs appear."""
    runs = measures.groupby("run", sort=False)
    return pd.concat([spread(trials, _SPEED).assign(run=run) for run, trials in runs])


def crossover(measures: pd.DataFrame, one: str, other: str) -> str:
    """The number of buyers from which `other` is clearly faster than `one`, as a sentence; one per size of the pool."""
    both = measures[measures["strategy"].isin([one, other])]
    if not has_multiple(both["pool_size"]):
        return _crossover(both, one, other)
    return " ".join(
        f"With a pool of {number(trials['pool_size'].iloc[0])}: {_crossover(trials, one, other)}"
        for _, trials in both.groupby("pool_size")
    )


def _crossover(measures: pd.DataFrame, one: str, other: str) -> str:
    ones, others = (_speeds_by_buyers(measures[measures["strategy"] == name]) for name in (one, other))
    shared = sorted(ones.keys() & others.keys())
    if not shared:
        return f"{one} and {other} were not run with the same number of buyers."
    if max(len(sample[buyers]) for sample in (ones, others) for buyers in shared) == 1:
        return f"{one} and {other} were run once {_range(shared)}: one repeat shows no spread, so neither is faster."
    ratios = pd.Series([ratio_of(ones[each], others[each]) for each in shared], index=shared)
    ahead = ratios.map(lambda ratio: ratio.clear and ratio.value > 1)
    behind = ratios.map(lambda ratio: ratio.clear and ratio.value < 1)
    faster = f"{other} is clearly faster than {one}"
    if ahead.all():
        return f"{faster} {_range(shared)}."
    if ahead.iloc[-1]:
        first = next(each for each in shared if ahead.loc[each:].all())
        other_speed, speed = (number(pd.Series(sample[first]).median()) for sample in (others, ones))
        return f"From {pluralize(first, 'buyer')} on {faster}: {other_speed} and {speed} sales/s there."
    if ahead.any():
        last = ahead[ahead].index[-1]
        return f"{faster} with {pluralize(last, 'buyer')}, but not with more buyers."
    sentence = f"{one} and {other} do not differ clearly {_range(shared)}."
    if behind.any():
        sentence = f"{other} is not clearly faster than {one} at any number of buyers that was run."
    return sentence


def _speeds_by_buyers(trials: pd.DataFrame) -> dict[int, list[float]]:
    return {int(buyers): trials.loc[trials["buyers"] == buyers, _SPEED].tolist() for buyers in set(trials["buyers"])}


def _range(buyers: Sequence[int]) -> str:
    if len(buyers) == 1:
        return f"with {pluralize(buyers[0], 'buyer')}"
    return f"at every number of buyers that was run, from {number(buyers[0])} to {number(buyers[-1])}"
