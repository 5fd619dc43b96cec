"""What a check says: a word, a sentence, the name of what went wrong, and the operations that prove it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import pandas as pd

from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import NOT_SEEN, RETRIES

EVIDENCE_LIMIT: Final = 20
"""Rows of evidence that a verdict keeps; its summary counts them all."""
_OFTEN_IDLE: Final = {"line", "handed_elsewhere", *RETRIES.values()}
"""Columns that are left out where they hold nothing but zeros."""
_NOT_FOR_READERS: Final = {"handed", "handed_digest"}
"""Columns that are left out: a check that judges by them says in words of its own what it found."""


class Status(StrEnum):
    """What a check found. UNKNOWN is no kind of VALID."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


class Anomaly(StrEnum):
    """What went wrong, by the name that the field has for it."""

    OVERSELL = "oversell"
    """More tickets than seats."""
    UNDERSELL = "undersell"
    """Stock was taken, and nobody has a ticket for it."""
    LOST_UPDATE = "lost update"
    """Two sales went by one stock, and the later one wrote over the earlier one's."""
    DIRTY_READ = "dirty read"
    """Somebody was told of a version that was rolled back, or never made."""
    PHANTOM_SALE = "phantom sale"
    """Tickets, or a change of the stock, that no buyer was told of."""
    LOST_SALE = "lost sale"
    """A buyer was told that he has bought, and has nothing."""
    FALSE_SOLD_OUT = "false sold out"
    """Sent away while seats enough were left."""
    STALE_READ = "stale read"
    """Somebody was answered by a version that was no longer current when he asked, or sold out of order."""
    DOUBLE_SALE = "double sale"
    """One purchase id owns more tickets than it was sold."""
    DOUBLE_REFUND = "double refund"
    """One purchase was given back more than once."""
    HALF_PURCHASE = "half purchase"
    """Part of a purchase is there, and part of it is not."""
    DEADLOCK = "deadlock"
    CHANGED_SETUP = "changed setup"
    """The events, or their seats, are not those that the lab put on sale."""
    WRONG_TICKETS = "wrong tickets"
    """The tickets in an answer are not those that the purchase owns."""
    UNCLEAN_CONNECTION = "unclean connection"
    """A purchase left something on its connection or in the server that the next one meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of one check, in a word, in a sentence, and with the rows that prove it."""

    check: str
    status: Status
    summary: str
    evidence: Sequence[Mapping[str, Any]] = ()
    """Up to EVIDENCE_LIMIT rows: operations, events or purchases, by column."""
    anomaly: Anomaly | None = None
    """Of what is INVALID the name."""


def valid(check: str, summary: str) -> Verdict:
    """The claim holds."""
    return Verdict(check=check, status=Status.VALID, summary=summary)


def invalid(check: str, summary: str, rows: pd.DataFrame, anomaly: Anomaly | None = None) -> Verdict:
    """The claim does not hold; the first of `rows` are kept as evidence, without columns that say nothing."""
    shown = rows.head(EVIDENCE_LIMIT)
    names = [str(name) for name in shown if name not in _NOT_FOR_READERS]
    columns = {name: [_readable(each) for each in shown[name].tolist()] for name in names}
    telling = {name: cells for name, cells in columns.items() if name not in _OFTEN_IDLE or any(cells)}
    evidence = tuple(dict(zip(telling, row, strict=True)) for row in zip(*telling.values(), strict=True))
    return Verdict(check=check, status=Status.INVALID, summary=summary, evidence=evidence, anomaly=anomaly)


def unknown(check: str, summary: str) -> Verdict:
    """Nothing was decided."""
    return Verdict(check=check, status=Status.UNKNOWN, summary=summary)


def overall(verdicts: Iterable[Verdict]) -> Status:
    """One word for many verdicts; see `worst`."""
    return worst(each.status for each in verdicts)


def worst(statuses: Iterable[str]) -> Status:
    """INVALID if any is, else UNKNOWN if any is, or there are none."""
    found = set(statuses)
    if Status.INVALID in found:
        return Status.INVALID
    return Status.VALID if found == {Status.VALID} else Status.UNKNOWN


def _readable(cell: Any) -> Any:  # noqa: ANN401 - whatever a frame may hold
    """A cell as it can be printed and saved: plain numbers, UUIDs as they are written, None for what is not known."""
    plain = getattr(cell, "item", lambda: cell)()
    if isinstance(plain, int | float) and plain == NOT_SEEN:
        return None
    return str(UUID(bytes=plain)) if isinstance(plain, bytes) else plain


@dataclass(frozen=True, slots=True)
class Check:
    """A claim that is judged by a history and a ledger."""

    name: str
    """What it is called everywhere: in tables, verdicts and files."""
    summary: str
    """What is claimed, in a line."""
    judge: Callable[[IndexedHistory], Verdict]
    """Decides a case; may raise, which decides nothing."""

    def __call__(self, history: pd.DataFrame, ledger: Ledger) -> Verdict:
        """The verdict on a history and a ledger, of this check alone."""
        return self.judge(IndexedHistory(history, ledger))

    def decide(self, case: IndexedHistory) -> Verdict:
        """The verdict on a case; UNKNOWN where the check itself fails: whatever went wrong in it decided nothing."""
        try:
            return self.judge(case)
        except Exception as error:  # a check has no business to raise, so there is nothing to tell apart
            return unknown(self.name, f"the check itself failed: {type(error).__name__}: {error}")


def check(judge: Callable[[IndexedHistory], Verdict]) -> Check:
    """Make a function a check of the function's name; the first line of its docstring is what it claims."""
    return Check(getattr(judge, "__name__", repr(judge)), (judge.__doc__ or "").partition("\n")[0], judge)
