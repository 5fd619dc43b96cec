"""What came of one mutant: how often it was caught, how soon, and by which checks. Arithmetic on its chases."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from ticketlab.checks.mutation_baseline import ENOUGH
from ticketlab.history.features import LoadPart
from ticketlab.history.statistics import interval
from ticketlab.power.chase import Catch, Chase
from ticketlab.power.exam import mistake_of
from ticketlab.tickets.strategies.mutants import Mutant, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A mutant as it was: what is said of it is kept with what was measured."""

    name: str
    twin: str
    mistake: str
    check: str
    """The check that its mistake is meant for."""
    setting: str
    needs: tuple[LoadPart, ...] = ()
    """The parts of a load without which the mistake cannot show."""


def examined(mutant: Mutant) -> Examined:
    """What is kept of a mutant."""
    return Examined(
        name=mutant.strategy.name,
        twin=mutant.twin,
        mistake=mistake_of(mutant),
        check=mutant.breaks,
        setting=str(mutant.shows),
        needs=needs_of(mutant),
    )


def needs_of(mutant: Mutant) -> tuple[LoadPart, ...]:
    """The parts of a load without which a mutant's mistake cannot show."""
    quantities = (LoadPart.QUANTITIES,) if mutant.needs_quantity else ()
    return quantities if mutant.shows is Setting.LOAD else (*quantities, LoadPart(str(mutant.shows)))


@dataclass(frozen=True, kw_only=True)
class Found:
    """A mutant, and the chases of it, of which there is at least one."""

    mutant: Examined
    chases: Sequence[Chase]
    """In order of the repeats."""

    @cached_property
    def caught(self) -> list[Catch]:
        """Its catches by the check that is meant, of those repeats in which there was one."""
        return [each.catch for each in self.chases if each.catch is not None]

    @property
    def missed(self) -> int:
        """The repeats in which there was none."""
        return len(self.chases) - len(self.caught)

    @property
    def surely(self) -> bool:
        """Whether it was caught in at least 95 % of the repeats that were made."""
        return len(self.caught) >= ENOUGH * len(self.chases)

    @property
    def interval(self) -> tuple[float, float]:
        """The shares of repeats that go with what was counted, at 95 %."""
        return interval(len(self.caught), len(self.chases))

    @property
    def by(self) -> Counter[str]:
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
