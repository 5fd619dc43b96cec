"""A small history with its ledger as plain records, and as text for a person to read. Knows outcomes, no check.

Times are whole ticks. A version or a stock that nothing reported is None.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ticketlab.outcomes import Cause, Kind, Outcome

MOST_OPERATIONS: Final = 7
"""Of one case: as many as every order of them can be tried."""
NO_EFFECT: Final = frozenset({Outcome.FAILED, Outcome.CONFLICT, Outcome.UNAVAILABLE})
"""Outcomes of operations that surely did nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The part of an operation that concerns one event, and what was reported of that event."""

    event: int
    quantity: int
    version: int | None = None
    available: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One purchase or one refund; a basket has several lines."""

    kind: Kind = Kind.PURCHASE
    purchase: int
    """The purchase id, as a small number."""
    lines: tuple[Line, ...]
    invoked: int
    completed: int
    outcome: Outcome
    cause: Cause = Cause.NONE

    @property
    def repeated(self) -> bool:
        """Whether it was reported as made before."""
        return self.cause is Cause.REPEATED

    @property
    def wanted(self) -> tuple[tuple[int, int], ...]:
        """Its events, each with its quantity."""
        return tuple(sorted((line.event, line.quantity) for line in self.lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The seats of an event, and what the ledger holds of it in the end."""

    total: int
    available: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCase:
    """Operations, and the ledger after them. An event's number is its place."""

    operations: tuple[Operation, ...]
    events: tuple[Event, ...]
    tickets: tuple[tuple[int, int], ...] = ()
    """The event and the purchase id of each ticket."""
    stock_elsewhere: bool = False
    """Whether stock is counted apart from the event's row while it sells."""

    @property
    def answered(self) -> bool:
        """Whether some operation was answered: as sold, as sold out, or as a refund that gave something back."""
        return any(
            each.outcome in {Outcome.SOLD, Outcome.SOLD_OUT} or (each.outcome is Outcome.REFUNDED and not each.repeated)
            for each in self.operations
        )

    def __str__(self) -> str:
        """One line an operation, in order of invocation, then the ledger."""
        return "\n".join(_text(self))


def _text(case: SmallCase) -> Iterator[str]:
    for operation in sorted(case.operations, key=lambda each: each.invoked):
        cause = "" if operation.cause is Cause.NONE else f" ({operation.cause})"
        lines = ", ".join(map(_line_text, operation.lines))
        times = f"[{operation.invoked:>2}, {operation.completed:>2}]"
        yield f"{times} {operation.kind} p{operation.purchase}: {operation.outcome}{cause}: {lines}"
    owned = Counter(case.tickets)
    for number, event in enumerate(case.events):
        owners = ", ".join(f"p{owner}: {owned[at, owner]}" for at, owner in sorted(owned) if at == number)
        books = f"total {event.total}, available {_shown(event.available)}, version {_shown(event.version)}"
        yield f"event {number}: {books}; tickets: {owners or 'none'}"
    if case.stock_elsewhere:
        yield "the stock is counted apart from the event's row"


def _line_text(line: Line) -> str:
    return f"{line.quantity} of event {line.event} v{_shown(line.version)} available {_shown(line.available)}"


def _shown(number: int | None) -> str:
    return "?" if number is None else str(number)
