"""What is known of the checks' own power: how soon each broken twin of a strategy was caught, when it was measured.

Reads `power.json` beside it, which `ticketlab power --keep` writes; measures nothing. By it a report of a run in which
nothing was found can say what would have been found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

KEPT: Final = Path(__file__).with_name("power.json")
"""What was measured last, and ships with the package."""
ENOUGH: Final = 0.95
"""The share of its repeats in which a mutant must be caught to count as caught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMutant:
    """A safe strategy with one mistake, and how soon the check that it is meant for said INVALID."""

    name: str
    twin: str
    mistake: str
    check: str
    purchases: tuple[int | None, ...]
    """Of each repeat the purchases until then; None where it was not caught."""
    buyers: tuple[int | None, ...]
    """At once, in the trial that caught it."""

    def is_caught(self, *, purchases: int, buyers: int) -> bool:
        """Whether so many purchases, with so many buyers at once, were enough in at least 95 % of the repeats."""
        soon = [
            needed is not None and at is not None and needed <= purchases and at <= buyers
            for needed, at in zip(self.purchases, self.buyers, strict=True)
        ]
        return bool(soon) and sum(soon) >= ENOUGH * len(soon)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPower:
    """The power of all checks, as it was measured once."""

    conditions: str
    """Where and how, in a line."""
    mutants: tuple[KnownMutant, ...]
    trials: int
    """Of safe strategies."""
    false_alarms: int
    """Of these, those in which a check said INVALID."""

    def caught(self, *, purchases: int, buyers: int) -> Sequence[KnownMutant]:
        """The mutants that a load of this size catches, so far as that was measured.

        Theirs was made to press: one hot event whose last tickets are sold, 1 to 3 tickets a purchase, and faults
        where a mistake needs them. Of a milder load of the same size it is the most that can be hoped for.
        """
        return [each for each in self.mutants if each.is_caught(purchases=purchases, buyers=buyers)]

    def sentence(self, *, purchases: int, buyers: int) -> str:
        """What a run of this size would have found, for a report of one in which nothing was found."""
        caught = len(self.caught(purchases=purchases, buyers=buyers))
        return (
            f"Under a load that presses, with {purchases:,} purchases and up to {buyers:,} buyers at once, the checks "
            f"catch {caught} of {len(self.mutants)} broken twins of the strategies, each in at least {ENOUGH:.0%} of "
            f"its repeats; in {self.trials:,} trials of safe strategies they raised {self.false_alarms:,} false "
            f"alarm{'' if self.false_alarms == 1 else 's'}."
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was saved.

        Raises:
            OSError, ValueError: the file can not be read, or holds something else.
        """
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def write(self, path: Path = KEPT) -> None:
        """Save as JSON, a line a mutant.

        Raises:
            OSError: it can not be written there.
        """
        adapter = TypeAdapter(KnownMutant)
        rows = ",\n  ".join(adapter.dump_json(each).decode() for each in self.mutants)
        head = TypeAdapter(dict[str, str | int]).dump_json(
            {"conditions": self.conditions, "trials": self.trials, "false_alarms": self.false_alarms}
        )
        path.write_text(f'{head.decode()[:-1]},\n "mutants": [\n  {rows}\n]}}\n')


@cache
def known() -> KnownPower | None:
    """What was measured last; None where nothing ships."""
    return KnownPower.read(KEPT) if KEPT.exists() else None
