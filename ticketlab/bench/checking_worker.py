"""The worker process of the bench of the checks: generates a history, judges it, reports the measurements, and ends.

Its argument is a JSON object; it prints JSON lines: the size of the history, then the measurements of each subject.
It also ends when its standard input does, so that it cannot outlive the process that started it.
"""

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from ticketlab import checks
from ticketlab.bench.checking import ALL_CHECKS, ChecksBench, named_checks
from ticketlab.bench.seeded_violations import with_violation
from ticketlab.bench.synthetic import SyntheticHistory, generate
from ticketlab.checks.verdict import Check, Verdict, worst

_RESET_PEAK: Final = Path("/proc/self/clear_refs")
"""Linux resets the peak memory of this process when 5 is written here (docs.kernel.org/filesystems/proc.html)."""


def main() -> None:
    """Measure the history that the argument describes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    arguments = json.loads(sys.argv[1])
    plan = TypeAdapter(ChecksBench).validate_python(arguments["plan"])
    for report in measure(plan, arguments["operations"], valid=arguments["valid"]):
        print(json.dumps(report), flush=True)  # noqa: T201 - read by the parent process


def measure(plan: ChecksBench, operations: int, *, valid: bool) -> Iterator[dict[str, Any]]:
    """The size of the history, then for each subject its times, its peak memory, and its verdict in short."""
    synthetic = generate(plan.shape(operations))
    yield {
        "rows": len(synthetic.history),
        "tickets": len(synthetic.ledger.tickets),
        "history_bytes": _memory(synthetic),
    }
    chosen = {name: check for name, check in named_checks().items() if name in plan.checks}
    for subject in plan.subjects:
        judged_by = tuple(chosen.values()) if subject == ALL_CHECKS else (chosen[subject],)
        violated = plan.checks[-1] if subject == ALL_CHECKS else subject  # found last, after all other checks
        judged = synthetic if valid else with_violation(synthetic, violated)
        yield {"subject": subject, **_timed(judged, judged_by, plan.repeats_of(operations))}
        del judged


def _timed(judged: SyntheticHistory, judged_by: Iterable[Check], repeats: int) -> Mapping[str, Any]:
    seconds = []
    peak_is_own = _reset_peak_memory()
    verdicts: tuple[Verdict, ...] = ()
    for _ in range(repeats):
        began = time.perf_counter()
        verdicts = checks.judge(judged.history, judged.ledger, judged_by)
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": seconds,
        "peak_bytes": _peak_bytes(),
        "peak_is_own": peak_is_own,
        "status": str(worst(each.status for each in verdicts)),
        "said": "; ".join(f"{each.check} {each.status}: {each.summary}" for each in verdicts),
    }


def _memory(synthetic: SyntheticHistory) -> int:
    frames = synthetic.history, synthetic.ledger.events, synthetic.ledger.tickets
    return sum(int(frame.memory_usage().sum()) for frame in frames)


def _reset_peak_memory() -> bool:
    """Reset the peak memory of this process; False where the system cannot."""
    gc.collect()
    try:
        _RESET_PEAK.write_text("5")
    except OSError:
        return False
    return True


def _peak_bytes() -> int:
    """The largest resident size of this process (getrusage(2): kilobytes on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _end_with_parent() -> None:
    # Not sys.stdin: the interpreter aborts if it ends while a thread holds its lock.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
