"""Summarises trials: one row per strategy and setting. Pure pandas; knows no charts and no pages."""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd

from ticketlab.checks.progress import worst_progress
from ticketlab.checks.verdict import worst
from ticketlab.history.recording import RETRIES
from ticketlab.report.phrases import GROUP, SETTING

if TYPE_CHECKING:
    from pandas.api.typing import DataFrameGroupBy

    Groups: TypeAlias = DataFrameGroupBy[Any, Any]

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
    groups = measures.groupby(list(GROUP), sort=False)
    rows = pd.concat([_extremes(groups), _medians(groups), groups[list(_SUMS)].sum()], axis="columns")
    rows["retries_per_sale"] = groups["retries"].sum() / rows["sales"].where(rows["sales"] > 0)
    rows["progress"] = groups["progress"].agg(worst_progress)
    rows["verdict"] = groups["verdict"].agg(lambda verdicts: str(worst(verdicts)))
    return _in_order(rows.reset_index())[list(COLUMNS)]


def _extremes(groups: "Groups") -> pd.DataFrame:
    """The number of repeats, and their least and most."""
    return pd.DataFrame(
        {
            "safe": groups["safe"].all(),
            "repeats": groups.size(),
            "seats": groups["seats"].max(),
            "oversold": groups["oversold"].max(),
            "per_s_min": groups["purchases_per_s"].min(),
            "per_s_max": groups["purchases_per_s"].max(),
            "failure_share": groups["failure_share"].max(),
        }
    )


def _medians(groups: "Groups") -> pd.DataFrame:
    return groups[list(_MEDIANS)].median().rename(columns=_MEDIANS)


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
    """For each trial the percentage of attempts that sold nothing although seats were left; NaN without attempts.

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
