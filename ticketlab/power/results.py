"""The results of a measurement of the checks, and what follows: detections per mutant, false alarms. Pure.

`MutationResults.as_json()` is what `ticketlab power --json` prints; `power.json` has the fields themselves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from ticketlab.checks.mutation_baseline import ENOUGH, MutantBaseline, MutationBaseline
from ticketlab.environment import DURABILITY
from ticketlab.history.arrays import LoadPart
from ticketlab.history.statistics import interval, upper_bound
from ticketlab.mutants import Mutant, Trigger
from ticketlab.power.plan import BUYERS, POOL_SIZE, MutationPlan, mistake_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The first time that a check said INVALID of a mutant."""

    check: str
    buyers: int
    """Of the trial in which it did."""
    purchases: int
    """All until then: those of this trial, and of the trials before it in the same detection run."""
    seconds: float
    """How long the buyers bought until then, all these trials together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRun:
    """One mutant once: trials until the expected check detected it, or until they had enough purchases."""

    mutant: str
    repeat: int
    check: str
    """The check that is expected to detect it."""
    purchases: int
    seconds: float
    detections: Annotated[tuple[Detection, ...], Field(alias="catches")]
    """By every check that detected it on the way, in that order."""

    @property
    def detection(self) -> Detection | None:
        """By the expected check; None where it did not detect the mutant."""
        return next((each for each in self.detections if each.check == self.check), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTrial:
    """The result of one trial of a safe strategy."""

    number: int
    """From 1; with the seed of the measurement it determines the plan."""
    strategy: str
    load: str
    """In words."""
    purchases: int
    seconds: float
    invalid: Mapping[str, str]
    """False alarms: by check, its summary."""
    unknown: Mapping[str, str]
    """By check that was UNKNOWN, its summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantInfo:
    """The description of a mutant, saved with its results."""

    name: str
    twin: str
    """The safe strategy without the mistake."""
    mistake: str
    check: str
    """The check that is expected to detect it."""
    setting: str
    """Its trigger."""
    needs: tuple[LoadPart, ...] = ()
    """The parts of a load without which the mistake has no effect."""


def describe(mutant: Mutant) -> MutantInfo:
    """The description of a mutant."""
    return MutantInfo(
        name=mutant.strategy.name,
        twin=mutant.base,
        mistake=mistake_of(mutant),
        check=mutant.expected_check,
        setting=str(mutant.trigger),
        needs=needs_of(mutant),
    )


def needs_of(mutant: Mutant) -> tuple[LoadPart, ...]:
    """The parts of a load without which a mutant's mistake has no effect."""
    quantities = (LoadPart.QUANTITIES,) if mutant.needs_quantity else ()
    return quantities if mutant.trigger is Trigger.LOAD else (*quantities, LoadPart(str(mutant.trigger)))


@dataclass(frozen=True, kw_only=True)
class MutantResult:
    """A mutant and its detection runs, at least one. Detections are those by the expected check."""

    mutant: MutantInfo
    runs: Sequence[DetectionRun]
    """In order of the repeats."""

    @cached_property
    def detections(self) -> list[Detection]:
        """One for each run that has one."""
        return [run.detection for run in self.runs if run.detection is not None]

    @property
    def missed(self) -> int:
        """The runs without a detection."""
        return len(self.runs) - len(self.detections)

    @property
    def reliably_detected(self) -> bool:
        """Whether at least 95 % of the runs have a detection."""
        return len(self.detections) >= ENOUGH * len(self.runs)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the share of runs with a detection."""
        return interval(len(self.detections), len(self.runs))

    @property
    def detections_by_check(self) -> Counter[str]:
        """By check the number of runs in which it detected the mutant; the expected check comes first."""
        counts = Counter(detection.check for run in self.runs for detection in run.detections)
        return Counter({name: counts[name] for name in sorted(counts, key=lambda name: name != self.mutant.check)})

    @property
    def median_purchases(self) -> float | None:
        """Until the detection; None without one."""
        return median(each.purchases for each in self.detections) if self.detections else None

    @property
    def most_purchases(self) -> int | None:
        """Until the latest detection; None without one."""
        return max((each.purchases for each in self.detections), default=None)

    @property
    def median_seconds(self) -> float | None:
        """Of buying, until the detection; None without one."""
        return median(each.seconds for each in self.detections) if self.detections else None

    @property
    def until_detected(self) -> dict[str, tuple[int | None, ...]]:
        """For each run the purchases until the detection, and the buyers of its trial; None without one."""
        return {
            "purchases": tuple(run.detection.purchases if run.detection else None for run in self.runs),
            "buyers": tuple(run.detection.buyers if run.detection else None for run in self.runs),
        }

    def baseline(self) -> MutantBaseline:
        """What reports need of it."""
        mutant, until = self.mutant, self.until_detected
        return MutantBaseline(
            name=mutant.name,
            twin=mutant.twin,
            mistake=mutant.mistake,
            check=mutant.check,
            purchases=until["purchases"],
            buyers=until["buyers"],
            needs=mutant.needs,
        )

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        info = asdict(self.mutant)
        del info["name"]
        return info | {
            "repeats": len(self.runs),
            "caught": len(self.detections),
            "power": list(self.interval),
            **{name: list(values) for name, values in self.until_detected.items()},
            **{name: getattr(self, name) for name in ("median_purchases", "most_purchases", "median_seconds")},
            "by": dict(self.detections_by_check),
        }


@dataclass(frozen=True, kw_only=True)
class MutationResults:
    """All measurements, and their environment."""

    plan: Annotated[MutationPlan, Field(alias="exam")]
    """What was to be run; `exam` in power.json."""
    environment: Mapping[str, Any]
    """As `trial_runner.environment_info` returns it."""
    mutants: tuple[MutantInfo, ...]
    """Those of the plan."""
    runs: Annotated[tuple[DetectionRun, ...], Field(alias="chases")]
    """The detection runs, in order of execution."""
    safe: tuple[SafeTrial, ...]
    """The trials of safe strategies, in which every INVALID is a false alarm."""

    @cached_property
    def found(self) -> list[MutantResult]:
        """The result of each mutant with at least one detection run."""
        runs = {mutant.name: [run for run in self.runs if run.mutant == mutant.name] for mutant in self.mutants}
        return [MutantResult(mutant=mutant, runs=runs[mutant.name]) for mutant in self.mutants if runs[mutant.name]]

    @property
    def undetected(self) -> list[str]:
        """The mutants that were missed too often, whatever the result of missing repeats."""
        repeats = self.plan.repeats
        return [each.mutant.name for each in self.found if repeats - each.missed < ENOUGH * repeats]

    @property
    def false_alarms(self) -> list[SafeTrial]:
        """The trials of safe strategies in which a check said INVALID."""
        return [each for each in self.safe if each.invalid]

    @property
    def undecided(self) -> int:
        """The number of these trials in which a check said UNKNOWN."""
        return sum(bool(each.unknown) for each in self.safe)

    @property
    def wrong(self) -> bool:
        """Whether a mutant was missed too often, or a safe strategy was accused."""
        return bool(self.undetected or self.false_alarms)

    @property
    def ended_early(self) -> bool:
        """Whether detection runs or trials are missing."""
        planned = len(self.plan.mutants) * self.plan.repeats
        return len(self.runs) < planned or len(self.safe) < self.plan.trials

    @property
    def conditions(self) -> str:
        """Server, durability, load, limits and processors in one line."""
        plan, server, cpus = self.plan, self.environment["server"], self.environment["machine"]["cpus"]
        settings = [f"{name} {server['settings'].get(name, '?')}" for name in (*DURABILITY, "deadlock_timeout")]
        return " · ".join(
            [
                f"PostgreSQL {server['version']} ({server['kind']})",
                ", ".join(settings),
                f"{', '.join(map(str, BUYERS))} buyers in turn, pool of {POOL_SIZE}",
                f"at most {plan.purchases:,} purchases",
                f"{plan.repeats} repeat{'s' if plan.repeats != 1 else ''}",
                f"seed {plan.seed}",
                f"{cpus} CPU{'s' if cpus != 1 else ''} for server and buyers together",
            ]
        )

    @property
    def sentences(self) -> list[str]:
        """The summary."""
        summary = ["It was ended early: the following is about the results so far."] if self.ended_early else []
        if self.found:
            reliable = sum(each.reliably_detected for each in self.found)
            summary.append(
                f"{reliable} of {len(self.found)} mutants were detected by the expected check in at least "
                f"{ENOUGH:.0%} of their repeats, within {self.plan.purchases:,} purchases."
            )
        if self.safe:
            alarms, trials = len(self.false_alarms), len(self.safe)
            summary.append(
                f"{alarms} false alarm{'' if alarms == 1 else 's'} in {trials:,} trials of safe strategies: at most "
                f"{upper_bound(alarms, trials):.1%} of such trials raise one, at 95 % confidence. In "
                f"{self.undecided:,} a check was UNKNOWN."
            )
        return summary

    @property
    def frame(self) -> pd.DataFrame:
        """A row per detection: mutant, repeat, the expected check (`meant`), and the fields of Detection.

        A run without any detection has one row, with the check "", no buyers, and all its purchases.
        """
        rows = []
        for run in self.runs:
            keys = {"mutant": run.mutant, "repeat": run.repeat, "meant": run.check}
            none = {"check": "", "buyers": 0, "purchases": run.purchases, "seconds": run.seconds}
            rows += [keys | asdict(detection) for detection in run.detections] or [keys | none]
        columns = ["mutant", "repeat", "meant", "check", "buyers", "purchases", "seconds"]
        return pd.DataFrame(rows, columns=columns)

    def known(self) -> MutationBaseline:
        """The part that is shipped with the package, for reports."""
        return MutationBaseline(
            conditions=self.conditions,
            mutants=tuple(each.baseline() for each in self.found),
            trials=len(self.safe),
            false_alarms=len(self.false_alarms),
        )

    def as_json(self) -> dict[str, Any]:
        """The results as plain data."""
        alarms, trials = len(self.false_alarms), len(self.safe)
        return {
            "conditions": self.conditions,
            **{name: getattr(self.plan, name) for name in ("repeats", "purchases", "seed")},
            "ended_early": self.ended_early,
            "weak": self.undetected,
            "mutants": {each.mutant.name: each.as_json() for each in self.found},
            "safe": {
                "trials": trials,
                "purchases": sum(each.purchases for each in self.safe),
                "undecided": self.undecided,
                "at_most": upper_bound(alarms, trials) if trials else None,
                "false_alarms": [asdict(each) for each in self.false_alarms],
            },
        }
