"""What is known of the checks' own power: how soon they detected each mutant of a strategy, in a separate calibration.

Reads `mutation_baseline.json` it, which `ticketlab power --keep` writes; measures nothing. A report of a run without a
violation says by it what the checks detect under a load like that of the run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

from ticketlab.history.arrays import LoadPart, words_of

KEPT: Final = Path(__file__).with_name("mutation_baseline.json")
"""What was measured last, and ships with the package."""
ENOUGH: Final = 0.95
"""The share of its repeats in which a mutant must be caught to count as caught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantBaseline:
    """A safe strategy with one mistake, and how soon the check that it is meant for said INVALID."""

    name: str
    twin: str
    mistake: str
    check: str
    purchases: tuple[int | None, ...]
    """Of each repeat the purchases until then; None where it was not caught."""
    buyers: tuple[int | None, ...]
    """At once, in the trial that caught it."""
    needs: tuple[LoadPart, ...] = ()
    """The parts of a load without which its mistake cannot show."""

    def can_show(self, tried: Collection[LoadPart]) -> bool:
        """Whether its mistake can show under a load that has these parts."""
        return set(self.needs) <= set(tried)

    def is_caught(self, *, purchases: int, buyers: int) -> bool:
        """Whether so many purchases, with so many buyers at once, were enough in at least 95 % of the repeats."""
        soon = [
            needed is not None and at is not None and needed <= purchases and at <= buyers
            for needed, at in zip(self.purchases, self.buyers, strict=True)
        ]
        return bool(soon) and sum(soon) >= ENOUGH * len(soon)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationBaseline:
    """The power of all checks, as it was measured once."""

    conditions: str
    """Where and how, in a line."""
    mutants: tuple[MutantBaseline, ...]
    trials: int
    """Of safe strategies."""
    false_alarms: int
    """Of these, those in which a check said INVALID."""

    def caught(self, *, purchases: int, buyers: int, tried: Collection[LoadPart]) -> Sequence[MutantBaseline]:
        """The mutants that the checks detect under a load of this size and with these parts, as far as was measured.

        The calibration sold the last tickets of one event, 1 to 3 in a purchase, with the faults that a mutant needs.
        A load of the same size with less contention detects fewer.
        """
        return [
            each for each in self.mutants if each.can_show(tried) and each.is_caught(purchases=purchases, buyers=buyers)
        ]

    def detected_text(self, *, purchases: int, buyers: int, tried: Collection[LoadPart]) -> str:
        """What the checks detect at this size and with these parts of a load, in a sentence."""
        caught = len(self.caught(purchases=purchases, buyers=buyers, tried=tried))
        return (
            f"In a separate calibration the checks detected {caught} of {len(self.mutants)} mutants (deliberately "
            f"broken strategies) within {purchases:,} purchases at up to {buyers:,} buyers."
        )

    def limit_texts(self, tried: Collection[LoadPart]) -> list[str]:
        """What they cannot detect with these parts of a load, and how often they were wrong, in sentences."""
        alarms = f"{self.false_alarms:,} false alarm{'' if self.false_alarms == 1 else 's'}"
        return [*self._out_of_reach(tried), f"In {self.trials:,} trials of safe strategies the checks raised {alarms}."]

    def _out_of_reach(self, tried: Collection[LoadPart]) -> list[str]:
        """How many mutants cannot show under a load with these parts, and what they need."""
        hidden = [each for each in self.mutants if not each.can_show(tried)]
        if not hidden:
            return []
        *others, last = words_of({part for each in hidden for part in each.needs} - set(tried))
        needed = f"{', '.join(others)} or {last}" if others else last
        mutants = "1 mutant needs" if len(hidden) == 1 else f"{len(hidden)} mutants need"
        return [f"{mutants} {needed}, which this run did not have."]

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
        adapter = TypeAdapter(MutantBaseline)
        rows = ",\n  ".join(adapter.dump_json(each).decode() for each in self.mutants)
        head = TypeAdapter(dict[str, str | int]).dump_json(
            {"conditions": self.conditions, "trials": self.trials, "false_alarms": self.false_alarms}
        )
        path.write_text(f'{head.decode()[:-1]},\n "mutants": [\n  {rows}\n]}}\n')


@cache
def load_baseline() -> MutationBaseline | None:
    """What was measured last; None where nothing ships."""
    return MutationBaseline.read(KEPT) if KEPT.exists() else None
