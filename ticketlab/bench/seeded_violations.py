"""One violation for each check, at the very end of a history that is right. Never opens a connection.

Only what is violated is copied: a history and its violated twin share everything else.
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

_NOBODYS: Final = bytes(15) + b"\1"
"""An id that is none of the history's: they are drawn at random."""


def with_violation(made: SyntheticHistory, check: str) -> SyntheticHistory:
    """The same with one violation at the very end, which the check of this name must call INVALID.

    Raises:
        NotFoundError: no violation is known for a check of this name.
    """
    if check not in VIOLATIONS:
        raise NotFoundError(f"No violation is known for the check {check!r}. There are: {', '.join(VIOLATIONS)}.")
    return VIOLATIONS[check](made)


def _sold_beyond_the_last_seat(made: SyntheticHistory) -> SyntheticHistory:
    """Who was sent away last is sold seats by a stale stock: he makes the version of the sale before him."""
    told = _with_row(made, made.last_refusal, outcome=str(Outcome.SOLD), cause=str(Cause.NONE))
    row = told.history.iloc[made.last_refusal]
    return _with_tickets(told, [row["purchase_id"]] * int(row["quantity"]))


def _lost(made: SyntheticHistory) -> SyntheticHistory:
    """The last sale has no tickets."""
    return _without_last_tickets(made, _last_quantity(made))


def _half_lost(made: SyntheticHistory) -> SyntheticHistory:
    """The last sale lacks a ticket."""
    return _without_last_tickets(made, 1)


def _doubled(made: SyntheticHistory) -> SyntheticHistory:
    """The last sale's tickets are there twice."""
    return _with_tickets(made, [made.history["purchase_id"].iloc[made.last_sale]] * _last_quantity(made))


def _nobodys(made: SyntheticHistory) -> SyntheticHistory:
    """One ticket belongs to an id that nobody had."""
    return _with_tickets(made, [_NOBODYS])


def _handed_others(made: SyntheticHistory) -> SyntheticHistory:
    """The last sale's answer carries other tickets than the ledger has."""
    return _with_row(made, made.last_sale, handed_digest=0)


def _refused_in_sight_of_seats(made: SyntheticHistory) -> SyntheticHistory:
    """The last refusal tells of as many seats as were wanted."""
    return _with_row(made, made.last_refusal, available=int(made.history["quantity"].iloc[made.last_refusal]))


def _stale(made: SyntheticHistory) -> SyntheticHistory:
    """The last refusal tells of what was there before the last sale, which was answered before it was called."""
    sale = made.history.iloc[made.last_sale]
    before, left = int(sale["version"]) - 1, int(sale["available"]) + int(sale["quantity"])
    return _with_row(made, made.last_refusal, version=before, available=left)


def _deadlocked(made: SyntheticHistory) -> SyntheticHistory:
    """The last operation had to be tried again after a deadlock."""
    return _with_row(made, made.last_refusal, attempts=2, retries_deadlock=1)


def _left_behind(made: SyntheticHistory) -> SyntheticHistory:
    """The lab saw a lock on a connection that came back."""
    facts = replace(made.ledger.facts, left_behind={"a session advisory lock was left on the connection": 1})
    return replace(made, ledger=replace(made.ledger, facts=facts))


def _with_another_setup(made: SyntheticHistory) -> SyntheticHistory:
    """There is an event that the lab did not put on sale."""
    facts = replace(made.ledger.facts, seats=tuple(made.ledger.events["total"].tolist()), events_added=1)
    return replace(made, ledger=replace(made.ledger, facts=facts))


VIOLATIONS: Final[Mapping[str, Violation]] = MappingProxyType(
    {
        "no_oversell": _sold_beyond_the_last_seat,
        "sales_in_ledger": _lost,
        "tickets_accounted_for": _nobodys,
        "answers_match_tickets": _handed_others,
        "no_false_sold_out": _refused_in_sight_of_seats,
        "no_deadlock": _deadlocked,
        "strict_serializability": _stale,
        "exactly_once": _doubled,
        "durable": _lost,
        "atomic": _half_lost,
        "leaves_connection_clean": _left_behind,
        "setup_unchanged": _with_another_setup,
    }
)
"""By the name of a check."""


def _with_row(made: SyntheticHistory, row: int, **values: str | int) -> SyntheticHistory:
    """The same, but that one row of the history has other values."""
    columns = {name: made.history[name].copy() for name in values}
    for name, value in values.items():
        columns[name].iloc[row] = value
    return replace(made, history=made.history.assign(**columns))


def _with_tickets(made: SyntheticHistory, ids: list[bytes]) -> SyntheticHistory:
    """The same, with more tickets of event 0."""
    columns = {"event": 0, "purchase_id": parquet.purchase_ids(b"".join(ids)), "ticket": 0}
    more = pd.DataFrame(columns).astype(TICKET_COLUMNS)
    tickets = pd.concat([made.ledger.tickets, more], ignore_index=True)
    return replace(made, ledger=replace(made.ledger, tickets=tickets))


def _without_last_tickets(made: SyntheticHistory, count: int) -> SyntheticHistory:
    return replace(made, ledger=replace(made.ledger, tickets=made.ledger.tickets.iloc[:-count]))


def _last_quantity(made: SyntheticHistory) -> int:
    return int(made.history["quantity"].iloc[made.last_sale])
