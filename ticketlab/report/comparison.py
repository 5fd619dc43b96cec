"""Two runs compared: the speeds of their strategies, the verdicts that changed, and what fails a gate. Pure.

`ticketlab.report.summary.changes_of` decides how much two speeds differ and whether that is clear.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError
from ticketlab.history.statistics import Ratio
from ticketlab.report._caption import strategy_label
from ticketlab.report.captions import changes_of
from ticketlab.report.model import Report, RunResults, differences, labelled_measures
from ticketlab.report.phrases import GROUP, join_names, matching_rows, number
from ticketlab.report.summary import summarise

if TYPE_CHECKING:
    from ticketlab.report.explain import TrialVerdict

MEASURED: Final = ("purchases_per_s", "p95_ms")
"""The columns of measures that are compared, the second run divided by the first."""
_CHANGE: Final = ("typical_first", "typical", "ratio", "low", "high", "clear")
_SUMMARISED: Final = ("verdict", "repeats", "sales", "retries_per_sale")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunComparison:
    """Two runs, and how each strategy changed from the first to the second."""

    first: RunResults
    """The baseline."""
    second: RunResults
    """The run that is compared with the baseline."""
    rows: pd.DataFrame
    """One row per strategy and setting that both runs have, in the order of a summary. Columns: those of GROUP and
    `safe`; `verdict`, `repeats`, `sales` and `retries_per_sale` of the second run, and of the first with `_first`; and
    for each column of MEASURED its change as in `changes_of`, such as `p95_ms_ratio`: NaN if there is none."""
    only_first: tuple[str, ...]
    """The strategies that only the first run has, with their settings if these vary: "atomic (16 buyers)"."""
    only_second: tuple[str, ...]
    """The strategies that only the second run has."""

    @property
    def differences(self) -> list[dict[str, Any]]:
        """The settings that differ between the runs; see `comparison.differences`."""
        return differences(Report(runs=[self.first, self.second]))


def versus(report: Report, *, strategies: Collection[str] = ()) -> RunComparison:
    """Compare the two runs of a report.

    Args:
        report: of two runs.
        strategies: only these; by default all.

    Raises:
        InvalidInputError: neither run has one of these strategies.
    """
    first, second = (_restricted(run, strategies) for run in report.runs)
    if missing := set(strategies) - set(first.measures["strategy"]) - set(second.measures["strategy"]):
        known = dict.fromkeys(pd.concat([run.measures["strategy"] for run in report.runs]))
        raise InvalidInputError(f"Neither run has {join_names(sorted(missing))}. They have: {', '.join(known)}.")
    ones, others = (summarise(run.measures) for run in (first, second))
    paired = others[[*GROUP, "safe", *_SUMMARISED]].merge(
        ones[[*GROUP, *_SUMMARISED]], on=list(GROUP), suffixes=("", "_first")
    )
    return RunComparison(
        first=first,
        second=second,
        rows=_with_changes(paired, labelled_measures(Report(runs=[first, second]))),
        only_first=_only_in(ones, others),
        only_second=_only_in(others, ones),
    )


def _restricted(run: RunResults, strategies: Collection[str]) -> RunResults:
    """A run with only these strategies; with all of them if none is given."""
    if not strategies:
        return run
    verdicts = [each for each in run.verdicts if each.strategy in strategies]
    return replace(run, measures=run.measures[run.measures["strategy"].isin(list(strategies))], verdicts=verdicts)


def _with_changes(rows: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    for column in MEASURED:
        changes = changes_of(measures, column)[[*GROUP, *_CHANGE]]
        named = changes.rename(columns={name: f"{column}_{name}" for name in _CHANGE})
        rows = rows.merge(named, on=list(GROUP), how="left")
        rows[f"{column}_clear"] = rows[f"{column}_clear"].eq(True)  # NaN without a change
    return rows


def _only_in(one: pd.DataFrame, other: pd.DataFrame) -> tuple[str, ...]:
    both = pd.concat([one, other])
    return tuple(strategy_label(row, both) for _, row in one.iterrows() if matching_rows(other, row).empty)


class ChangeKind(IntEnum):
    """How a verdict changed, the worst first."""

    WRONG = 0
    """INVALID, and was not before."""
    WORSE = 1
    """INVALID as before, with a new anomaly."""
    UNDECIDED = 2
    """UNKNOWN, and was VALID before."""
    NOT_SEEN = 3
    """No longer INVALID, which does not prove that nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """A verdict of a `strategy` that changed, in a sentence."""

    strategy: str
    safe: bool
    """Whether the strategy claims to be safe."""
    turn: ChangeKind
    """How it changed."""
    sentence: str
    """Both verdicts, the anomalies and the first trial that shows them."""

    @property
    def is_regression(self) -> bool:
        """Whether a strategy that claims to be safe became less so; a control is meant to be detected."""
        return self.safe and self.turn is not ChangeKind.NOT_SEEN


def news_of(both: RunComparison) -> list[VerdictChange]:
    """Every verdict of the second run that is new or differs from the first run; regressions first."""
    before, after = summarise(both.first.measures), summarise(both.second.measures)
    everywhere = pd.concat([before, after])
    changes = [
        _verdict_change(both, strategy_label(row, everywhere), row, matching_rows(before, row))
        for _, row in after.iterrows()
    ]
    return sorted((each for each in changes if each), key=lambda each: (not each.is_regression, each.turn))


def _verdict_change(both: RunComparison, name: str, row: pd.Series, before: pd.DataFrame) -> VerdictChange | None:
    was = Status(before["verdict"].iloc[0]) if len(before) else None
    now = Status(row["verdict"])
    violations = _with_status(both.second.verdicts, row, now)
    known = {each.name for each in _with_status(both.first.verdicts, row, now)}
    new = [each for each in violations if each.name not in known]
    turn = _change_kind(was, now, new)
    if turn is None:
        return None
    label = name if row["safe"] else f"{name}, a control"
    sentence = f"{label}: {_from_to(was, now)}{_because(new if turn is ChangeKind.WORSE else violations)}."
    return VerdictChange(strategy=row["strategy"], safe=bool(row["safe"]), turn=turn, sentence=sentence)


def _change_kind(was: Status | None, now: Status, new: Sequence[TrialVerdict]) -> ChangeKind | None:
    if now is Status.INVALID:
        return ChangeKind.WRONG if was is not Status.INVALID else ChangeKind.WORSE if new else None
    if was is Status.INVALID:
        return ChangeKind.NOT_SEEN
    return ChangeKind.UNDECIDED if now is Status.UNKNOWN and was is not Status.UNKNOWN else None


def _with_status(verdicts: Sequence[TrialVerdict], row: pd.Series, status: Status) -> list[TrialVerdict]:
    """The verdicts of a strategy and setting with this status; none if it is VALID."""
    if status is Status.VALID:
        return []
    of_it = [each for each in verdicts if all(getattr(each, name) == row[name] for name in GROUP)]
    return [each for each in of_it if each.verdict.status is status]


def _from_to(was: Status | None, now: Status) -> str:
    if was is None:
        return f"only in the second run, and {now} there"
    return f"{now} as before, with a new anomaly" if was is now else f"{was} in the first run, {now} in the second"


def _because(violations: Sequence[TrialVerdict]) -> str:
    """The anomalies, and the summary of the first violation."""
    if not violations:
        return ""
    first = violations[0]
    anomalies = join_names(list(dict.fromkeys(each.name for each in violations)))
    return f": {anomalies}. In trial {first.trial}, {first.verdict.check}: {first.verdict.summary.rstrip('.')}"


def regressions(both: RunComparison, *, below: float) -> list[str]:
    """Why the second run fails the gate, one sentence each; empty if it passes.

    It fails if a strategy that claims to be safe has a violation that the first run does not have, or if the sales per
    second of a strategy are surely less than `below` times those of the first run: with the whole 95 % interval, or
    without an interval with the ratio itself. With an interval, an unchanged strategy fails with `below` 1 in at most
    2.5 of 100 comparisons, for each strategy and setting.

    Raises:
        InvalidInputError: `below` is not above 0, or the runs share no strategy and setting.
    """
    check_limit(below)
    if both.rows.empty:
        raise InvalidInputError(
            "The runs share no strategy in the same setting (buyers, pool), so --fail-below has nothing to compare. "
            "Run the same strategies with the same numbers again."
        )
    proven = _proven_wrong(both.second) - _proven_wrong(both.first)
    doubted = set(both.second.wrong) - set(both.first.wrong)
    wrong = [
        f"{name} claims to be safe, and its verdict in the second run is worse than in the first."
        for name in dict.fromkeys(both.second.measures["strategy"])
        if name in proven | doubted
    ]
    return wrong + list(_slower(both.rows, below))


def check_limit(below: float) -> None:
    """Refuse a limit that is not a ratio.

    Raises:
        InvalidInputError: it is not above 0, or not finite.
    """
    if not (isfinite(below) and below > 0):
        raise InvalidInputError(f"--fail-below takes a ratio above 0, such as 0.9 for nine tenths, not {below:g}.")


def _proven_wrong(run: RunResults) -> set[str]:
    invalid = run.measures["safe"].astype(bool) & (run.measures["verdict"] == Status.INVALID)
    return set(run.measures.loc[invalid, "strategy"])


def _slower(rows: pd.DataFrame, below: float) -> Iterator[str]:
    for _, row in rows.iterrows():
        ratio = _speed(row)
        if not ratio.surely_below(below):
            continue
        why = f"below {below:g}. Without an interval, which takes two repeats that sold, the ratio itself counts."
        if ratio.has_interval:
            why = f"surely below {below:g} (95 % interval {number(ratio.low)} to {number(ratio.high)})."
        yield f"{strategy_label(row, rows)} has {number(ratio.value)} times the sales/s of the first run, {why}"


def inconclusive(both: RunComparison, *, below: float) -> list[str]:
    """The strategies whose ratio is below the limit, but not surely, so that they pass: they need more repeats."""
    ratios = [(strategy_label(row, both.rows), _speed(row)) for _, row in both.rows.iterrows()]
    return [name for name, ratio in ratios if ratio.value < below and not ratio.surely_below(below)]


def _speed(row: pd.Series) -> Ratio:
    return Ratio(value=row["purchases_per_s_ratio"], low=row["purchases_per_s_low"], high=row["purchases_per_s_high"])
