"""A mutant, chased until it is caught: the counting. Pure, but for `observe`, which it is given."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from ticketlab.checks.verdict import Status, Verdict
from ticketlab.power.plan import ScheduledRun, TrialSpec, escalated_trial
from ticketlab.tickets.strategies.mutants import Mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What came of one trial."""

    purchases: int
    """Those that were made, however they ended."""
    seconds: float
    """From the start until the last of them was over."""
    verdicts: tuple[Verdict, ...]


Observe: TypeAlias = Callable[[TrialSpec], TrialOutcome]
"""Makes a trial.

Raises:
    KeyboardInterrupt: it was interrupted; nothing was seen.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The first time that a check said INVALID of a mutant."""

    check: str
    buyers: int
    """Of the trial in which it did."""
    purchases: int
    """All that were made until then: those of this trial, and of the trials before it in the same chase."""
    seconds: float
    """Of buying, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRun:
    """One mutant once, until it was caught by the check that its mistake is meant for, or was not."""

    mutant: str
    repeat: int
    check: str
    """The check that is meant."""
    purchases: int
    seconds: float
    catches: tuple[Detection, ...]
    """By every check that caught it on the way, in that order."""

    @property
    def catch(self) -> Detection | None:
        """By the check that is meant; None where it was not caught."""
        return next((each for each in self.catches if each.check == self.check), None)


def run_until_detected(turn: ScheduledRun, mutant: Mutant, *, most: int, seed: int, observe: Observe) -> DetectionRun:
    """Press a mutant with more and more buyers until it is caught, or `most` purchases were made."""
    chance = Random(f"{seed} {turn.mutant} {turn.repeat}")  # of a text it is the same in every process
    catches: dict[str, Detection] = {}
    purchases, seconds, number = 0, 0.0, 0
    while purchases < most and mutant.breaks not in catches:
        pressed = escalated_trial(mutant.shows, number, most=most - purchases, chance=chance)
        seen = observe(pressed)
        purchases, seconds, number = purchases + seen.purchases, seconds + seen.seconds, number + 1
        for check in _found_wrong(seen.verdicts):
            first = Detection(check=check, buyers=pressed.plan.buyers, purchases=purchases, seconds=seconds)
            catches.setdefault(check, first)
    return DetectionRun(
        mutant=turn.mutant,
        repeat=turn.repeat,
        check=mutant.breaks,
        purchases=purchases,
        seconds=seconds,
        catches=tuple(catches.values()),
    )


def _found_wrong(verdicts: Iterable[Verdict]) -> list[str]:
    return [each.check for each in verdicts if each.status is Status.INVALID]
