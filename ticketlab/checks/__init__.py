"""Checks over a history and a ledger. Each is a claim; its verdict names the operations that disprove it. Pure.

A check that crashed or had nothing to judge is UNKNOWN, never VALID.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from ticketlab.checks._atomicity import answers_match_tickets, atomic, durable, exactly_once
from ticketlab.checks._order import no_false_sold_out, strict_serializability
from ticketlab.checks.base import Check, check, unknown
from ticketlab.checks.capacity import no_oversell, sales_in_ledger, setup_unchanged, tickets_accounted_for, with_count
from ticketlab.checks.side_effects import leaves_connection_clean, no_deadlock
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.history.index import IndexedHistory

if TYPE_CHECKING:
    from ticketlab.history.ledger import Ledger

__all__ = [
    "CHECKS",
    "Check",
    "answers_match_tickets",
    "atomic",
    "check",
    "decide",
    "durable",
    "exactly_once",
    "judge",
    "leaves_connection_clean",
    "no_deadlock",
    "no_false_sold_out",
    "no_oversell",
    "sales_in_ledger",
    "setup_unchanged",
    "strict_serializability",
    "tickets_accounted_for",
]

CHECKS: Final[Sequence[Check]] = (
    no_oversell,
    sales_in_ledger,
    tickets_accounted_for,
    answers_match_tickets,
    exactly_once,
    atomic,
    durable,
    no_false_sold_out,
    strict_serializability,
    no_deadlock,
    setup_unchanged,
    leaves_connection_clean,
)


_NOT_ANSWERED: Final = "no purchase was answered, so nothing was checked"


def judge(history: pd.DataFrame, ledger: Ledger, checks: Iterable[Check] = CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check on a history and a ledger; see `decide`."""
    return decide(IndexedHistory(history, ledger), checks)


def decide(case: IndexedHistory, checks: Iterable[Check] = CHECKS) -> tuple[Verdict, ...]:
    """The verdict of each check. If no call was answered, no check is VALID."""
    known = case.ledger.events["event"].to_numpy()
    missing = {int(each) for column in (case.event, case.ticket_event) for each in np.setdiff1d(column, known)}
    if missing:
        return _undecided(checks, f"the ledger lacks {with_count(len(missing), f'event {min(missing)}', 'event')}")
    answered = (case.sold | case.refused | case.refunded).any()
    nothing_found = not case.sale_unknown.any() and case.ledger.tickets.empty and not case.ledger.facts.left_behind
    if not answered and nothing_found:
        return _undecided(checks, _NOT_ANSWERED)
    verdicts = tuple(check.decide(case) for check in checks)
    if answered:
        return verdicts
    # Without an answer a check may find a violation, but cannot show that there is none.
    return tuple(unknown(each.check, _NOT_ANSWERED) if each.status is Status.VALID else each for each in verdicts)


def _undecided(checks: Iterable[Check], reason: str) -> tuple[Verdict, ...]:
    return tuple(unknown(each.name, reason) for each in checks)
