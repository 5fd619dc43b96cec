"""Reasons why a run without a violation is amber, not green, and why it fails under --strict. Pure: frames in.

A concern is no violation. A strategy that makes no progress, or of which little was seen, is not shown to be right.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import pandas as pd

from ticketlab.checks.progress import MAX_FAILURES, ProgressStatus
from ticketlab.checks.verdict import Status, worst
from ticketlab.report.confidence import purchases_by
from ticketlab.report.phrases import GROUP, join_names, number, pluralize

FEWEST_REPEATS: Final = 3
FEWEST_PURCHASES: Final = 300
"""With no violation in so many, at most 1 % of purchases go wrong, at 95 % confidence."""


class ConcernKind(StrEnum):
    """The kinds of reasons that make a run amber."""

    NO_PROGRESS = "no progress"
    LITTLE_EVIDENCE = "little evidence"
    NO_CONTROL = "no control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """A reason not to trust a run without a violation."""

    kind: ConcernKind
    strategies: tuple[str, ...]
    """The strategies concerned; all of them claim to be safe."""
    text: str
    """The reason, in sentences."""


def concerns(
    measures: pd.DataFrame,
    *,
    max_failures: float = MAX_FAILURES,
    baskets: bool = False,
    own_tables: Sequence[str] = (),
) -> list[Concern]:
    """The concerns about the strategies of a run that claim to be safe.

    Args:
        measures: as `Run.measures` has them.
        max_failures: the share of purchases that were allowed to fail.
        baskets: whether purchases were of several events.
        own_tables: the strategies that sell from tables of a user's own.
    """
    safe = measures[measures["safe"].astype(bool)]
    verdicts = {str(name): worst(each) for name, each in safe.groupby("strategy", sort=False)["verdict"]}
    held = [name for name, verdict in verdicts.items() if verdict is Status.VALID]
    found = list(_no_progress(safe, max_failures))
    if held:
        found += [*_little_evidence(measures, held), *_no_control(measures, held, baskets, own_tables)]
    return found


def doubts(row: pd.Series, found: Sequence[Concern]) -> list[str]:
    """The concerns about a row of a summary, in words: no progress, little evidence."""
    little = any(each.kind is ConcernKind.LITTLE_EVIDENCE and row["strategy"] in each.strategies for each in found)
    stuck = row["progress"] == ProgressStatus.NO_PROGRESS
    return [str(ConcernKind.NO_PROGRESS)] * stuck + [str(ConcernKind.LITTLE_EVIDENCE)] * little


def is_amber(row: pd.Series, found: Sequence[Concern]) -> bool:
    """Whether a row of a summary is VALID but amber."""
    without_control = any(row["strategy"] in each.strategies for each in found if each.kind is ConcernKind.NO_CONTROL)
    return bool(row["verdict"] == Status.VALID and (doubts(row, found) or without_control))


def strict_failures(
    found: Iterable[Concern], untested: Sequence[str], verdicts: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Sentences why a run fails under --strict; none if it passes.

    Args:
        found: the concerns: no progress fails, little evidence does not.
        untested: the faults that did not come in every trial or met no purchase, in words.
        verdicts: rows with `trial`, `strategy`, `safe`, `check` and `status`; UNKNOWN of a safe strategy fails.
    """
    undecided = [each for each in verdicts if each["safe"] and each["status"] == Status.UNKNOWN]
    return [
        *(each.text for each in found if each.kind is ConcernKind.NO_PROGRESS),
        *(f"Not tested in every trial: the {each}." for each in untested),
        *(f"Undecided: trial {each['trial']}, {each['strategy']}, {each['check']}." for each in undecided),
    ]


def no_control_text(*, baskets: bool = False, own_tables: bool = False) -> str:
    """The sentence about a run without a control: what it does not show, and how to add a control."""
    if own_tables:
        remedy = (
            "ticketlab's controls do not sell from your tables: judge your function with a known mistake too, "
            "adopted with safe=False"
        )
    else:
        remedy = f"Add one: -s {'basket_unordered' if baskets else 'naive'}"
    return f"No control was run: nothing shows that this load could have brought a flaw to light. {remedy}."


def _no_progress(safe: pd.DataFrame, max_failures: float) -> Iterator[Concern]:
    for name, trials in safe.groupby("strategy", sort=False):
        stuck = trials[trials["progress"] == ProgressStatus.NO_PROGRESS]
        if stuck.empty:
            continue
        at_worst = stuck.nlargest(1, "failure_share").iloc[0]
        failed = f"{number(at_worst['failed_with_seats'])} of {pluralize(at_worst['found_seats'], 'purchase')}"
        share = f"{number(100 * at_worst['failure_share'])} %, at most {100 * max_failures:g} % may"
        text = (
            f"{name} made no progress in {number(len(stuck))} of {pluralize(len(trials), 'trial')}: at worst {failed} "
            f"failed while seats were left ({share}; trial {at_worst['trial']})."
        )
        yield Concern(kind=ConcernKind.NO_PROGRESS, strategies=(str(name),), text=text)


def _little_evidence(measures: pd.DataFrame, held: Sequence[str]) -> Iterator[Concern]:
    """Too few repeats, too few purchases, or no purchase that found seats."""
    trials = measures[measures["strategy"].isin(held)]
    repeats = trials.groupby(list(GROUP), sort=False).size().groupby("strategy", sort=False).min()
    few = {str(name): int(count) for name, count in repeats.items() if count < FEWEST_REPEATS}
    if few:
        yield _evidence(
            few,
            f"{join_names(list(few))} had {pluralize(min(few.values()), 'repeat')}; at least {FEWEST_REPEATS} show "
            "whether a result holds again.",
        )
    counts = {str(name): int(count) for name, count in purchases_by(measures, held).items()}
    few = {name: count for name, count in counts.items() if count < FEWEST_PURCHASES}
    if few:
        made = join_names([f"{name} made {pluralize(count, 'purchase')}" for name, count in few.items()])
        yield _evidence(few, f"{made}; at least {FEWEST_PURCHASES} are needed to say that at most 1 % go wrong.")
    idle = trials.groupby("strategy", sort=False)["progress"].agg(lambda each: set(each) == {ProgressStatus.NOT_TRIED})
    without_seats = [str(name) for name, none in idle.items() if none]
    if without_seats:
        yield _evidence(
            without_seats,
            f"no purchase of {join_names(without_seats)} found seats, so nothing could be oversold. Put seats on sale: "
            "--stock.",
        )


def _evidence(strategies: Iterable[str], text: str) -> Concern:
    return Concern(kind=ConcernKind.LITTLE_EVIDENCE, strategies=tuple(strategies), text=f"Little evidence: {text}")


def _no_control(
    measures: pd.DataFrame, held: Sequence[str], baskets: bool, own_tables: Sequence[str]
) -> Iterator[Concern]:
    """Whether no control was run. A control that was run but not detected is a matter of the headline."""
    if measures["safe"].all():
        text = no_control_text(baskets=baskets, own_tables=set(held) <= set(own_tables))
        yield Concern(kind=ConcernKind.NO_CONTROL, strategies=tuple(held), text=text)
