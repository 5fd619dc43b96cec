"""What is to be measured: which mutants, how often, with how many purchases at most. Data only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from ticketlab.errors import InvalidInputError
from ticketlab.tickets.strategies import mutants
from ticketlab.tickets.strategies.mutants import Mutant, Setting

_MOST: Final = 100_000
"""Of repeats, and of trials: a slip of the keyboard is told, not tried."""


class Turn(NamedTuple):
    """Whose turn it is."""

    mutant: str
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Each mutant is chased `repeats` times, and safe strategies sell in `trials` of their own.

    Raises:
        InvalidInputError: a value can not be used.
    """

    mutants: tuple[str, ...] = field(default_factory=lambda: tuple(mutants.registry()))
    """Their names: by default every broken twin."""
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
        return any(mutants.registry()[name].shows is Setting.CRASH for name in self.mutants)

    def turns(self) -> Iterator[Turn]:
        """Every chase: in each repeat all mutants in random order, so that a drift of the machine hits all alike."""
        chance = Random(self.seed)
        for repeat in range(1, self.repeats + 1):
            for name in chance.sample(self.mutants, len(self.mutants)):
                yield Turn(name, repeat)


def chosen(names: Sequence[str], checks: Sequence[str]) -> tuple[str, ...]:
    """The mutants of these names that one of these checks is meant for; of an empty list all.

    Raises:
        InvalidInputError: there is no such check, or nobody is left. Unknown names are kept: an Exam tells of them.
    """
    registry = mutants.registry()
    known = sorted({each.breaks for each in registry.values()})
    unknown = [name for name in checks if name not in known]
    if unknown:
        raise InvalidInputError(
            f"No mutant breaks {', '.join(map(repr, unknown))}. Checks that have one: {', '.join(known)}."
        )
    found = tuple(
        name for name in names or registry if not checks or name not in registry or registry[name].breaks in checks
    )
    if not found:
        raise InvalidInputError(f"None of {', '.join(names)} breaks {', '.join(checks)}: leave one of the two out.")
    return found


def mistake_of(mutant: Mutant) -> str:
    """What is wrong with it, in a line."""
    return mutant.strategy.summary.removeprefix("mutant: ")
