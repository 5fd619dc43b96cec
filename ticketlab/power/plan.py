"""Which mutants are tried, on what load, and for how long. Runs nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from ticketlab import mutants
from ticketlab.errors import InvalidInputError
from ticketlab.load import Fault, FaultKind, Plan
from ticketlab.mutants import Mutant, Trigger

BUYERS: Final = (2, 4, 8, 16, 32)
"""At once, in one trial after the other, and then from the beginning again."""
POOL_SIZE: Final = 20
QUANTITY: Final = (1, 3)
_FIRST: Final = 100
_LARGEST: Final = 2_000
_SHORTAGE: Final = 0.7
"""Seats, as a share of the tickets that will be wanted: the last ones are where many mistakes show."""
_PLENTY: Final = 1_000_000
_BASKET: Final = (2, 3)
_EVENTS: Final = {Trigger.BASKETS: 3, Trigger.CRASH: 5, Trigger.DOUBLE_CALLS: 3}
"""Elsewhere all want one. A crash is to find a sale under way of as many events as there may be."""
_DOUBLE_CALLS: Final = 0.5
"""The share of purchases whose id is called twice, for mutants that only this shows."""
_SECONDS: Final = 30.0
_CUT_BY: Final = {Trigger.DISCONNECT: FaultKind.DISCONNECT, Trigger.LOSE_REPLY: FaultKind.LOSE_REPLY}
_CUTS: Final = 10
_FEWEST_BETWEEN_CUTS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """One trial of a chase."""

    plan: Plan
    faults: tuple[Fault, ...] = ()


def escalated_trial(setting: Trigger, number: int, *, most: int, chance: Random) -> TrialSpec:
    """The trial of this number, from 0, with `most` purchases at most; its wishes are drawn by `chance`."""
    buyers = BUYERS[number % len(BUYERS)]
    purchases = min(_FIRST * 2**number, _LARGEST, most)
    sells_baskets = setting is Trigger.BASKETS
    events = _EVENTS.get(setting, 1)
    plan = Plan(
        buyers=min(buyers, purchases),
        purchases=purchases,
        seconds=_SECONDS,
        warm_up_s=0,
        events=events,
        stock=_stock(setting, purchases, events),
        quantity=QUANTITY,
        basket=_BASKET if sells_baskets else (1, 1),
        double_calls=_DOUBLE_CALLS if setting is Trigger.DOUBLE_CALLS else 0.0,
        seed=chance.getrandbits(31),
    )
    return TrialSpec(plan=plan, faults=_faults(setting, purchases))


def _stock(setting: Trigger, purchases: int, events: int) -> int:
    if setting is Trigger.CRASH or setting in _CUT_BY:
        return _PLENTY  # who is told "sold out" writes nothing that could be lost
    wanted = purchases * sum(QUANTITY) / 2 * (sum(_BASKET) / 2 if setting is Trigger.BASKETS else 1)
    return max(1, int(_SHORTAGE * wanted / events))


def _faults(setting: Trigger, purchases: int) -> tuple[Fault, ...]:
    """A crash in mid-run, or a cut of all connections every now and then; the last purchases have none."""
    if setting is Trigger.CRASH:
        return (Fault(kind=FaultKind.CRASH, after=max(1, purchases // 2)),)
    if setting in _CUT_BY:
        every = max(_FEWEST_BETWEEN_CUTS, purchases // _CUTS)
        return tuple(Fault(kind=_CUT_BY[setting], after=after) for after in range(every, purchases, every))
    return ()


_MOST: Final = 100_000
"""Of repeats, and of trials: a slip of the keyboard is told, not tried."""


class ScheduledRun(NamedTuple):
    """Whose turn it is."""

    mutant: str
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationPlan:
    """Each mutant is chased `repeats` times, and safe strategies sell in `trials` of their own.

    Raises:
        InvalidInputError: a value can not be used.
    """

    mutants: tuple[str, ...] = field(default_factory=lambda: tuple(mutants.registry()))
    """Their names: by default every mutant."""
    repeats: int = 20
    purchases: int = 20_000
    """A chase ends without a catch after so many."""
    trials: int = 400
    """Trials of safe strategies."""
    seed: int = 1
    """Decides what the buyers want, and every plan of the safe."""
    server: str = "embedded"
    """A kind of server; see `Experiment`."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.mutants if name not in mutants.registry()]
        if unknown:
            raise InvalidInputError(
                f"There is no mutant {', '.join(map(repr, unknown))}. There are: {', '.join(mutants.registry())}."
            )
        faults = {
            "each mutant once": len(set(self.mutants)) < len(self.mutants),
            f"from one to {_MOST:,} repeats": not 1 <= self.repeats <= _MOST,
            "at least one purchase": self.purchases < 1,
            f"from no to {_MOST:,} trials of safe strategies": not 0 <= self.trials <= _MOST,
            "a mutant, or a trial of a safe strategy": not (self.mutants or self.trials),
            "a seed that is not negative": self.seed < 0,
        }
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"An exam of the checks needs {'; '.join(wrong)}.")

    @property
    def crashes(self) -> bool:
        """Whether a mutant is among them that shows only where the server dies."""
        return any(mutants.registry()[name].trigger is Trigger.CRASH for name in self.mutants)

    def turns(self) -> Iterator[ScheduledRun]:
        """Every chase: in each repeat all mutants in random order, so that a drift of the machine hits all alike."""
        chance = Random(self.seed)
        for repeat in range(1, self.repeats + 1):
            for name in chance.sample(self.mutants, len(self.mutants)):
                yield ScheduledRun(name, repeat)


def select_mutants(names: Sequence[str], checks: Sequence[str]) -> tuple[str, ...]:
    """The mutants of these names that one of these checks is meant for; of an empty list all.

    Raises:
        InvalidInputError: there is no such check, or nobody is left. Unknown names are kept: an Exam tells of them.
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
    """What is wrong with it, in a line."""
    return mutant.strategy.summary.removeprefix("mutant: ")
