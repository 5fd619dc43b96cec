"""The process in which a history is made and judged: started by `runner`, it tells what it measured and ends.

It is given one JSON object as its argument, and writes one a line: how large the history is, then what each subject
took. It ends as well when its standard input does, so that it can not outlive who has started it.
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

from ticketlab import checks
from ticketlab.bench.checking import ALL_CHECKS, ChecksBench, named_checks
from ticketlab.bench.seeded_violations import with_violation
from ticketlab.bench.synthetic import SyntheticHistory, generate
from ticketlab.checks.verdict import Check, Verdict, worst

_RESET_PEAK: Final = Path("/proc/self/clear_refs")
"""Written 5 to, Linux forgets the peak of this process (https://docs.kernel.org/filesystems/proc.html)."""


def main() -> None:
    """Measure what the argument says."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asked = json.loads(sys.argv[1])
    for told in measure(ChecksBench.from_dict(asked["bench"]), asked["operations"], valid=asked["valid"]):
        print(json.dumps(told), flush=True)  # noqa: T201 - it is how this process speaks


def measure(bench: ChecksBench, operations: int, *, valid: bool) -> Iterator[dict[str, Any]]:
    """How large the history is, then for each subject its times, its peak of memory, and its verdict in short."""
    made = generate(bench.shape(operations))
    yield {"rows": len(made.history), "tickets": len(made.ledger.tickets), "history_bytes": _size(made)}
    chosen = {name: check for name, check in named_checks().items() if name in bench.checks}
    for subject in bench.subjects:
        judged_by = tuple(chosen.values()) if subject == ALL_CHECKS else (chosen[subject],)
        judged = made if valid else with_violation(made, _violation(subject, bench.checks))
        yield {"subject": subject, **_timed(judged, judged_by, bench.repeats_of(operations))}
        del judged


def _violation(subject: str, names: Iterable[str]) -> str:
    """Whose violation a subject is to find: of all together that of the last, when the others are done."""
    return list(names)[-1] if subject == ALL_CHECKS else subject


def _timed(made: SyntheticHistory, judged_by: Iterable[Check], repeats: int) -> Mapping[str, Any]:
    seconds = []
    honest = _reset_peak_rss()
    verdicts: tuple[Verdict, ...] = ()
    for _ in range(repeats):
        began = time.perf_counter()
        verdicts = checks.judge(made.history, made.ledger, judged_by)
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": seconds,
        "peak_bytes": _peak_bytes(),
        "peak_is_own": honest,
        "status": str(worst(each.status for each in verdicts)),
        "said": "; ".join(f"{each.check} {each.status}: {each.summary}" for each in verdicts),
    }


def _size(made: SyntheticHistory) -> int:
    frames = made.history, made.ledger.events, made.ledger.tickets
    return sum(int(each.memory_usage().sum()) for each in frames)


def _reset_peak_rss() -> bool:
    """Let the peak be that of what comes now; where the system can not, it stays that of all that was."""
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
    # Not by sys.stdin: who ends while a thread holds its lock is aborted.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
