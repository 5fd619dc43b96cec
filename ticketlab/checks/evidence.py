"""The operations, events and tickets that prove a violation, as typed records and as plain rows. Knows no check.

Input: rows of a history or a ledger. A missing column and an empty cell (NaN) both become None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeAlias
from uuid import UUID

import pandas as pd

from ticketlab.outcomes import NOT_SEEN, RETRIES, Cause, Kind, Outcome

Row: TypeAlias = Mapping[str, Any]

EVIDENCE_LIMIT: Final = 20
"""Rows of evidence that a verdict keeps; its summary counts them all."""
_OFTEN_IDLE: Final = {"line", "handed_elsewhere", *RETRIES.values()}
"""Columns that are left out if they hold only zeros."""
_INTERNAL: Final = {"handed", "handed_digest"}
"""Columns that are left out: a check that uses them describes what it found in its summary."""
_CALL_COLUMNS: Final = ("outcome", "invoked_ns", "buyer")
"""A row with any of these is a call; every other row describes the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """One event of a call: what was requested, what was answered, and what the ledger holds."""

    place: int
    """Index of the row in the evidence."""
    event: str | None
    quantity: int | None
    version: int | None
    available: int | None
    tickets: int | None
    """Tickets of this purchase in the ledger."""
    free: int | None
    """Seats that were available throughout the call."""
    ticket: int | None
    """The id of a ticket that this purchase shares with another purchase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyerCall:
    """One purchase or refund, with one line per event."""

    buyer: str | None
    kind: Kind
    outcome: Outcome | None
    cause: Cause | None
    purchase_id: str | None
    invoked_ns: int | None
    completed_ns: int | None
    attempts: int | None
    deadlocks: int
    lines: tuple[CallLine, ...]

    @property
    def is_refund(self) -> bool:
        """Whether the call is a refund, whatever its outcome."""
        return self.kind is Kind.REFUND

    @property
    def is_repeated(self) -> bool:
        """Whether the answer was that the same request had been processed before."""
        return self.cause is Cause.REPEATED

    @property
    def changed(self) -> bool:
        """Whether the answer reports a change of the stock."""
        return self.outcome in (Outcome.SOLD, Outcome.REFUNDED) and not self.is_repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The tickets of one purchase in the ledger."""

    event: str | None
    purchase_id: str | None
    tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventState:
    """An event as the database has it."""

    event: str | None
    total: int
    tickets: int | None
    available: int | None
    version: int | None
    at_ns: int | None = None
    """When this was observed, in ns since the start of the trial; None for the end of the trial."""

    @property
    def unsold(self) -> int:
        """The seats without a ticket: what the stock should be."""
        return self.total - (self.tickets or 0)

    @property
    def missing(self) -> int:
        """Seats that are neither sold nor in stock; negative if some are both; 0 if unknown."""
        if self.tickets is None or self.available is None:
            return 0
        return self.unsold - self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proves a violation."""

    rows: Sequence[Row] = ()
    """All of it as plain data: operations, events or purchases, by column."""
    calls: tuple[BuyerCall, ...] = ()
    """In order of invocation."""
    holdings: tuple[Holding, ...] = ()
    events: tuple[EventState, ...] = ()
    left_behind: Mapping[str, int] = field(default_factory=dict)
    """What a purchase function left on its connections or in the server, in words, with its count."""

    @property
    def lines(self) -> tuple[CallLine, ...]:
        """Every line of the calls."""
        return lines_of(self.calls)


def lines_of(calls: Iterable[BuyerCall]) -> tuple[CallLine, ...]:
    """Every line of these calls."""
    return tuple(line for call in calls for line in call.lines)


def plain_rows(frame: pd.DataFrame) -> list[Row]:
    """The first EVIDENCE_LIMIT rows as plain data, without empty and internal columns."""
    shown = frame.head(EVIDENCE_LIMIT)
    names = [str(name) for name in shown if name not in _INTERNAL]
    columns = {name: [_readable(each) for each in shown[name].tolist()] for name in names}
    kept = {name: cells for name, cells in columns.items() if name not in _OFTEN_IDLE or any(cells)}
    return [dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True)]


def evidence_of(rows: Sequence[Row]) -> Evidence:
    """Sort plain rows into calls, holdings and events."""
    placed = list(enumerate(rows))
    ledger = [row for row in rows if not _is_call(row)]
    # The rows of a basket follow one another and form one call.
    groups = groupby(((place, row) for place, row in placed if _is_call(row)), key=_call_key)
    calls = [_call(list(group)) for _, group in groups]
    return Evidence(
        rows=tuple(rows),
        calls=tuple(sorted(calls, key=lambda call: (call.invoked_ns is None, call.invoked_ns or 0))),
        holdings=tuple(_holding(row) for row in ledger if _number(row, "total") is None and "tickets" in row),
        events=tuple(_event_state(row) for row in ledger if _number(row, "total") is not None),
        left_behind={str(row["left_behind"]): _number(row, "times") or 1 for row in ledger if row.get("left_behind")},
    )


def _readable(cell: Any) -> Any:  # noqa: ANN401 - a frame may hold any value
    """A cell as plain data: numbers, UUIDs as text, None for NOT_SEEN."""
    plain = getattr(cell, "item", lambda: cell)()
    if isinstance(plain, int | float) and plain == NOT_SEEN:
        return None
    return str(UUID(bytes=plain)) if isinstance(plain, bytes) else plain


def _is_call(row: Row) -> bool:
    return any(_known(row, name) is not None for name in _CALL_COLUMNS)


def _call_key(placed: tuple[int, Row]) -> tuple[object, ...]:
    place, row = placed
    key = tuple(_known(row, name) for name in ("purchase_id", "invoked_ns", "buyer", "kind"))
    return key if None not in key[:2] else (place,)


def _call(placed: Sequence[tuple[int, Row]]) -> BuyerCall:
    row = placed[0][1]
    outcome, cause, kind = (_known(row, name) for name in ("outcome", "cause", "kind"))
    return BuyerCall(
        buyer=_name(row, "buyer"),
        kind=Kind(kind) if kind in set(Kind) else Kind.PURCHASE,
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        cause=Cause(cause) if cause in set(Cause) else None,
        purchase_id=_name(row, "purchase_id"),
        invoked_ns=_number(row, "invoked_ns"),
        completed_ns=_number(row, "completed_ns"),
        attempts=_number(row, "attempts"),
        deadlocks=(_number(row, RETRIES[Cause.DEADLOCK]) or 0) + (cause == Cause.DEADLOCK),
        lines=tuple(_call_line(place, each) for place, each in placed),
    )


def _call_line(place: int, row: Row) -> CallLine:
    answered = {name: _seen(row, name) for name in ("version", "available")}
    numbers = {name: _number(row, name) for name in ("quantity", "tickets", "free", "ticket")}
    return CallLine(place=place, event=_name(row, "event"), **answered, **numbers)


def _holding(row: Row) -> Holding:
    tickets = _number(row, "tickets") or 0
    return Holding(event=_name(row, "event"), purchase_id=_name(row, "purchase_id"), tickets=tickets)


def _event_state(row: Row) -> EventState:
    numbers = {name: _seen(row, name) for name in ("tickets", "available", "version", "at_ns")}
    return EventState(event=_name(row, "event"), total=_number(row, "total") or 0, **numbers)


def _known(row: Row, name: str) -> Any:  # noqa: ANN401 - whatever a cell holds
    """The value of a cell; None for a NaN, which stands where a row had no such column."""
    value = row.get(name)
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not equal to itself


def _name(row: Row, name: str) -> str | None:
    value = _known(row, name)
    return f"{value:.0f}" if isinstance(value, float) else None if value is None else str(value)


def _seen(row: Row, name: str) -> int | None:
    value = _number(row, name)
    return None if value == NOT_SEEN else value


def _number(row: Row, name: str) -> int | None:
    value = _known(row, name)
    return int(value) if isinstance(value, int | float) or hasattr(value, "__index__") else None
