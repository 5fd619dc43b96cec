"""The bench of the checks: plan, results and runner. Speed and peak memory by size, on valid and violated histories.

`CheckResults.as_json()` is what `ticketlab bench checks --json` prints. Opens no connection.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final, NamedTuple, TypeAlias

from ticketlab import checks, environment
from ticketlab.bench._synthetic import Shape
from ticketlab.checks.base import Check
from ticketlab.checks.verdict import Status
from ticketlab.errors import NotFoundError, check_values
from ticketlab.runs.experiment import Progress

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
ALL_CHECKS: Final = "judge"
"""The subject for all checks in one call, as a trial is judged: what they share is computed once."""
_MILLION: Final = 1_000_000
_ENOUGH_REPEATS: Final = 25
_MOST_REPEATS: Final = 1_000
_BASKET_EVENTS: Final = 10


def named_checks() -> dict[str, Check]:
    """All checks by their names."""
    return {each.name: each for each in checks.CHECKS}


class ScheduledProcess(NamedTuple):
    """One worker process: a history of one size, valid or violated."""

    operations: int
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksBench:
    """The plan: sizes of histories, each judged by every check alone and by all together.

    Raises:
        InvalidInputError: a value is out of range.
        NotFoundError: there is no check of a name.
    """

    sizes: tuple[int, ...] = SIZES
    """Operations, the fewest first."""
    repeats: int = 3
    """At a million operations; smaller histories have more, up to 25, and larger ones fewer, at least one."""
    checks: tuple[str, ...] = field(default_factory=lambda: tuple(named_checks()))
    """Their names."""
    events: int = 1
    """With baskets at least ten are used."""
    baskets: bool = False
    """Whether purchases are of two or three events."""
    refunds: bool = False
    """Whether some purchases are refunded."""
    seed: int = 1
    """Reproduces the same histories."""

    def __post_init__(self) -> None:
        for name in self.checks:
            if name not in named_checks():
                raise NotFoundError(f"There is no check {name!r}. There are: {', '.join(named_checks())}.")
        errors = {
            "sizes must be at least one, each once, the fewest first": list(self.sizes) != sorted({*self.sizes})
            or not self.sizes,
            f"repeats must be from 1 to {_MOST_REPEATS:,}": not 1 <= self.repeats <= _MOST_REPEATS,
            "each check once, and at least one": len({*self.checks}) != len(self.checks) or not self.checks,
        }
        check_values("This bench is invalid:", errors)
        for size in self.sizes:
            self.shape(size)

    @property
    def subjects(self) -> tuple[str, ...]:
        """What is timed: each check alone, and several also together."""
        return (*self.checks, ALL_CHECKS) if len(self.checks) > 1 else self.checks

    def schedule(self) -> Iterator[ScheduledProcess]:
        """The worker processes, small histories first."""
        for size in self.sizes:
            for valid in (True, False):
                yield ScheduledProcess(size, valid)

    def shape(self, operations: int) -> Shape:
        """The shape of the history of this size.

        Raises:
            InvalidInputError: a history cannot have this size.
        """
        return Shape(
            operations=operations,
            events=max(self.events, _BASKET_EVENTS) if self.baskets else self.events,
            baskets=self.baskets,
            refunds=self.refunds,
            seed=self.seed,
        )

    def repeats_of(self, operations: int) -> int:
        """How often each subject is timed at a size: more often where the times are short."""
        return max(1, min(max(_ENOUGH_REPEATS, self.repeats), self.repeats * _MILLION // operations))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a history."""

    rows: int
    tickets: int
    history_bytes: int
    """Of the history and its ledger in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One subject at one size."""

    operations: int
    valid: bool
    """Whether the history was generated to be valid."""
    subject: str
    seconds: Sequence[float]
    """Of each repeat."""
    peak_bytes: int
    """The peak memory of the whole process, Python and the history included."""
    peak_is_own: bool
    """Whether that is the peak of this measurement; else it is that of the process since its start, which generated
    the history."""
    status: str
    said: str

    @property
    def median_s(self) -> float:
        """The median of the repeats."""
        return median(self.seconds)

    @property
    def per_s(self) -> float:
        """Operations checked per second."""
        return self.operations / self.median_s

    @property
    def expected(self) -> Status:
        """The right verdict."""
        return Status.VALID if self.valid else Status.INVALID


@dataclass(frozen=True, kw_only=True)
class CheckResults:
    """The measurements of a bench of the checks."""

    plan: ChecksBench
    sizes: Mapping[int, Size]
    """By the number of operations."""
    measured: Sequence[Measured]
    """Times and memory of each subject at each size, of valid and of violated histories."""
    failures: Sequence[str] = ()
    """Processes that failed, a sentence each."""

    def cells(self, *, valid: bool) -> dict[tuple[str, int], Measured]:
        """By subject and size."""
        return {(each.subject, each.operations): each for each in self.measured if each.valid is valid}

    def slope(self, subject: str, *, valid: bool) -> float | None:
        """The power of the size with which the time grows: 1 is linear. None with fewer than two sizes."""
        times = {size: each.median_s for (name, size), each in self.cells(valid=valid).items() if name == subject}
        return slope(times)

    @property
    def errors(self) -> list[str]:
        """Wrong verdicts and failed processes, a sentence each."""
        wrong_verdicts = [
            f"{each.subject} must call {'a valid' if each.valid else 'a violated'} history of {each.operations:,} "
            f"operations {each.expected}, but: {each.said}."
            for each in self.measured
            if each.status != each.expected
        ]
        return [*wrong_verdicts, *self.failures]

    @property
    def ended_early(self) -> bool:
        """Whether measurements are missing, and not because a process failed."""
        planned = len(self.plan.subjects) * len(list(self.plan.schedule()))
        return len(self.measured) < planned and not self.failures

    @property
    def notes(self) -> list[str]:
        """Limits of the numbers, in sentences."""
        notes = []
        if self.ended_early:
            notes.append(f"The bench was ended early, after {len(self.measured)} measurements.")
        if not all(each.peak_is_own for each in self.measured):
            notes.append("This system cannot reset peak memory: the peaks include the generation of the history.")
        return notes

    def as_json(self) -> dict[str, Any]:
        """The results as plain data."""
        plan = self.plan
        names = ("repeats", "events", "baskets", "refunds", "seed")
        return {
            "conditions": {
                "sizes": list(plan.sizes),
                **{name: getattr(plan, name) for name in names},
                "cpus": environment.cpus(),
                "ended_early": self.ended_early,
            },
            "sizes": {str(operations): asdict(size) for operations, size in self.sizes.items()},
            "checks": {
                subject: {"valid": self._as_json(subject, valid=True), "violated": self._as_json(subject, valid=False)}
                for subject in plan.subjects
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


def slope(seconds: Mapping[int, float]) -> float | None:
    """The slope of the line through the logarithms of size and time, by least squares."""
    if len(seconds) < 2:  # noqa: PLR2004 - a line has two points
        return None
    points = [(math.log(size), math.log(time)) for size, time in seconds.items()]
    middle_size, middle_time = (math.fsum(each) / len(points) for each in zip(*points, strict=True))
    rise = math.fsum((size - middle_size) * (time - middle_time) for size, time in points)
    return rise / math.fsum((size - middle_size) ** 2 for size, _ in points)


Reports: TypeAlias = Generator[dict[str, Any], None, None]
"""What `checking_worker.measure` yields for one history: its size, then the measurements of each subject."""


def run(
    plan: ChecksBench,
    *,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    measure: Callable[[ChecksBench, ScheduledProcess], Reports] | None = None,
) -> CheckResults:
    """Measure every subject at every size, each size in processes of its own.

    A process that dies, perhaps for lack of memory, is an error of the results, and the next one is started. Ctrl-C
    ends the current process; the results are what was measured so far. Before the first measurement it is raised.

    Args:
        plan: what to run.
        on_progress: called before each measurement.
        measure: measures one history; None for `run_worker`.
    """
    sizes: dict[int, Size] = {}
    measured: list[Measured] = []
    failures: list[str] = []
    try:
        for place, scheduled in enumerate(plan.schedule()):
            try:
                with contextlib.closing((measure or run_worker)(plan, scheduled)) as reports:
                    announced = _announced(reports, plan, place, scheduled, on_progress)
                    sizes[scheduled.operations] = Size(**next(announced))
                    measured.extend(Measured(**scheduled._asdict(), **report) for report in announced)
            except ChildProcessError as error:
                failures.append(str(error))
    except KeyboardInterrupt:
        if not measured:
            raise
    return CheckResults(plan=plan, sizes=sizes, measured=measured, failures=failures)


def _announced(
    reports: Reports,
    plan: ChecksBench,
    place: int,
    scheduled: ScheduledProcess,
    on_progress: Callable[[Progress], None],
) -> Iterator[dict[str, Any]]:
    """The reports of one process; progress is reported before each."""
    before, steps = place * len(plan.subjects), len(list(plan.schedule())) * len(plan.subjects)
    history = f"{scheduled.operations:,} operations, {'valid' if scheduled.valid else 'violated'}"
    for number, doing in enumerate(("generating them", *plan.subjects, "done")):
        finished = before + max(0, number - 1)
        on_progress(Progress(trial=finished + 1, trials=steps, doing=f"{history}: {doing}", finished=finished))
        report = next(reports, None)
        if report is None:
            return
        yield report


def run_worker(plan: ChecksBench, scheduled: ScheduledProcess) -> Reports:
    """Run `checking_worker.measure` in a process, which has ended when this generator has.

    Raises:
        ChildProcessError: the process failed.
    """
    arguments = {"plan": asdict(plan), **scheduled._asdict()}
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-P", "-m", "ticketlab.bench._checking_worker", json.dumps(arguments)],
        stdin=subprocess.PIPE,  # never written to: the worker ends when this process does
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        start_new_session=True,  # this process handles Ctrl-C, and ends it
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
            message = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            if process.wait():
                raise ChildProcessError(_failure(scheduled, process.returncode, message))
        finally:
            process.kill()


def _failure(scheduled: ScheduledProcess, code: int, message: str) -> str:
    history = f"a {'valid' if scheduled.valid else 'violated'} history of {scheduled.operations:,} operations"
    if code < 0:
        return f"The process that checked {history} was ended by signal {-code}: perhaps it had too little memory."
    return f"The process that checked {history} failed: {message}"
