"""Many trials as one row per strategy and setting. Pure pandas: knows neither charts nor pages."""

from typing import Final

import pandas as pd

from ticketlab.checks.progress import worst_progress
from ticketlab.checks.verdict import worst
from ticketlab.history.recording import RETRIES
from ticketlab.report.phrases import GROUP, SETTING

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

_MEDIANS: Final = {"sold": "tickets", "p50_ms": "p50_ms", "p95_ms": "p95_ms", "p99_ms": "p99_ms"}
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
    groups = measures.groupby(list(GROUP), sort=False)
    rows = groups.agg(
        safe=("safe", "all"),
        repeats=("repeat", "size"),
        seats=("seats", "max"),
        oversold=("oversold", "max"),
        oversold_median=("oversold", "median"),
        per_s=("purchases_per_s", "median"),
        per_s_min=("purchases_per_s", "min"),
        per_s_max=("purchases_per_s", "max"),
        **{name: (column, "median") for name, column in _MEDIANS.items()},
        **{name: (name, "sum") for name in _SUMS},
        failure_share=("failure_share", "max"),
        progress=("progress", worst_progress),
    )
    rows["retries_per_sale"] = groups["retries"].sum() / rows["sales"].where(rows["sales"] > 0)
    rows["verdict"] = groups["verdict"].agg(lambda verdicts: str(worst(verdicts)))
    return _in_order(rows.reset_index())[list(COLUMNS)]


def spread(measures: pd.DataFrame, column: str) -> pd.DataFrame:
    """The `median` of a column over the repeats, its `least` and its `most`, a row as `summarise` has them.

    Beside them stand `strategy`, `safe`, the setting and the number of `repeats`; NaN where no repeat has a value.
    """
    groups = measures.groupby(list(GROUP), sort=False)
    rows = groups.agg(
        safe=("safe", "all"),
        repeats=("repeat", "size"),
        median=(column, "median"),
        least=(column, "min"),
        most=(column, "max"),
    )
    return _in_order(rows.reset_index())


def wasted(measures: pd.DataFrame) -> "pd.Series[float]":
    """For each trial the percentage of attempts that were made for nothing though seats were left; NaN without any.

    Those are the attempts that were followed by another, and those that ended a purchase in a conflict. All attempts
    are these and the sales: a refusal as sold out is an answer, and counts for neither.
    """
    in_vain = measures["retries"] + measures["conflicts"]
    attempts = in_vain + measures["sales"]
    return 100 * in_vain / attempts.where(attempts > 0)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    appeared = {name: place for place, name in enumerate(rows["strategy"].drop_duplicates())}
    keys = rows.assign(place=rows["strategy"].map(appeared)).sort_values(["safe", "place", *SETTING])
    return rows.loc[keys.index].reset_index(drop=True)
