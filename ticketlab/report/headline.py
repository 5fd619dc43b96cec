"""The verdict on a run: a word for the strategies that claim to be safe, and the sentences that say why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from ticketlab.evidence.power import KnownPower
from ticketlab.evidence.verdict import Status, worst
from ticketlab.report.bound import bound, powerful
from ticketlab.report.words import NO_TRIALS, counted, listed, oversold_text

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


def headline(measures: pd.DataFrame, power: KnownPower | None = None) -> Headline:
    """The verdict on a run. A control that was caught speaks for the run; one that was not leaves it undecided.

    What was found VALID has its bound beside it, and where it is known the power of the checks at that setting.
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
            sentences += [powerful(power, measures, names)] if power else []
    controls = found[~found["safe"]]
    caught = controls[controls["verdict"] == Status.INVALID]
    missed = controls[controls["verdict"] != Status.INVALID]
    sentences += [_caught_sentence(str(name), measures) for name in caught["strategy"]]
    if len(missed):
        controls_missed = listed(list(missed["strategy"]))
        sentences.append(
            f"Not caught: the control {controls_missed}. This run does not show that the checks could have seen it."
        )
    status = worst(found.loc[found["safe"], "verdict"]) if found["safe"].any() else Status.UNKNOWN
    if status is Status.VALID and len(missed):
        status = Status.UNKNOWN
    if not found["safe"].any():
        sentences.append("Only controls were run.")
    return Headline(status=status, sentences=tuple(sentences))


def _verdict_sentence(status: Status, names: Sequence[str], trials: int) -> str:
    many = len(names) > 1
    if status is Status.INVALID:
        return f"Wrong: {listed(names)} broke what {'they promise' if many else 'it promises'}."
    if status is Status.UNKNOWN:
        return f"{listed(names)}: the checks could not decide."
    return f"{listed(names)}: {counted(trials, 'trial')} without a violation."


def _caught_sentence(control: str, measures: pd.DataFrame) -> str:
    trials = measures[measures["strategy"] == control]
    worst_trial = trials.nlargest(1, "oversold").iloc[0]
    how = f": {oversold_text(worst_trial)}" if worst_trial["oversold"] > 0 else ""
    return f"The control {control} was caught, as it must be{how}."
