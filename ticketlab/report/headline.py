"""The verdict on a run: a word for the strategies that claim to be safe, and the sentences that say why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from ticketlab.checks.mutation_baseline import MutationBaseline
from ticketlab.checks.verdict import Status, worst
from ticketlab.history.arrays import LoadPart
from ticketlab.report.concerns import Concern, ConcernKind
from ticketlab.report.confidence import bound, detection_sentence, untried
from ticketlab.report.phrases import NO_TRIALS, join_names, oversold_text, pluralize

IN_WORDS: Final = {
    Status.VALID: "No violation found",
    Status.INVALID: "Violations found",
    Status.UNKNOWN: "Undecided",
}
"""The verdict on a run, as every view of it says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The verdict on a run: one word for the strategies that claim to be safe, and sentences that say why."""

    status: Status
    sentences: Sequence[str]
    concerns: Sequence[Concern] = ()
    """Why the run is amber where it is VALID."""

    @property
    def is_amber(self) -> bool:
        """Whether the run is VALID and yet not green."""
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
    """The verdict on a run. A control that was caught speaks for the run; one that was not leaves it undecided.

    A strategy that was found VALID has its bound beside it, the power of the checks at that setting where it is known,
    and what the load did not try.

    Args:
        measures: as `Run.measures` has them.
        power: what the checks detected in their calibration.
        concerns: why the run is amber; see `report.concerns`.
        tried: the parts of a load that the run tried; None where that is not known, and nothing is said of it.
    """
    if measures.empty:
        return Headline(status=Status.UNKNOWN, sentences=(f"{NO_TRIALS}.",))
    found = (
        measures.groupby(["strategy", "safe"], sort=False)["verdict"]
        .agg(lambda verdicts: str(worst(verdicts)))
        .reset_index()
    )
    trials = measures["strategy"].value_counts()
    sentences: list[str] = []
    for status in (Status.INVALID, Status.UNKNOWN, Status.VALID):
        names = list(found.loc[found["safe"] & (found["verdict"] == status), "strategy"])
        if names:
            sentences.append(_verdict_sentence(status, names, int(trials[names].sum())))
        if names and status is Status.VALID:
            sentences.append(bound(measures, names))
            sentences += [detection_sentence(power, measures, names, tried or ())] if power else []
            sentences += [said] if tried is not None and (said := untried(tried)) else []
    controls = found[~found["safe"]]
    caught = controls[controls["verdict"] == Status.INVALID]
    missed = controls[controls["verdict"] != Status.INVALID]
    sentences += [_caught_sentence(str(name), measures) for name in caught["strategy"]]
    if len(missed):
        controls_missed = join_names(list(missed["strategy"]))
        sentences.append(
            f"Not caught: the control {controls_missed}. This run does not show that the checks could have seen it."
        )
    status = worst(found.loc[found["safe"], "verdict"]) if found["safe"].any() else Status.UNKNOWN
    if status is Status.VALID and len(missed):
        status = Status.UNKNOWN
    if not found["safe"].any():
        sentences.append("Only controls were run.")
    doubts = [each.text for each in concerns]
    sentences = [*doubts, *sentences] if status is Status.VALID else [*sentences, *doubts]
    return Headline(status=status, sentences=tuple(sentences), concerns=tuple(concerns))


def _verdict_sentence(status: Status, names: Sequence[str], trials: int) -> str:
    many = len(names) > 1
    if status is Status.INVALID:
        return f"Wrong: {join_names(names)} broke what {'they promise' if many else 'it promises'}."
    if status is Status.UNKNOWN:
        return f"{join_names(names)}: the checks could not decide."
    return f"{join_names(names)}: {pluralize(trials, 'trial')} without a violation."


def _caught_sentence(control: str, measures: pd.DataFrame) -> str:
    trials = measures[measures["strategy"] == control]
    worst_trial = trials.nlargest(1, "oversold").iloc[0]
    how = f": {oversold_text(worst_trial)}" if worst_trial["oversold"] > 0 else ""
    return f"The control {control} was caught, as it must be{how}."
