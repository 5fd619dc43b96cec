"""A verdict: a status, a sentence, the anomaly, the operations that prove it, and what is wrong with them.

Knows no check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ticketlab.checks.diagnosis import Diagnosis
    from ticketlab.checks.evidence import Evidence, Row

MAX_FAILURES: Final = 0.05
"""The share of failures up to which a trial made progress, unless the experiment says otherwise."""


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
    """The answer of one check. `ticketlab.checks.base` makes it: `valid`, `invalid`, `unknown`."""

    check: str
    status: Status
    summary: str
    anomaly: Anomaly | None = None
    """What went wrong, if INVALID."""
    operations: Evidence | None = None
    """What proves it, if INVALID."""
    diagnosis: Diagnosis | None = None
    """What is wrong with the operations, if the check named an anomaly."""

    @property
    def evidence(self) -> Sequence[Row]:
        """The operations as plain data: up to EVIDENCE_LIMIT operations, events or purchases, by column."""
        return self.operations.rows if self.operations else ()


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
