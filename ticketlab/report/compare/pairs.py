"""What two runs have in common, a row a strategy and setting, and what only one of them has."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from ticketlab.errors import InvalidInputError
from ticketlab.report.comparison import differences, labelled_measures
from ticketlab.report.findings import changes_of
from ticketlab.report.findings.caption import strategy_label
from ticketlab.report.model import Report, RunResults
from ticketlab.report.phrases import GROUP, join_names, matching_rows
from ticketlab.report.summary import summarise

MEASURED: Final = ("purchases_per_s", "p95_ms")
"""What is divided, the second run's by the first's."""
_CHANGE: Final = ("typical_first", "typical", "ratio", "low", "high", "clear")
_TOLD: Final = ("verdict", "repeats", "sales", "retries_per_sale")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunComparison:
    """Two runs, and what became of each strategy from the first to the second."""

    first: RunResults
    """The run to go by."""
    second: RunResults
    """The run that is compared with it."""
    rows: pd.DataFrame
    """A row a strategy and setting that both have, in the order of a summary: the columns of GROUP and `safe`;
    `verdict`, `repeats`, `sales` and `retries_per_sale` of the second run, and of the first with `_first`; and of each
    column of MEASURED the change as `changes_of` has it, under its name: `p95_ms_ratio`. NaN where there is none."""
    only_first: tuple[str, ...]
    """The strategies that the first run has alone, with their settings where these differ: "atomic (16 buyers)"."""
    only_second: tuple[str, ...]
    """Those that the second has alone."""

    @property
    def differences(self) -> list[dict[str, Any]]:
        """What was asked for and what it ran on, where the runs do not agree; see `side_by_side.differences`."""
        return differences(Report(runs=[self.first, self.second]))


def versus(report: Report, *, strategies: Collection[str] = ()) -> RunComparison:
    """Both runs of a report against each other.

    Args:
        report: of two runs.
        strategies: only these; by default all.

    Raises:
        InvalidInputError: a strategy was named that neither run has.
    """
    first, second = (_restricted(run, strategies) for run in report.runs)
    if missing := set(strategies) - set(first.measures["strategy"]) - set(second.measures["strategy"]):
        there = dict.fromkeys(pd.concat([run.measures["strategy"] for run in report.runs]))
        raise InvalidInputError(f"Neither run has {join_names(sorted(missing))}. They have: {', '.join(there)}.")
    ones, others = (summarise(run.measures) for run in (first, second))
    return RunComparison(
        first=first,
        second=second,
        rows=_with_changes(_paired(ones, others), labelled_measures(Report(runs=[first, second]))),
        only_first=_alone(ones, others),
        only_second=_alone(others, ones),
    )


def _restricted(run: RunResults, strategies: Collection[str]) -> RunResults:
    """What a run has of these strategies."""
    if not strategies:
        return run
    of_them = [each for each in run.verdicts if each["strategy"] in strategies]
    measures = run.measures[run.measures["strategy"].isin(list(strategies))]
    return replace(run, measures=measures, verdicts=of_them)


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    ones = first[[*GROUP, *_TOLD]]
    return second[[*GROUP, "safe", *_TOLD]].merge(ones, on=list(GROUP), suffixes=("", "_first"))


def _with_changes(rows: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    for column in MEASURED:
        changes = changes_of(measures, column)[[*GROUP, *_CHANGE]]
        named = changes.rename(columns={name: f"{column}_{name}" for name in _CHANGE})
        rows = rows.merge(named, on=list(GROUP), how="left")
        rows[f"{column}_clear"] = rows[f"{column}_clear"].eq(True)  # where there is no change it is NaN
    return rows


def _alone(one: pd.DataFrame, other: pd.DataFrame) -> tuple[str, ...]:
    """What the rows of `one` are called that the other has not."""
    both = pd.concat([one, other])
    return tuple(strategy_label(row, both) for _, row in one.iterrows() if matching_rows(other, row).empty)
