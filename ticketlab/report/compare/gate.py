"""Whether a run falls short of an earlier one, so that continuous integration must stop, and why, in sentences."""

from collections.abc import Iterator
from math import isfinite

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.errors import InvalidInputError
from ticketlab.history.statistics import Ratio
from ticketlab.report.compare.pairs import RunComparison
from ticketlab.report.findings.caption import strategy_label
from ticketlab.report.model import RunResults
from ticketlab.report.phrases import number


def regressions(both: RunComparison, *, below: float) -> list[str]:
    """Why the second run does not pass, a sentence each; none where it passes.

    It does not where a strategy that claims to be safe was found wrong and was not before, or where the purchases per
    second of a strategy that both have are surely less than `below` times those of the first run: with the whole 95 %
    interval, or where there is none with the ratio itself. With an interval a strategy that has not changed is
    taken for one that fell below 1 in at most 2.5 of 100 comparisons, each strategy and setting by itself.

    Raises:
        InvalidInputError: `below` is not above 0, or the runs have nothing in common to go by.
    """
    check_limit(below)
    if both.rows.empty:
        raise InvalidInputError(
            "The runs have no strategy in the same setting (buyers, pool) in common: there is nothing for --fail-below "
            "to go by. Run the same strategies with the same numbers again."
        )
    wrong = [
        f"{name} claims to be safe, and was found wrong in the second run and not in the first."
        for name in _newly_wrong(both)
    ]
    return wrong + list(_slower(both.rows, below))


def check_limit(below: float) -> None:
    """Refuse what no ratio can be held against.

    Raises:
        InvalidInputError: it is not above 0, or not finite.
    """
    if not (isfinite(below) and below > 0):
        raise InvalidInputError(f"--fail-below takes a ratio above 0, such as 0.9 for nine tenths, not {below:g}.")


def _newly_wrong(both: RunComparison) -> list[str]:
    """Proven wrong and not before, or no longer shown to be right."""
    proven = _proven_wrong(both.second) - _proven_wrong(both.first)
    doubted = set(both.second.wrong) - set(both.first.wrong)
    return [name for name in dict.fromkeys(both.second.measures["strategy"]) if name in proven | doubted]


def _proven_wrong(run: RunResults) -> set[str]:
    invalid = run.measures["safe"].astype(bool) & (run.measures["verdict"] == Status.INVALID)
    return set(run.measures.loc[invalid, "strategy"])


def _slower(rows: pd.DataFrame, below: float) -> Iterator[str]:
    for _, row in rows.iterrows():
        ratio = _speed(row)
        if ratio.surely_below(below):
            times = f"{number(ratio.value)} times the purchases/s of the first run"
            yield f"{strategy_label(row, rows)} sold {times}, {_how(ratio, below)}"


def inconclusive(both: RunComparison, *, below: float) -> list[str]:
    """The strategies whose ratio is below the limit, but not surely, so that they pass: too few repeats to tell."""
    ratios = [(strategy_label(row, both.rows), _speed(row)) for _, row in both.rows.iterrows()]
    return [name for name, ratio in ratios if ratio.value < below and not ratio.surely_below(below)]


def _speed(row: pd.Series) -> Ratio:
    of = "purchases_per_s"
    return Ratio(value=row[f"{of}_ratio"], low=row[f"{of}_low"], high=row[f"{of}_high"])


def _how(ratio: Ratio, below: float) -> str:
    if ratio.has_interval:
        return f"{number(ratio.low)} to {number(ratio.high)} at 95 %: surely below {below:g}."
    return f"below {below:g}: without repeats that all sold there is no interval, so the ratio itself counts."
