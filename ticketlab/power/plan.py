"""The plan of a measurement of the checks: mutants, repeats, and the load of each trial. Runs nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from ticketlab import mutants
from ticketlab.errors import InvalidInputError, check_values
from ticketlab.load import Fault, FaultKind, Plan
from ticketlab.mutants import Mutant, Trigger

BUYERS: Final = (2, 4, 8, 16, 32)
"""Concurrent buyers of successive trials, repeated cyclically."""
POOL_SIZE: Final = 20
QUANTITY: Final = (1, 3)
_FIRST: Final = 100
_LARGEST: Final = 2_000
_SHORTAGE: Final = 0.7
"""Seats as a share of the tickets that will be requested: many mistakes show only with the last ones."""
_PLENTY: Final = 1_000_000
_BASKET: Final = (2, 3)
_EVENTS: Final = {Trigger.BASKETS: 3, Trigger.CRASH: 5, Trigger.DOUBLE_CALLS: 3}
"""Events on sale; one for other triggers. With several events more sales are in progress when the server crashes."""
_DOUBLE_CALLS: Final = 0.5
"""The share of purchases whose id is called twice, for mutants that nothing else reveals."""
_SECONDS: Final = 30.0
_CUT_BY: Final = {Trigger.DISCONNECT: FaultKind.DISCONNECT, Trigger.LOSE_REPLY: FaultKind.LOSE_REPLY}
_CUTS: Final = 10
_FEWEST_BETWEEN_CUTS: Final = 25
_MOST: Final = 100_000
"""The most repeats, and the most trials: a larger number is taken for a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """The load and the faults of one trial."""

    plan: Plan
    faults: tuple[Fault, ...] = ()


def escalated_trial(trigger: Trigger, number: int, *, most: int, chance: Random) -> TrialSpec:
    """The trial of this number, from 0, with `most` purchases at most; `chance` draws its seed."""
    buyers = BUYERS[number % len(BUYERS)]
    purchases = min(_FIRST * 2**number, _LARGEST, most)
    events = _EVENTS.get(trigger, 1)
    plan = Plan(
        buyers=min(buyers, purchases),
        purchases=purchases,
        seconds=_SECONDS,
        warm_up_s=0,
        events=events,
        stock=_stock(trigger, purchases, events),
        quantity=QUANTITY,
        basket=_BASKET if trigger is Trigger.BASKETS else (1, 1),
        double_calls=_DOUBLE_CALLS if trigger is Trigger.DOUBLE_CALLS else 0.0,
        seed=chance.getrandbits(31),
    )
    return TrialSpec(plan=plan, faults=_faults(trigger, purchases))


def _stock(trigger: Trigger, purchases: int, events: int) -> int:
    if trigger is Trigger.CRASH or trigger in _CUT_BY:
        return _PLENTY  # a purchase that is refused writes nothing that could be lost
    tickets = purchases * sum(QUANTITY) / 2 * (sum(_BASKET) / 2 if trigger is Trigger.BASKETS else 1)
    return max(1, int(_SHORTAGE * tickets / events))


def _faults(trigger: Trigger, purchases: int) -> tuple[Fault, ...]:
    """A crash in the middle, or repeated cuts of all connections; none after the last purchase."""
    if trigger is Trigger.CRASH:
        return (Fault(kind=FaultKind.CRASH, after=max(1, purchases // 2)),)
    if trigger in _CUT_BY:
        every = max(_FEWEST_BETWEEN_CUTS, purchases // _CUTS)
        return tuple(Fault(kind=_CUT_BY[trigger], after=after) for after in range(every, purchases, every))
    return ()


class ScheduledRun(NamedTuple):
    """One detection run of one mutant."""

    mutant: str
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationPlan:
    """`repeats` detection runs of each mutant, and `trials` of safe strategies.

    Raises:
        InvalidInputError: a value is out of range.
    """

    mutants: tuple[str, ...] = field(default_factory=lambda: tuple(mutants.registry()))
    """Their names: by default every mutant."""
    repeats: int = 20
    purchases: int = 20_000
    """A detection run without a detection ends after this many."""
    trials: int = 400
    """Trials of safe strategies."""
    seed: int = 1
    """Reproduces the same purchase requests, and the same random plans of safe strategies."""
    server: str = "embedded"
    """A kind of server; see `Experiment`."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.mutants if name not in mutants.registry()]
        if unknown:
            raise InvalidInputError(
                f"There is no mutant {', '.join(map(repr, unknown))}. There are: {', '.join(mutants.registry())}."
            )
        errors = {
            "each mutant once": len(set(self.mutants)) < len(self.mutants),
            f"from one to {_MOST:,} repeats": not 1 <= self.repeats <= _MOST,
            "at least one purchase": self.purchases < 1,
            f"from no to {_MOST:,} trials of safe strategies": not 0 <= self.trials <= _MOST,
            "a mutant, or a trial of a safe strategy": not (self.mutants or self.trials),
            "a seed that is not negative": self.seed < 0,
        }
        check_values("A measurement of the checks needs", errors)

    @property
    def crashes(self) -> bool:
        """Whether one of the mutants is revealed only by a crash of the server."""
        return any(mutants.registry()[name].trigger is Trigger.CRASH for name in self.mutants)

    def schedule(self) -> Iterator[ScheduledRun]:
        """Every detection run: in each repeat all mutants, shuffled, so that a change in speed affects all."""
        chance = Random(self.seed)
        for repeat in range(1, self.repeats + 1):
            for name in chance.sample(self.mutants, len(self.mutants)):
                yield ScheduledRun(name, repeat)


def select_mutants(names: Sequence[str], checks: Sequence[str]) -> tuple[str, ...]:
    """The mutants of these names that one of these checks should detect; an empty list means all.

    Raises:
        InvalidInputError: there is no such check, or no mutant is left. Unknown names are kept: MutationPlan rejects
            them.
    """
    registry = mutants.registry()
    known = sorted({each.expected_check for each in registry.values()})
    unknown = [name for name in checks if name not in known]
    if unknown:
        raise InvalidInputError(
            f"No mutant breaks {', '.join(map(repr, unknown))}. Checks that have one: {', '.join(known)}."
        )
    found = tuple(
        name
        for name in names or registry
        if not checks or name not in registry or registry[name].expected_check in checks
    )
    if not found:
        raise InvalidInputError(f"None of {', '.join(names)} breaks {', '.join(checks)}: leave one of the two out.")
    return found


def mistake_of(mutant: Mutant) -> str:
    """The mistake of a mutant, in a line."""
    return mutant.strategy.summary.removeprefix("mutant: ")
