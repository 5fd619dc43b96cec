"""What came of a bench of the checks, and what follows from it. Opens nothing.

`Results.as_json()`, which `ticketlab bench checks --json` prints, is

    {"conditions": {"sizes": [...], "repeats", "events", "baskets", "refunds", "seed", "cpus", "ended_early"},
     "sizes": {"10000": {"rows", "tickets", "history_bytes"}},
     "checks": {name: {"valid" | "violated": {"slope": number or null,
                       "sizes": {"10000": {"seconds": median, "repeats": [...], "operations_per_s", "peak_bytes",
                                           "status"}}}}},
     "errors": ["a wrong verdict, or a process that failed"], "notes": [...]}

Of names there are the checks, and "judge" for all of them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ticketlab import environment
from ticketlab.bench.checking.plan import ChecksBench
from ticketlab.checks.verdict import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a history is."""

    rows: int
    tickets: int
    history_bytes: int
    """Of the history and its ledger in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One subject at one size."""

    operations: int
    valid: bool
    """What the history was made to be."""
    subject: str
    seconds: Sequence[float]
    """Of each repeat."""
    peak_bytes: int
    """The largest size of the whole process meanwhile, Python and the history included."""
    peak_is_own: bool
    """Whether that is the peak of this measurement; else of the process since its start, the history's making too."""
    status: str
    said: str

    @property
    def median_s(self) -> float:
        """The middle of the repeats."""
        return median(self.seconds)

    @property
    def per_s(self) -> float:
        """Operations checked in a second."""
        return self.operations / self.median_s

    @property
    def expected(self) -> Status:
        """The right verdict."""
        return Status.VALID if self.valid else Status.INVALID


@dataclass(frozen=True, kw_only=True)
class Results:
    """The measurements of a bench."""

    bench: ChecksBench
    """What was asked for."""
    sizes: Mapping[int, Size]
    """How large the history is, by its number of operations."""
    measured: Sequence[Measured]
    """Times and memory of each subject at each size, of right and of violated histories."""
    failures: Sequence[str] = ()
    """Processes that failed, a sentence each."""

    def cells(self, *, valid: bool) -> dict[tuple[str, int], Measured]:
        """By subject and size."""
        return {(each.subject, each.operations): each for each in self.measured if each.valid is valid}

    def slope(self, subject: str, *, valid: bool) -> float | None:
        """By which power of the size the time grows: 1 is linear. None where fewer than two sizes were measured."""
        times = {size: each.median_s for (name, size), each in self.cells(valid=valid).items() if name == subject}
        return slope(times)

    @property
    def errors(self) -> list[str]:
        """Wrong verdicts and failed processes, a sentence each."""
        wrong = [
            f"{each.subject} must call {'a valid' if each.valid else 'a violated'} history of {each.operations:,} "
            f"operations {each.expected}, but: {each.said}."
            for each in self.measured
            if each.status != each.expected
        ]
        return [*wrong, *self.failures]

    @property
    def ended_early(self) -> bool:
        """Whether measurements are missing, and no failed process is the reason."""
        whole = len(self.bench.subjects) * len(list(self.bench.turns()))
        return len(self.measured) < whole and not self.failures

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the numbers, in sentences."""
        notes = []
        if self.ended_early:
            notes.append(f"The bench was ended early, after {len(self.measured)} measurements.")
        if not all(each.peak_is_own for each in self.measured):
            notes.append("This system can not forget a peak of memory: those shown are of the history's making, too.")
        return notes

    def as_json(self) -> dict[str, Any]:
        """The results as plain data; see the module's docstring."""
        bench = self.bench
        names = ("sizes", "repeats", "events", "baskets", "refunds", "seed")
        return {
            "conditions": {
                **{name: getattr(bench, name) for name in names},
                "sizes": list(bench.sizes),
                "cpus": environment.cpus(),
                "ended_early": self.ended_early,
            },
            "sizes": {
                str(size): {"rows": each.rows, "tickets": each.tickets, "history_bytes": each.history_bytes}
                for size, each in self.sizes.items()
            },
            "checks": {
                subject: {word: self._as_json(subject, valid=valid) for word, valid in _VARIANTS}
                for subject in bench.subjects
            },
            "errors": self.errors,
            "notes": self.notes,
        }

    def _as_json(self, subject: str, *, valid: bool) -> dict[str, Any]:
        return {
            "slope": self.slope(subject, valid=valid),
            "sizes": {
                str(size): {
                    "seconds": each.median_s,
                    "repeats": list(each.seconds),
                    "operations_per_s": each.per_s,
                    "peak_bytes": each.peak_bytes,
                    "status": each.status,
                }
                for (name, size), each in self.cells(valid=valid).items()
                if name == subject
            },
        }


_VARIANTS = (("valid", True), ("violated", False))


def slope(seconds: Mapping[int, float]) -> float | None:
    """The slope of the line through the logarithms of size and time, by least squares."""
    if len(seconds) < 2:  # noqa: PLR2004 - a line has two points
        return None
    points = [(math.log(size), math.log(time)) for size, time in seconds.items()]
    middle_size, middle_time = (math.fsum(each) / len(points) for each in zip(*points, strict=True))
    rise = math.fsum((size - middle_size) * (time - middle_time) for size, time in points)
    return rise / math.fsum((size - middle_size) ** 2 for size, _ in points)
