"""A check: a claim about a history and a ledger, made from a function by the decorator `check`; and its verdicts.

A check that raises leaves its claim undecided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ticketlab.checks.evidence import evidence_of, plain_rows
from ticketlab.checks.verdict import Anomaly, Status, Verdict

if TYPE_CHECKING:
    from ticketlab.history.index import IndexedHistory
    from ticketlab.history.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Check:
    """A claim about a history and a ledger."""

    name: str
    """Its name in tables, verdicts and files."""
    summary: str
    """The claim, in one line."""
    judge: Callable[[IndexedHistory], Verdict]
    """Judges a case; if it raises, the verdict is UNKNOWN."""

    def __call__(self, history: pd.DataFrame, ledger: Ledger) -> Verdict:
        """The verdict on a history and a ledger."""
        from ticketlab.history.index import IndexedHistory

        return self.judge(IndexedHistory(history, ledger))

    def decide(self, case: IndexedHistory) -> Verdict:
        """The verdict on a case; UNKNOWN if the check itself raises."""
        try:
            return self.judge(case)
        except Exception as error:  # any error in a check leaves the claim undecided
            return unknown(self.name, f"the check itself failed: {type(error).__name__}: {error}")


def check(judge: Callable[[IndexedHistory], Verdict]) -> Check:
    """Make a function a check of the same name; the first line of its docstring is the claim."""
    return Check(getattr(judge, "__name__", repr(judge)), (judge.__doc__ or "").partition("\n")[0], judge)


def valid(check: str, summary: str) -> Verdict:
    """The claim holds."""
    return Verdict(check=check, status=Status.VALID, summary=summary)


def invalid(check: str, summary: str, rows: pd.DataFrame, anomaly: Anomaly | None = None) -> Verdict:
    """The claim does not hold. The first EVIDENCE_LIMIT rows are its evidence; with an anomaly they are diagnosed."""
    from ticketlab.checks.diagnosis import diagnose

    found = evidence_of(plain_rows(rows))
    return Verdict(
        check=check,
        status=Status.INVALID,
        summary=summary,
        anomaly=anomaly,
        operations=found,
        diagnosis=diagnose(anomaly, found),
    )


def unknown(check: str, summary: str) -> Verdict:
    """The claim was not decided."""
    return Verdict(check=check, status=Status.UNKNOWN, summary=summary)
