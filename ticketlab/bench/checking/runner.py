"""`run(bench) -> Results`: a fresh process for each size, right and violated, one after another. Judges nothing."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

from ticketlab.bench.checking.plan import ChecksBench, Turn
from ticketlab.bench.checking.results import Measured, Results, Size
from ticketlab.runs.lab import Progress

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
        [sys.executable, "-P", "-m", "ticketlab.bench.checking.worker", json.dumps(asked)],
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
