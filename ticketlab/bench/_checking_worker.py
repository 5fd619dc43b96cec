"""The worker process of the bench of the checks: generates a history, judges it, reports the measurements, and ends.

Its argument is a JSON object; it prints JSON lines: the size of the history, then the measurements of each subject.
It also ends when its standard input does, so that it cannot outlive the process that started it.

Each check is measured on a valid history, and on a copy with one violation of it at the very end. Only what is violated
is copied: both histories share everything else.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd
from pydantic import TypeAdapter

from ticketlab import checks
from ticketlab.bench._synthetic import SyntheticHistory, generate
from ticketlab.bench.checking import ALL_CHECKS, ChecksBench, named_checks
from ticketlab.checks.verdict import Verdict, worst
from ticketlab.errors import NotFoundError
from ticketlab.history import parquet
from ticketlab.history.ledger import TICKET_COLUMNS
from ticketlab.outcomes import Cause, Outcome

if TYPE_CHECKING:
    from ticketlab.checks.base import Check


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


Violation: TypeAlias = Callable[[SyntheticHistory], SyntheticHistory]

_UNUSED_ID: Final = bytes(15) + b"\1"
"""A purchase id that is not in the history: its ids are drawn at random."""


def with_violation(valid: SyntheticHistory, check: str) -> SyntheticHistory:
    """The same with one violation at the very end, which the check of this name must call INVALID.

    Raises:
        NotFoundError: no violation is known for a check of this name.
    """
    if check not in VIOLATIONS:
        raise NotFoundError(f"No violation is known for the check {check!r}. There are: {', '.join(VIOLATIONS)}.")
    return VIOLATIONS[check](valid)


def _oversold(valid: SyntheticHistory) -> SyntheticHistory:
    """The last refusal becomes a sale from a stale stock, with the version of the sale before it."""
    violated = _with_row(valid, valid.last_refusal, outcome=str(Outcome.SOLD), cause=str(Cause.NONE))
    row = violated.history.iloc[valid.last_refusal]
    return _with_tickets(violated, [row["purchase_id"]] * int(row["quantity"]))


def _lost(valid: SyntheticHistory) -> SyntheticHistory:
    """The last sale has no tickets."""
    return _without_last_tickets(valid, _last_quantity(valid))


def _partly_lost(valid: SyntheticHistory) -> SyntheticHistory:
    """The last sale lacks a ticket."""
    return _without_last_tickets(valid, 1)


def _doubled(valid: SyntheticHistory) -> SyntheticHistory:
    """The last sale has its tickets twice."""
    return _with_tickets(valid, [valid.history["purchase_id"].iloc[valid.last_sale]] * _last_quantity(valid))


def _unaccounted(valid: SyntheticHistory) -> SyntheticHistory:
    """One ticket has a purchase id that no operation had."""
    return _with_tickets(valid, [_UNUSED_ID])


def _other_tickets(valid: SyntheticHistory) -> SyntheticHistory:
    """The last sale's answer carries other tickets than the ledger has."""
    return _with_row(valid, valid.last_sale, handed_digest=0)


def _refused_despite_seats(valid: SyntheticHistory) -> SyntheticHistory:
    """The last refusal reports as many available tickets as were requested."""
    return _with_row(valid, valid.last_refusal, available=int(valid.history["quantity"].iloc[valid.last_refusal]))


def _stale(valid: SyntheticHistory) -> SyntheticHistory:
    """The last refusal reports the version before the last sale, which was answered before it was called."""
    sale = valid.history.iloc[valid.last_sale]
    before, left = int(sale["version"]) - 1, int(sale["available"]) + int(sale["quantity"])
    return _with_row(valid, valid.last_refusal, version=before, available=left)


def _deadlocked(valid: SyntheticHistory) -> SyntheticHistory:
    """The last operation was retried after a deadlock."""
    return _with_row(valid, valid.last_refusal, attempts=2, retries_deadlock=1)


def _left_behind(valid: SyntheticHistory) -> SyntheticHistory:
    """A connection was returned to the pool with a lock."""
    facts = replace(valid.ledger.facts, left_behind={"a session advisory lock was left on the connection": 1})
    return replace(valid, ledger=replace(valid.ledger, facts=facts))


def _with_another_setup(valid: SyntheticHistory) -> SyntheticHistory:
    """The database has an event that the lab did not create."""
    facts = replace(valid.ledger.facts, seats=tuple(valid.ledger.events["total"].tolist()), events_added=1)
    return replace(valid, ledger=replace(valid.ledger, facts=facts))


VIOLATIONS: Final[Mapping[str, Violation]] = MappingProxyType(
    {
        "no_oversell": _oversold,
        "sales_in_ledger": _lost,
        "tickets_accounted_for": _unaccounted,
        "answers_match_tickets": _other_tickets,
        "no_false_sold_out": _refused_despite_seats,
        "no_deadlock": _deadlocked,
        "strict_serializability": _stale,
        "exactly_once": _doubled,
        "durable": _lost,
        "atomic": _partly_lost,
        "leaves_connection_clean": _left_behind,
        "setup_unchanged": _with_another_setup,
    }
)
"""By the name of a check."""


def _with_row(valid: SyntheticHistory, row: int, **values: str | int) -> SyntheticHistory:
    """The same with other values in one row of the history."""
    columns = {name: valid.history[name].copy() for name in values}
    for name, value in values.items():
        columns[name].iloc[row] = value
    return replace(valid, history=valid.history.assign(**columns))


def _with_tickets(valid: SyntheticHistory, ids: list[bytes]) -> SyntheticHistory:
    """The same with more tickets of event 0."""
    columns = {"event": 0, "purchase_id": parquet.purchase_ids(b"".join(ids)), "ticket": 0}
    more = pd.DataFrame(columns).astype(TICKET_COLUMNS)
    tickets = pd.concat([valid.ledger.tickets, more], ignore_index=True)
    return replace(valid, ledger=replace(valid.ledger, tickets=tickets))


def _without_last_tickets(valid: SyntheticHistory, count: int) -> SyntheticHistory:
    return replace(valid, ledger=replace(valid.ledger, tickets=valid.ledger.tickets.iloc[:-count]))


def _last_quantity(valid: SyntheticHistory) -> int:
    return int(valid.history["quantity"].iloc[valid.last_sale])


if __name__ == "__main__":
    main()
