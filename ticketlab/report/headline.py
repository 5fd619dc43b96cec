"""The verdict on a run with its reasons, and the fastest strategies. Frames in, sentences out.

A concern is why a run without a violation is amber, not green, and why it fails under --strict. It is no violation: a
strategy that makes no progress, or of which little was seen, is not shown to be right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pandas as pd

from ticketlab.checks.verdict import MAX_FAILURES, ProgressStatus, Status, worst
from ticketlab.report.captions import leaders, without_violation
from ticketlab.report.limits import evidence_texts, purchases_by, untried
from ticketlab.report.phrases import (
    GROUP,
    LISTED,
    NO_TRIALS,
    has_multiple,
    join_names,
    number,
    oversold_text,
    pluralize,
)
from ticketlab.report.summary import summarise

if TYPE_CHECKING:
    from ticketlab.checks.mutation_baseline import MutationBaseline
    from ticketlab.history.arrays import LoadPart
    from ticketlab.report.explain import TrialVerdict

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


def strict_failures(found: Iterable[Concern], untested: Sequence[str], verdicts: Iterable[TrialVerdict]) -> list[str]:
    """Sentences why a run fails under --strict; none if it passes.

    Args:
        found: the concerns: no progress fails, little evidence does not.
        untested: the faults that did not come in every trial or met no purchase, in words.
        verdicts: of all trials; UNKNOWN of a safe strategy fails.
    """
    undecided = [each for each in verdicts if each.safe and each.verdict.status is Status.UNKNOWN]
    return [
        *(each.text for each in found if each.kind is ConcernKind.NO_PROGRESS),
        *(f"Not tested in every trial: the {each}." for each in untested),
        *(f"Undecided: trial {each.trial}, {each.strategy}, {each.verdict.check}." for each in undecided),
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


IN_WORDS: Final = {
    Status.VALID: "No violation found",
    Status.INVALID: "Violations found",
    Status.UNKNOWN: "Undecided",
}
"""The verdict on a run in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict on the strategies that claim to be safe, and the sentences that explain it."""

    status: Status
    sentences: Sequence[str]
    concerns: Sequence[Concern] = ()
    """Why the run is amber if it is VALID."""

    @property
    def is_amber(self) -> bool:
        """Whether the run is VALID, but with concerns."""
        return self.status is Status.VALID and bool(self.concerns)

    @property
    def words(self) -> str:
        """The verdict in a few words."""
        if not self.is_amber:
            return IN_WORDS[self.status]
        kinds = {each.kind for each in self.concerns}
        doubt = "but no progress" if ConcernKind.NO_PROGRESS in kinds else "but little evidence"
        return f"{IN_WORDS[self.status]}, {doubt}"


def headline(
    measures: pd.DataFrame,
    power: MutationBaseline | None = None,
    *,
    concerns: Sequence[Concern] = (),
    tried: Collection[LoadPart] | None = None,
) -> Headline:
    """The verdict on a run. A control that was not detected leaves the run undecided.

    With VALID strategies the sentences also give the upper bound of their violation rate, the detection power of the
    checks if it is known, and what the load did not try.

    Args:
        measures: as `Run.measures` has them.
        power: what the checks detected in their calibration.
        concerns: why the run is amber; see `report.headline.concerns`.
        tried: the parts of a load that the run tried; None if that is not known, and no sentence mentions it.
    """
    if measures.empty:
        return Headline(status=Status.UNKNOWN, sentences=(f"{NO_TRIALS}.",))
    found = (
        measures.groupby(["strategy", "safe"], sort=False)["verdict"]
        .agg(lambda verdicts: str(worst(verdicts)))
        .reset_index()
    )
    sentences: list[str] = []
    for status in (Status.INVALID, Status.UNKNOWN, Status.VALID):
        names = list(found.loc[found["safe"] & (found["verdict"] == status), "strategy"])
        if names:
            sentences.append(_verdict_sentence(status, names, measures))
        if names and status is Status.VALID:
            sentences += evidence_texts(measures, names, power, tried or ())
            sentences += [said] if tried is not None and (said := untried(tried)) else []
    controls = found[~found["safe"]]
    detected = controls[controls["verdict"] == Status.INVALID]
    missed = controls[controls["verdict"] != Status.INVALID]
    sentences += [_detected_sentence(str(name), measures) for name in detected["strategy"]]
    if len(missed):
        undetected = join_names(list(missed["strategy"]))
        sentences.append(f"The control {undetected} was not detected, so this run does not show that the checks work.")
    status = worst(found.loc[found["safe"], "verdict"]) if found["safe"].any() else Status.UNKNOWN
    if status is Status.VALID and len(missed):
        status = Status.UNKNOWN
    if not found["safe"].any():
        sentences.append("Only controls were run.")
    doubts = [each.text for each in concerns]
    sentences = [*doubts, *sentences] if status is Status.VALID else [*sentences, *doubts]
    return Headline(status=status, sentences=tuple(sentences), concerns=tuple(concerns))


def _verdict_sentence(status: Status, names: Sequence[str], measures: pd.DataFrame) -> str:
    many = len(names) > 1
    if status is Status.INVALID:
        return f"Not safe, although {'they claim' if many else 'it claims'} to be: {join_names(names)}."
    if status is Status.UNKNOWN:
        return f"Undecided: {join_names(names)}. The checks could not decide."
    return held_sentence(measures, names)


def held_sentence(measures: pd.DataFrame, names: Sequence[str], most: int = LISTED) -> str:
    """The strategies without a violation, at most so many by name, and their trials."""
    trials = int(measures["strategy"].isin(names).sum())
    return f"{join_names(names, most)}: {pluralize(trials, 'trial')} without a violation."


def _detected_sentence(control: str, measures: pd.DataFrame) -> str:
    trials = measures[measures["strategy"] == control]
    worst_trial = trials.nlargest(1, "oversold").iloc[0]
    how = f": {oversold_text(worst_trial)}" if worst_trial["oversold"] > 0 else ""
    return f"The control {control} was detected, as it must be{how}."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """The strategies at one number of buyers."""

    buyers: int
    ranked: pd.DataFrame
    """Rows of the summary that sold anything, the fastest first."""
    names: Sequence[str]
    """The fastest strategy and those that are not clearly slower, sorted by name."""


def fastest(measures: pd.DataFrame) -> Iterator[str]:
    """Sentences about the fastest strategies by number of buyers, as far as the repeats show them.

    Only strategies that claim to be safe and have no violation are ranked.
    """
    ranked = without_violation(measures, measures)
    if not ranked["sales"].any():
        yield "None: no strategy that claims to be safe sold anything without a violation."
        return
    rows = summarise(ranked)
    pools = sorted(rows["pool_size"].unique())
    for pool_size in pools:
        pool = f", with a pool of {number(pool_size)}" if len(pools) > 1 else ""
        rankings = _rankings(rows[rows["pool_size"] == pool_size], ranked)
        # Neighbouring numbers of buyers with the same leaders share a sentence.
        stretches = [list(same) for _, same in groupby(rankings, key=lambda each: each.names)]
        for stretch in stretches:
            where = _where(stretch, last=stretch is stretches[-1], of=len(stretches))
            yield f"{where}{pool}: {_leaders_text(stretch)}."
    if not has_multiple(ranked["strategy"]):
        yield "There is no other safe strategy without a violation to compare it with."
    if not has_multiple(ranked["repeat"]):
        yield "Each setting was run once: one repeat shows no spread, so the order may be chance."


def _rankings(rows: pd.DataFrame, measures: pd.DataFrame) -> Iterator[Ranking]:
    """One for each number of buyers, the fewest first."""
    sold = rows[rows["per_s"] > 0].sort_values("per_s", ascending=False)
    for buyers in sorted(rows["buyers"].unique()):
        ranked = sold[sold["buyers"] == buyers]
        yield Ranking(buyers=buyers, ranked=ranked, names=sorted(leaders(ranked, measures)["strategy"]))


def _where(stretch: Sequence[Ranking], *, last: bool, of: int) -> str:
    """The numbers of buyers of a stretch; `of` is the number of stretches."""
    numbers = join_names([number(each.buyers) for each in stretch], most=len(stretch))
    if last and of > 1:
        return f"From {pluralize(stretch[0].buyers, 'buyer')} on"
    if len(stretch) > 1 and of == 1:
        return f"At every number of buyers that was tried ({numbers})"
    return f"With {numbers} buyer{'' if numbers == '1' else 's'}"


def _leaders_text(stretch: Sequence[Ranking]) -> str:
    """The leaders of all these rankings, and their lead in the last of them."""
    ranking = stretch[-1]
    if ranking.ranked.empty:
        return "nothing was sold"
    best = ranking.ranked.iloc[0]
    leader = f"{best['strategy']}, {_speeds(stretch)}"
    if len({each.ranked["strategy"].iloc[0] for each in stretch}) > 1:
        return f"{join_names(ranking.names, most=len(ranking.names))} do not differ clearly; at best {_speeds(stretch)}"
    if len(ranking.names) > 1:
        others = [name for name in ranking.names if name != best["strategy"]]
        return f"{leader}, but not clearly faster than {join_names(others, most=len(others))}"
    if len(ranking.ranked) == 1:
        return leader
    following = ranking.ranked.iloc[1]
    at = f" with {pluralize(ranking.buyers, 'buyer')}" if len(stretch) > 1 else ""
    return f"{leader}; {number(best['per_s'] / following['per_s'], 2)} times the next, {following['strategy']}{at}"


def _speeds(stretch: Sequence[Ranking]) -> str:
    """The highest speed: of one ranking with the range of the repeats, of several with their numbers of buyers."""
    best = [each.ranked.iloc[0] for each in stretch]
    if len(stretch) > 1:
        speeds = [f"{number(row['per_s'])} with {number(row['buyers'])}" for row in best]
        return f"{join_names(speeds, most=len(speeds))} buyers (sales/s)"
    if best[0]["repeats"] == 1:
        return f"{number(best[0]['per_s'])} sales/s"
    return f"{number(best[0]['per_s'])} sales/s ({number(best[0]['per_s_min'])} to {number(best[0]['per_s_max'])})"
