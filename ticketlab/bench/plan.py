"""What the bench is to do: which strategies, how many buyers, how often, and in which order. Data only."""

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
"""Several times of what the fastest contender sells one by one: nobody is to meet the end of the stock."""


def safe_strategies() -> tuple[str, ...]:
    """The names of all strategies that claim to be safe."""
    return tuple(each.name for each in strategies.registry().values() if each.safe)


class ScheduledTrial(NamedTuple):
    """Whose turn it is."""

    contender: str
    buyers: int
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotEvent:
    """One event with seats for everybody, sold one ticket a purchase by one contender after another.

    Raises:
        InvalidInputError: a value can not be used.
    """

    strategies: tuple[str, ...] = field(default_factory=safe_strategies)
    """Those of ticketlab that have a turn."""
    buyers: tuple[int, ...] = BUYERS
    """Numbers of buyers at once; a turn for each."""
    repeats: int = 3
    """Turns of each contender at each number of buyers."""
    seconds: float = 1.0
    """How long a trial takes, beside its warm-up."""
    seed: int = 1
    """Decides what the buyers want, and whose turn it is."""
    pool_size: int = 20
    """Connections of the pool."""
    server: str = "auto"
    """A kind of server; see `Experiment`."""

    def __post_init__(self) -> None:
        # An experiment with these values has the same limits; it says so before anything is started.
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
        """Connections at most: a pool that is kept open, beside a buyer's own each where there is no pool."""
        return self.pool_size + max(self.buyers)

    @property
    def seats(self) -> int:
        """Seats of the event, more than can be sold in the time."""
        return min(MAX_INTEGER, _SEATS + int(_SEATS_PER_S * self.seconds))

    def plan(self, turn: ScheduledTrial) -> Plan:
        """The load of one trial; the same purchases for all contenders of a repeat."""
        return Plan(buyers=turn.buyers, seconds=self.seconds, stock=self.seats, seed=self.seed * 1_000 + turn.repeat)

    def turns(self, contenders: Iterable[str]) -> Iterator[ScheduledTrial]:
        """Every turn. In each repeat all contenders come one after another at each number of buyers, both shuffled.

        So a drift of the machine hits all alike, and those that are compared stand close in time.
        """
        generator = random.Random(self.seed)
        names = list(contenders)
        for repeat in range(1, self.repeats + 1):
            for buyers in generator.sample(self.buyers, len(self.buyers)):
                for name in generator.sample(names, len(names)):
                    yield ScheduledTrial(name, buyers, repeat)
