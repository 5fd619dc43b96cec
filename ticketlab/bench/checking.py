"""Measures the checks: operations per second and peak memory for each size, on valid and on violated histories."""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final, NamedTuple, Self, TypeAlias

from ticketlab import checks, environment
from ticketlab.bench.synthetic import Shape
from ticketlab.checks.verdict import Check, Status
from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.runs.lab import Progress

__all__ = ["ChecksBench", "Results", "run"]


SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
ALL_CHECKS: Final = "judge"
"""All checks in one call, as a trial is judged: what they share is worked out once."""
_MILLION: Final = 1_000_000
_ENOUGH: Final = 25
_MOST_REPEATS: Final = 1_000
_BASKET_EVENTS: Final = 10


def named_checks() -> dict[str, Check]:
    """All checks by their names."""
    return {each.name: each for each in checks.CHECKS}


class Turn(NamedTuple):
    """One child process: a history of a size, right or violated."""

    operations: int
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksBench:
    """The sizes of histories, each judged by every check alone and by all together.

    Raises:
        InvalidInputError: a value can not be used.
        NotFoundError: there is no check of a name.
    """

    sizes: tuple[int, ...] = SIZES
    """Operations, the fewest first."""
    repeats: int = 3
    """Of a million operations; of fewer there are more, up to 25, and of more fewer, at least one."""
    checks: tuple[str, ...] = field(default_factory=lambda: tuple(named_checks()))
    """Their names."""
    events: int = 1
    """Of baskets there are at least ten."""
    baskets: bool = False
    """Whether two or three events are sold at once."""
    refunds: bool = False
    """Whether some seats are given back."""
    seed: int = 1
    """What the histories are made from."""

    def __post_init__(self) -> None:
        for name in self.checks:
            if name not in named_checks():
                raise NotFoundError(f"There is no check {name!r}. There are: {', '.join(named_checks())}.")
        faults = {
            "sizes must be at least one, each once, the fewest first": list(self.sizes) != sorted({*self.sizes})
            or not self.sizes,
            f"repeats must be from 1 to {_MOST_REPEATS:,}": not 1 <= self.repeats <= _MOST_REPEATS,
            "each check once, and at least one": len({*self.checks}) != len(self.checks) or not self.checks,
        }
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"This bench can not be made: {'; '.join(wrong)}.")
        for size in self.sizes:
            self.shape(size)

    @property
    def subjects(self) -> tuple[str, ...]:
        """What is timed: each check alone, and where there are several all of them together."""
        return (*self.checks, ALL_CHECKS) if len(self.checks) > 1 else self.checks

    def turns(self) -> Iterator[Turn]:
        """A child process each, the small histories first."""
        for size in self.sizes:
            for valid in (True, False):
                yield Turn(size, valid)

    def shape(self, operations: int) -> Shape:
        """The history of this size.

        Raises:
            InvalidInputError: there is none.
        """
        return Shape(
            operations=operations,
            events=max(self.events, _BASKET_EVENTS) if self.baskets else self.events,
            baskets=self.baskets,
            refunds=self.refunds,
            seed=self.seed,
        )

    def repeats_of(self, operations: int) -> int:
        """How often each subject is timed at a size: short times need more of them."""
        return max(1, min(max(_ENOUGH, self.repeats), self.repeats * _MILLION // operations))

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, as `from_dict` takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The same bench again, from what JSON made of it."""
        return cls(**(fields | {name: tuple(fields[name]) for name in ("sizes", "checks")}))


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


Reports: TypeAlias = Generator[dict[str, Any], None, None]
"""What `child.measure` tells of one turn."""


def run(
    bench: ChecksBench,
    *,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    measure: Callable[[ChecksBench, Turn], Reports] | None = None,
) -> Results:
    """Measure every subject at every size, each size in processes of its own.

    A process that dies, for want of memory perhaps, is an error of the results, and the next one is started. Ctrl-C
    ends the process under way; what was measured so far are the results, but the first measurement's is raised.

    Args:
        bench: what to run.
        on_progress: called before each measurement.
        measure: what measures one turn; None for `in_a_process`.
    """
    sizes: dict[int, Size] = {}
    measured: list[Measured] = []
    failures: list[str] = []
    try:
        for place, turn in enumerate(bench.turns()):
            try:
                with contextlib.closing((measure or run_worker)(bench, turn)) as reports:
                    announced = _announced(reports, bench, place, turn, on_progress)
                    sizes[turn.operations] = Size(**next(announced))
                    measured.extend(
                        Measured(operations=turn.operations, valid=turn.valid, **told) for told in announced
                    )
            except ChildProcessError as error:
                failures.append(str(error))
    except KeyboardInterrupt:
        if not measured:
            raise
    return Results(bench=bench, sizes=sizes, measured=measured, failures=failures)


def _announced(
    reports: Reports, bench: ChecksBench, place: int, turn: Turn, on_progress: Callable[[Progress], None]
) -> Iterator[dict[str, Any]]:
    """What is told of a turn, each time with a word beforehand on what comes."""
    before, steps = place * len(bench.subjects), len(list(bench.turns())) * len(bench.subjects)
    history = f"{turn.operations:,} operations, {'valid' if turn.valid else 'violated'}"
    for number, doing in enumerate(("making them", *bench.subjects, "done")):
        finished = before + max(0, number - 1)
        on_progress(Progress(trial=finished + 1, trials=steps, doing=f"{history}: {doing}", finished=finished))
        told = next(reports, None)
        if told is None:
            return
        yield told


def run_worker(bench: ChecksBench, turn: Turn) -> Reports:
    """What `child.measure` tells, from a process that is gone when this ends, however it ends.

    Raises:
        ChildProcessError: the process failed.
    """
    asked = {"bench": bench.as_dict(), **turn._asdict()}
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-P", "-m", "ticketlab.bench.checking_worker", json.dumps(asked)],
        stdin=subprocess.PIPE,  # never written to: its end is the end of this process
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        start_new_session=True,  # the terminal's Ctrl-C is for this process, which ends that one
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
            complaint = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            if process.wait():
                raise ChildProcessError(_ended(turn, process.returncode, complaint))
        finally:
            process.kill()


def _ended(turn: Turn, code: int, complaint: str) -> str:
    history = f"a {'valid' if turn.valid else 'violated'} history of {turn.operations:,} operations"
    if code < 0:
        return f"The process that checked {history} was ended by signal {-code}: perhaps it had too little memory."
    return f"The process that checked {history} failed: {complaint}"
