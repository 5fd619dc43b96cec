"""A verdict: a status, a sentence, the anomaly, and the operations that prove it. Knows no check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import pandas as pd

from ticketlab.outcomes import NOT_SEEN, RETRIES

MAX_FAILURES: Final = 0.05
"""The share of failures up to which a trial made progress, unless the experiment says otherwise."""
EVIDENCE_LIMIT: Final = 20
"""Rows of evidence that a verdict keeps; its summary counts them all."""
_OFTEN_IDLE: Final = {"line", "handed_elsewhere", *RETRIES.values()}
"""Columns that are left out if they hold only zeros."""
_INTERNAL: Final = {"handed", "handed_digest"}
"""Columns that are left out: a check that uses them describes what it found in its summary."""


class Status(StrEnum):
    """What a check found. UNKNOWN is not a kind of VALID."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


class Anomaly(StrEnum):
    """What went wrong, by the name used in the field."""

    OVERSELL = "oversell"
    """More tickets than seats."""
    UNDERSELL = "undersell"
    """Stock was taken without a ticket."""
    LOST_UPDATE = "lost update"
    """Two sales read the same stock, and the later one overwrote the change of the earlier one."""
    DIRTY_READ = "dirty read"
    """An answer reports a version that was rolled back or never made."""
    PHANTOM_SALE = "phantom sale"
    """Tickets, or a change of the stock, that no answer reports."""
    LOST_SALE = "lost sale"
    """A purchase was answered as sold, and owns nothing."""
    FALSE_SOLD_OUT = "false sold out"
    """A purchase was refused while enough seats were left."""
    STALE_READ = "stale read"
    """An answer comes from a version that was no longer current when the call began, or sales are out of order."""
    DOUBLE_SALE = "double sale"
    """One purchase id owns more tickets than it bought."""
    DOUBLE_REFUND = "double refund"
    """One purchase was refunded more than once."""
    HALF_PURCHASE = "half purchase"
    """Part of a purchase is there and part is missing."""
    DEADLOCK = "deadlock"
    CHANGED_SETUP = "changed setup"
    """The events or their seats are not those that the lab put on sale."""
    WRONG_TICKETS = "wrong tickets"
    """The tickets in an answer are not those that the purchase owns."""
    UNCLEAN_CONNECTION = "unclean connection"
    """A purchase left something on its connection or in the server."""


class Violation(NamedTuple):
    """One thing that is wrong."""

    text: str
    rows: Sequence[int]
    """The fewest rows that show it."""
    anomaly: Anomaly


class Undecided(Exception):  # noqa: N818 - no error: the question is open, and the message says which
    """Neither a violation nor an order was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of one check: a status, a sentence, and the rows that prove it."""

    check: str
    status: Status
    summary: str
    evidence: Sequence[Mapping[str, Any]] = ()
    """Up to EVIDENCE_LIMIT rows: operations, events or purchases, by column."""
    anomaly: Anomaly | None = None
    """What went wrong, if INVALID."""


def valid(check: str, summary: str) -> Verdict:
    """The claim holds."""
    return Verdict(check=check, status=Status.VALID, summary=summary)


def invalid(check: str, summary: str, rows: pd.DataFrame, anomaly: Anomaly | None = None) -> Verdict:
    """The claim does not hold. The first EVIDENCE_LIMIT rows are its evidence, without empty and internal columns."""
    shown = rows.head(EVIDENCE_LIMIT)
    names = [str(name) for name in shown if name not in _INTERNAL]
    columns = {name: [_readable(each) for each in shown[name].tolist()] for name in names}
    kept = {name: cells for name, cells in columns.items() if name not in _OFTEN_IDLE or any(cells)}
    evidence = tuple(dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True))
    return Verdict(check=check, status=Status.INVALID, summary=summary, evidence=evidence, anomaly=anomaly)


def unknown(check: str, summary: str) -> Verdict:
    """The claim was not decided."""
    return Verdict(check=check, status=Status.UNKNOWN, summary=summary)


def overall(verdicts: Iterable[Verdict]) -> Status:
    """The status of many verdicts together; see `worst`."""
    return worst(each.status for each in verdicts)


def worst(statuses: Iterable[str]) -> Status:
    """INVALID if any status is INVALID; VALID if all are VALID; UNKNOWN otherwise, and if there is none."""
    found = set(statuses)
    if Status.INVALID in found:
        return Status.INVALID
    return Status.VALID if found == {Status.VALID} else Status.UNKNOWN


class ProgressStatus(StrEnum):
    """Whether progress was made."""

    PROGRESS = "PROGRESS"
    NO_PROGRESS = "NO PROGRESS"
    NOT_TRIED = "NOT TRIED"
    """No purchase found seats."""


def worst_progress(verdicts: Iterable[str]) -> str:
    """NO PROGRESS if any is, else PROGRESS if any is."""
    found = set(verdicts)
    order = (ProgressStatus.NO_PROGRESS, ProgressStatus.PROGRESS)
    return str(next((each for each in order if each in found), ProgressStatus.NOT_TRIED))


def _readable(cell: Any) -> Any:  # noqa: ANN401 - a frame may hold any value
    """A cell as plain data: numbers, UUIDs as text, None for NOT_SEEN."""
    plain = getattr(cell, "item", lambda: cell)()
    if isinstance(plain, int | float) and plain == NOT_SEEN:
        return None
    return str(UUID(bytes=plain)) if isinstance(plain, bytes) else plain
