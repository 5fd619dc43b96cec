"""What came of one mutant: how often it was caught, how soon, and by which checks. Arithmetic on its chases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Any

import pandas as pd

from ticketlab.checks.mutation_baseline import ENOUGH, MutantBaseline, MutationBaseline
from ticketlab.history.arrays import LoadPart
from ticketlab.history.statistics import interval, upper_bound
from ticketlab.mutants import Mutant, Trigger
from ticketlab.power.detection import Detection, DetectionRun
from ticketlab.power.false_positives import SafeTrial
from ticketlab.power.plan import BUYERS, POOL_SIZE, MutationPlan, mistake_of
from ticketlab.report.model import DURABILITY


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantInfo:
    """A mutant as it was: what is said of it is kept with what was measured."""

    name: str
    twin: str
    mistake: str
    check: str
    """The check that its mistake is meant for."""
    setting: str
    needs: tuple[LoadPart, ...] = ()
    """The parts of a load without which the mistake cannot show."""


def examined(mutant: Mutant) -> MutantInfo:
    """What is kept of a mutant."""
    return MutantInfo(
        name=mutant.strategy.name,
        twin=mutant.base,
        mistake=mistake_of(mutant),
        check=mutant.expected_check,
        setting=str(mutant.trigger),
        needs=needs_of(mutant),
    )


def needs_of(mutant: Mutant) -> tuple[LoadPart, ...]:
    """The parts of a load without which a mutant's mistake cannot show."""
    quantities = (LoadPart.QUANTITIES,) if mutant.needs_quantity else ()
    return quantities if mutant.trigger is Trigger.LOAD else (*quantities, LoadPart(str(mutant.trigger)))


@dataclass(frozen=True, kw_only=True)
class MutantResult:
    """A mutant, and the chases of it, of which there is at least one."""

    mutant: MutantInfo
    chases: Sequence[DetectionRun]
    """In order of the repeats."""

    @cached_property
    def caught(self) -> list[Detection]:
        """Its catches by the check that is meant, of those repeats in which there was one."""
        return [each.catch for each in self.chases if each.catch is not None]

    @property
    def missed(self) -> int:
        """The repeats in which there was none."""
        return len(self.chases) - len(self.caught)

    @property
    def reliably_detected(self) -> bool:
        """Whether it was caught in at least 95 % of the repeats that were made."""
        return len(self.caught) >= ENOUGH * len(self.chases)

    @property
    def interval(self) -> tuple[float, float]:
        """The shares of repeats that go with what was counted, at 95 %."""
        return interval(len(self.caught), len(self.chases))

    @property
    def detections_by_check(self) -> Counter[str]:
        """Of each check in how many repeats it caught the mutant, by then; the check that is meant comes first."""
        counts = Counter(each.check for chase in self.chases for each in chase.catches)
        return Counter({name: counts[name] for name in sorted(counts, key=lambda name: name != self.mutant.check)})

    @property
    def median_purchases(self) -> float | None:
        """Until it was caught; None where it never was."""
        return median(each.purchases for each in self.caught) if self.caught else None

    @property
    def most_purchases(self) -> int | None:
        """The most that were needed; None where it was never caught."""
        return max((each.purchases for each in self.caught), default=None)

    @property
    def median_seconds(self) -> float | None:
        """Of buying, until it was caught; None where it never was."""
        return median(each.seconds for each in self.caught) if self.caught else None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was measured, and where."""

    exam: MutationPlan
    """What was asked for."""
    environment: Mapping[str, Any]
    """As `run_folder.surroundings` has it."""
    mutants: tuple[MutantInfo, ...]
    """Those that were chased, with the check that is meant for each."""
    chases: tuple[DetectionRun, ...]
    """Those that were made, in order of execution."""
    safe: tuple[SafeTrial, ...]
    """The trials of safe strategies, in which every INVALID is a false alarm."""

    @cached_property
    def found(self) -> list[MutantResult]:
        """What came of each mutant that was chased at least once."""
        chases = {each.name: [chase for chase in self.chases if chase.mutant == each.name] for each in self.mutants}
        return [MutantResult(mutant=each, chases=chases[each.name]) for each in self.mutants if chases[each.name]]

    @property
    def undetected(self) -> list[str]:
        """The mutants that were missed too often, whatever becomes of repeats that were not made."""
        too_few = [each for each in self.found if self.exam.repeats - each.missed < ENOUGH * self.exam.repeats]
        return [each.mutant.name for each in too_few]

    @property
    def false_alarms(self) -> list[SafeTrial]:
        """The trials of safe strategies in which a check said INVALID."""
        return [each for each in self.safe if each.invalid]

    @property
    def undecided(self) -> int:
        """In how many of these trials a check said UNKNOWN."""
        return sum(bool(each.unknown) for each in self.safe)

    @property
    def wrong(self) -> bool:
        """Whether a mutant was missed too often, or an alarm was false."""
        return bool(self.undetected or self.false_alarms)

    @property
    def ended_early(self) -> bool:
        """Whether chases or trials are missing."""
        wanted = len(self.exam.mutants) * self.exam.repeats
        return len(self.chases) < wanted or len(self.safe) < self.exam.trials

    @property
    def conditions(self) -> str:
        """Server, durability, load, limits and processors in one line."""
        exam, server, cpus = self.exam, self.environment["server"], self.environment["machine"]["cpus"]
        settings = [f"{name} {server['settings'].get(name, '?')}" for name in (*DURABILITY, "deadlock_timeout")]
        return " · ".join(
            [
                f"PostgreSQL {server['version']} ({server['kind']})",
                ", ".join(settings),
                f"{', '.join(map(str, BUYERS))} buyers in turn, pool of {POOL_SIZE}",
                f"at most {exam.purchases:,} purchases",
                f"{exam.repeats} repeat{'s' if exam.repeats != 1 else ''}",
                f"seed {exam.seed}",
                f"{cpus} CPU{'s' if cpus != 1 else ''} for server and buyers together",
            ]
        )

    @property
    def sentences(self) -> list[str]:
        """What it comes to."""
        said = ["It was ended early: what follows is of what was made until then."] if self.ended_early else []
        if self.found:
            sure = sum(each.reliably_detected for each in self.found)
            said.append(
                f"{sure} of {len(self.found)} mutants were caught by the check that is meant for them in at least "
                f"{ENOUGH:.0%} of their repeats, within {self.exam.purchases:,} purchases."
            )
        if self.safe:
            alarms, trials = len(self.false_alarms), len(self.safe)
            said.append(
                f"{alarms} false alarm{'' if alarms == 1 else 's'} in {trials:,} trials of safe strategies: at most "
                f"{upper_bound(alarms, trials):.1%} of such trials raise one, at 95 %. In {self.undecided:,} a check "
                "decided nothing."
            )
        return said

    @property
    def frame(self) -> pd.DataFrame:
        """A row a chase and check that caught it: the mutant, repeat and check that is `meant`, and those of Catch.

        Of a chase without a catch one row, with the check "", no buyers, and all its purchases.
        """
        rows = []
        for chase in self.chases:
            about = {"mutant": chase.mutant, "repeat": chase.repeat, "meant": chase.check}
            whole = {"check": "", "buyers": 0, "purchases": chase.purchases, "seconds": chase.seconds}
            rows += [about | row for row in (asdict(each) for each in chase.catches)] or [about | whole]
        columns = ["mutant", "repeat", "meant", "check", "buyers", "purchases", "seconds"]
        return pd.DataFrame(rows, columns=columns)

    def known(self) -> MutationBaseline:
        """What is worth shipping of it."""
        return MutationBaseline(
            conditions=self.conditions,
            mutants=tuple(map(_known, self.found)),
            trials=len(self.safe),
            false_alarms=len(self.false_alarms),
        )

    def as_json(self) -> dict[str, Any]:
        """The results as plain data; see the module's docstring."""
        alarms, trials = len(self.false_alarms), len(self.safe)
        return {
            "conditions": self.conditions,
            **{name: getattr(self.exam, name) for name in ("repeats", "purchases", "seed")},
            "ended_early": self.ended_early,
            "weak": self.undetected,
            "mutants": {each.mutant.name: _as_json(each) for each in self.found},
            "safe": {
                "trials": trials,
                "purchases": sum(each.purchases for each in self.safe),
                "undecided": self.undecided,
                "at_most": upper_bound(alarms, trials) if trials else None,
                "false_alarms": [asdict(each) for each in self.false_alarms],
            },
        }


def _known(found: MutantResult) -> MutantBaseline:
    mutant, until = found.mutant, _until_caught(found)
    return MutantBaseline(
        name=mutant.name,
        twin=mutant.twin,
        mistake=mutant.mistake,
        check=mutant.check,
        purchases=until["purchases"],
        buyers=until["buyers"],
        needs=mutant.needs,
    )


def _until_caught(found: MutantResult) -> dict[str, tuple[int | None, ...]]:
    """Of each repeat the purchases until it was caught, and the buyers of the trial that caught it."""
    catches = [each.catch for each in found.chases]
    return {
        "purchases": tuple(each.purchases if each else None for each in catches),
        "buyers": tuple(each.buyers if each else None for each in catches),
    }


def _as_json(found: MutantResult) -> dict[str, Any]:
    about = asdict(found.mutant)
    del about["name"]
    return about | {
        "repeats": len(found.chases),
        "caught": len(found.caught),
        "power": list(found.interval),
        **{name: list(each) for name, each in _until_caught(found).items()},
        **{name: getattr(found, name) for name in ("median_purchases", "most_purchases", "median_seconds")},
        "by": dict(found.detections_by_check),
    }
