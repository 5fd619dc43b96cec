"""Adds one violation for each check at the very end of a valid synthetic history. Opens no connection.

Only what is violated is copied: both histories share everything else.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

import pandas as pd

from ticketlab.bench.synthetic import SyntheticHistory
from ticketlab.errors import NotFoundError
from ticketlab.history import parquet
from ticketlab.history.ledger import TICKET_COLUMNS
from ticketlab.outcomes import Cause, Outcome

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
