"""The plan of a hot-event bench: strategies, buyers, repeats, and the schedule of the trials. Data only."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ticketlab.load import Plan
from ticketlab.outcomes import MAX_INTEGER
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

BUYERS: Final = (1, 8, 16, 32, 64, 256)
_SEATS: Final = 1_000_000
_SEATS_PER_S: Final = 100_000
"""Several times what the fastest subject sells one by one, so that nothing sells out."""


def safe_strategies() -> tuple[str, ...]:
    """The names of all strategies that claim to be safe."""
    return tuple(each.name for each in strategies.registry().values() if each.safe)


class ScheduledTrial(NamedTuple):
    """One trial of one subject."""

    subject: str
    buyers: int
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotEvent:
    """One event with more seats than can be sold, sold one ticket per purchase by one subject after another.

    Raises:
        InvalidInputError: a value is out of range.
    """

    strategies: tuple[str, ...] = field(default_factory=safe_strategies)
    """The names of the strategies to measure."""
    buyers: tuple[int, ...] = BUYERS
    """Numbers of concurrent buyers; a trial for each."""
    repeats: int = 3
    """Trials of each subject at each number of buyers."""
    seconds: float = 1.0
    """How long a trial takes, beside its warm-up."""
    seed: int = 1
    """Reproduces the same purchase requests and the same schedule."""
    pool_size: int = 20
    """Connections of the pool."""
    server: str = "auto"
    """A kind of server; see `Experiment`."""

    def __post_init__(self) -> None:
        # An experiment with these values has the same limits; it raises before anything is started.
        Experiment(
            strategies=self.strategies,
            buyers=self.buyers,
            repeats=self.repeats,
            seconds=self.seconds,
            seed=self.seed,
            pool_sizes=(self.pool_size,),
            server=self.server,
        )

    @property
    def connections(self) -> int:
        """The most connections: those of the pool, which stays open, and one per buyer of subjects without a pool."""
        return self.pool_size + max(self.buyers)

    @property
    def seats(self) -> int:
        """Seats of the event, more than can be sold in the time."""
        return min(MAX_INTEGER, _SEATS + int(_SEATS_PER_S * self.seconds))

    def load(self, trial: ScheduledTrial) -> Plan:
        """The load of one trial; the same purchases for all subjects of a repeat."""
        return Plan(buyers=trial.buyers, seconds=self.seconds, stock=self.seats, seed=self.seed * 1_000 + trial.repeat)

    def schedule(self, subjects: Iterable[str]) -> Iterator[ScheduledTrial]:
        """Every trial. In each repeat all subjects follow one another at each number of buyers, both shuffled.

        So a drift of the machine affects all alike, and the trials that are compared are close in time.
        """
        generator = random.Random(self.seed)
        names = list(subjects)
        for repeat in range(1, self.repeats + 1):
            for buyers in generator.sample(self.buyers, len(self.buyers)):
                for name in generator.sample(names, len(names)):
                    yield ScheduledTrial(name, buyers, repeat)
