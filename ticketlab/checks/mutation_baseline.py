"""How soon the checks detected each mutant of a strategy in a separate calibration. Reads a file; measures nothing.

`ticketlab power --keep` writes `mutation_baseline.json`. The report of a run without a violation uses it to say what
the checks would have detected under such a load.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

from ticketlab.history.arrays import LoadPart, words_of

KEPT: Final = Path(__file__).with_name("mutation_baseline.json")
"""The latest calibration; it ships with the package."""
ENOUGH: Final = 0.95
"""A mutant counts as detected if it was detected in this share of its repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantBaseline:
    """A strategy with one deliberate mistake, and how soon the check that it is meant for said INVALID."""

    name: str
    twin: str
    mistake: str
    check: str
    purchases: tuple[int | None, ...]
    """For each repeat the purchases until it was detected, or None."""
    buyers: tuple[int | None, ...]
    """For each repeat the concurrent buyers of the trial that detected it, or None."""
    needs: tuple[LoadPart, ...] = ()
    """The parts of a load without which its mistake cannot show."""

    def can_show(self, tried: Collection[LoadPart]) -> bool:
        """Whether its mistake can show under a load that has these parts."""
        return set(self.needs) <= set(tried)

    def is_caught(self, *, purchases: int, buyers: int) -> bool:
        """Whether so many purchases by so many concurrent buyers were enough in at least 95 % of the repeats."""
        soon = [
            needed is not None and at is not None and needed <= purchases and at <= buyers
            for needed, at in zip(self.purchases, self.buyers, strict=True)
        ]
        return bool(soon) and sum(soon) >= ENOUGH * len(soon)


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationBaseline:
    """One calibration of all checks."""

    conditions: str
    """Where and how it was measured, in one line."""
    mutants: tuple[MutantBaseline, ...]
    trials: int
    """Of safe strategies."""
    false_alarms: int
    """Trials of safe strategies in which a check said INVALID."""

    def caught(self, *, purchases: int, buyers: int, tried: Collection[LoadPart]) -> Sequence[MutantBaseline]:
        """The mutants that the checks detect under a load of this size and with these parts, as far as was measured.

        The calibration sold the last tickets of one event, 1 to 3 in a purchase, with the faults that a mutant needs.
        A load of the same size with less contention detects fewer.
        """
        return [
            each for each in self.mutants if each.can_show(tried) and each.is_caught(purchases=purchases, buyers=buyers)
        ]

    def detected_text(self, *, purchases: int, buyers: int, tried: Collection[LoadPart]) -> str:
        """How many mutants the checks detect under a load of this size."""
        caught = len(self.caught(purchases=purchases, buyers=buyers, tried=tried))
        return (
            f"In a separate calibration the checks detected {caught} of {len(self.mutants)} mutants (deliberately "
            f"broken strategies) within {purchases:,} purchases at up to {buyers:,} buyers."
        )

    def limit_texts(self, tried: Collection[LoadPart]) -> list[str]:
        """What the checks cannot detect with these parts of a load, and how often they raised false alarms."""
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
        """Read a saved calibration.

        Raises:
            OSError, ValueError: the file cannot be read or has other contents.
        """
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def write(self, path: Path = KEPT) -> None:
        """Save as JSON, one line per mutant.

        Raises:
            OSError: the file cannot be written.
        """
        adapter = TypeAdapter(MutantBaseline)
        rows = ",\n  ".join(adapter.dump_json(each).decode() for each in self.mutants)
        head = TypeAdapter(dict[str, str | int]).dump_json(
            {"conditions": self.conditions, "trials": self.trials, "false_alarms": self.false_alarms}
        )
        path.write_text(f'{head.decode()[:-1]},\n "mutants": [\n  {rows}\n]}}\n')


@cache
def load_baseline() -> MutationBaseline | None:
    """The calibration that ships with the package, or None."""
    return MutationBaseline.read(KEPT) if KEPT.exists() else None
