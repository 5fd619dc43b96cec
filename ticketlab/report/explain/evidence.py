"""The rows of a verdict's evidence as what they tell of: calls of buyers, and what the ledger has. Judges nothing.

Evidence may lack any column, and one that was put together of different rows has holes; both read as None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeAlias

from ticketlab.history.recording import NOT_SEEN, RETRIES
from ticketlab.outcomes import Cause, Kind, Outcome
from ticketlab.report.phrases import format_id

Row: TypeAlias = Mapping[str, Any]

_OF_A_CALL: Final = ("outcome", "invoked_ns", "buyer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a call asked of one event, what it was told of it, and what the ledger has."""

    place: int
    """The row's place in the evidence."""
    event: str | None
    quantity: int | None
    version: int | None
    available: int | None
    tickets: int | None
    """What the purchase owns in the ledger."""
    free: int | None
    """Seats that were surely free for as long as the call lasted."""
    ticket: int | None
    """The id of a ticket that the purchase shares with another one, as a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One purchase or refund, with a line for each of its events."""

    buyer: str | None
    kind: Kind
    outcome: Outcome | None
    cause: Cause | None
    purchase_id: str | None
    invoked_ns: int | None
    completed_ns: int | None
    attempts: int | None
    deadlocks: int
    lines: tuple[Line, ...]

    @property
    def refund(self) -> bool:
        """Whether it gave tickets back, or wanted to."""
        return self.kind is Kind.REFUND

    @property
    def again(self) -> bool:
        """Whether it was told that it had been made before."""
        return self.cause is Cause.REPEATED

    @property
    def changed(self) -> bool:
        """Whether it was told that it changed the stock."""
        return self.outcome in (Outcome.SOLD, Outcome.REFUNDED) and not self.again


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A purchase as the ledger has it."""

    event: str | None
    purchase_id: str | None
    tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventState:
    """An event as the ledger has it."""

    event: str | None
    total: int
    tickets: int | None
    available: int | None
    version: int | None
    at_ns: int | None = None
    """When that was so, in ns since the trial's start; None at the end of the trial."""

    @property
    def missing(self) -> int:
        """Seats that are neither sold nor in the stock; below 0 where they are both. 0 where it is not known."""
        if self.tickets is None or self.available is None:
            return 0
        return self.total - self.tickets - self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the evidence tells."""

    calls: tuple[Operation, ...]
    """As they were made."""
    held: tuple[Holding, ...]
    books: tuple[EventState, ...]
    crashes_ns: tuple[int, ...]
    left_behind: Mapping[str, int]
    """What a purchase function left on its connections or in the server, in words, and how often."""


def scene_of(evidence: Sequence[Row], crashes_ns: Sequence[int] = ()) -> Evidence:
    """Sort the rows of a verdict's evidence."""
    rows = list(enumerate(evidence))
    ledger = [row for _, row in rows if not _is_call(row)]
    calls = _calls([(place, row) for place, row in rows if _is_call(row)])
    return Evidence(
        calls=tuple(sorted(calls, key=lambda call: (call.invoked_ns is None, call.invoked_ns or 0))),
        held=tuple(_held(row) for row in ledger if _number(row, "total") is None and "tickets" in row),
        books=tuple(_books(row) for row in ledger if _number(row, "total") is not None),
        crashes_ns=tuple(sorted(crashes_ns)),
        left_behind={str(row["left_behind"]): _number(row, "times") or 1 for row in ledger if row.get("left_behind")},
    )


def is_operation(row: Row) -> bool:
    """Whether a row has a beginning and an end, and so can be drawn."""
    return _number(row, "invoked_ns") is not None and _number(row, "completed_ns") is not None


def _is_call(row: Row) -> bool:
    return any(_known(row, name) is not None for name in _OF_A_CALL)


def _calls(rows: Sequence[tuple[int, Row]]) -> Iterator[Operation]:
    """The rows of a basket follow one another, and make one call."""
    for _, group in groupby(rows, key=_one_call):
        lines = list(group)
        yield _call(lines[0][1], tuple(_line(place, row) for place, row in lines))


def _one_call(placed: tuple[int, Row]) -> tuple[object, ...]:
    place, row = placed
    key = tuple(_known(row, name) for name in ("purchase_id", "invoked_ns", "buyer", "kind"))
    return key if None not in key[:2] else (place,)


def _call(row: Row, lines: tuple[Line, ...]) -> Operation:
    outcome, cause, kind = (_known(row, name) for name in ("outcome", "cause", "kind"))
    return Operation(
        buyer=_name(row, "buyer"),
        kind=Kind(kind) if kind in set(Kind) else Kind.PURCHASE,
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        cause=Cause(cause) if cause in set(Cause) else None,
        purchase_id=_name(row, "purchase_id"),
        invoked_ns=_number(row, "invoked_ns"),
        completed_ns=_number(row, "completed_ns"),
        attempts=_number(row, "attempts"),
        deadlocks=(_number(row, RETRIES[Cause.DEADLOCK]) or 0) + (cause == Cause.DEADLOCK),
        lines=lines,
    )


def _line(place: int, row: Row) -> Line:
    seen = {name: _seen(row, name) for name in ("version", "available")}
    wanted = {name: _number(row, name) for name in ("quantity", "tickets", "free", "ticket")}
    return Line(place=place, event=_name(row, "event"), **seen, **wanted)


def _held(row: Row) -> Holding:
    return Holding(
        event=_name(row, "event"),
        purchase_id=_name(row, "purchase_id"),
        tickets=_number(row, "tickets") or 0,
    )


def _books(row: Row) -> EventState:
    numbers = {name: _seen(row, name) for name in ("tickets", "available", "version", "at_ns")}
    return EventState(event=_name(row, "event"), total=_number(row, "total") or 0, **numbers)


def _known(row: Row, name: str) -> Any:  # noqa: ANN401 - whatever a cell holds
    """What a cell holds, or None: a NaN, which is not equal to itself, stands where a row had no such column."""
    value = row.get(name)
    return None if value is None or value != value else value  # noqa: PLR0124 - see above


def _name(row: Row, name: str) -> str | None:
    value = _known(row, name)
    return None if value is None else format_id(value)


def _seen(row: Row, name: str) -> int | None:
    number = _number(row, name)
    return None if number == NOT_SEEN else number


def _number(row: Row, name: str) -> int | None:
    value = _known(row, name)
    return int(value) if isinstance(value, int | float) or hasattr(value, "__index__") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one anomaly comes to, in this evidence."""

    short: str
    """In a few words, as a title goes on with it."""
    why: str
    """In a sentence or several; it is read after what happened was told."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """What is wrong with a row, in a few words, by its place in the evidence."""
    calls: Sequence[Operation] = ()
    """Those that it speaks of; none where it speaks of all."""


def marked(lines: Iterable[Line], text: str) -> dict[int, str]:
    """The same words at each of these."""
    return dict.fromkeys((line.place for line in lines), text)


def lines_of(calls: Iterable[Operation]) -> list[Line]:
    """Every line of these calls."""
    return [line for call in calls for line in call.lines]
