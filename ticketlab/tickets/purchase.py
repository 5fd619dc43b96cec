"""The records of a purchase: request, basket, sold ticket, result. Plain data: no SQL, no connection."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from typing import Any, NamedTuple, Self
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import MAX_INTEGER, Cause, Outcome

_READABLE = 10**18


class SoldTicket(NamedTuple):
    """A sold ticket: its `id`, its `event_id`, and more. A tuple, because a dataclass adds to the measured latency."""

    id: UUID
    event_id: UUID
    purchase_id: UUID
    """The purchase that owns it."""
    purchased_at: datetime
    """The start of the transaction that sold it, by the database's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """A request for `quantity` tickets of the event `event_id`, under one `purchase_id`."""

    event_id: UUID
    quantity: int
    purchase_id: UUID

    @classmethod
    def checked(cls, event_id: UUID | str, quantity: int, purchase_id: UUID | str) -> Self:
        """A request whose values PostgreSQL can store.

        Raises:
            InvalidInputError: an id is not a UUID, or the quantity is not an integer from 1 to 2,147,483,647.
        """
        return cls(
            event_id=checked_uuid("event_id", event_id),
            quantity=checked_integer("quantity", quantity, at_least=1),
            purchase_id=checked_uuid("purchase_id", purchase_id),
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The three values by name, for a statement's placeholders."""
        return {"event_id": self.event_id, "quantity": self.quantity, "purchase_id": self.purchase_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """A request for tickets of several events under one `purchase_id`: all of them or none."""

    quantities: Mapping[UUID, int]
    """Tickets by event, in the buyer's order. Safe strategies lock the rows in the order of the ids instead."""
    purchase_id: UUID

    @classmethod
    def checked(cls, quantities: Mapping[UUID, int] | Mapping[str, int], purchase_id: UUID | str) -> Self:
        """A basket whose values PostgreSQL can store.

        Raises:
            InvalidInputError: an id is not a UUID, a quantity is not an integer from 1 to 2,147,483,647, or the
                basket is empty.
        """
        if not isinstance(quantities, Mapping):
            raise InvalidInputError(f"quantities must map each event to a number of tickets, not {quantities!r}.")
        if not quantities:
            raise InvalidInputError("A basket needs at least one event.")
        checked = {
            checked_uuid("event_id", event_id): checked_integer("quantity", quantity, at_least=1)
            for event_id, quantity in quantities.items()
        }
        if len(checked) < len(quantities):
            raise InvalidInputError("A basket may name each event only once.")
        return cls(quantities=checked, purchase_id=checked_uuid("purchase_id", purchase_id))

    @property
    def quantity(self) -> int:
        """The tickets of all events, summed."""
        return sum(self.quantities.values())


class BasketLine(NamedTuple):
    """One event of a basket or refund: its tickets, and the version and stock that were written or read."""

    event_id: UUID
    quantity: int
    version: int
    available_tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseResult:
    """The result of a purchase or a refund.

    `version` and `available_tickets` are the event's, as written (sold, refunded) or read (sold out). They are None if
    the strategy read none, and for several events, where `lines` hold them. `cause` says why nothing was sold or
    refunded, or why the last retry was needed.
    """

    outcome: Outcome
    """Whether the purchase was made, and if not, whether that is certain."""
    quantity: int
    """The requested tickets; for a refund, the refunded ones."""
    tickets: Sequence[SoldTicket] = ()
    """The tickets that the buyer owns now; empty after a refund."""
    cause: Cause = Cause.NONE
    retries: Sequence[Cause] = ()
    """Why each attempt before the last one failed, in order."""
    version: int | None = None
    available_tickets: int | None = None
    lines: Sequence[BasketLine] = ()
    """Sold basket: every event. Sold-out basket: the events with too few tickets. Refund: every refunded event, even
    if it is one, in the order of their ids."""
    detail: str = ""
    """The message of the database or the pool, if there was one."""

    @property
    def attempts(self) -> int:
        """The number of attempts."""
        return 1 + len(self.retries)

    @property
    def success(self) -> bool:
        """Whether the buyer owns the tickets."""
        return self.outcome is Outcome.SOLD

    @property
    def message(self) -> str:
        """The outcome in a sentence, for the buyer."""
        tickets = f"{self.quantity} ticket" + ("s" if self.quantity != 1 else "")
        attempts = f"{self.attempts} attempt" + ("s" if self.attempts != 1 else "")
        before = " before" if self.success and self.cause is Cause.REPEATED else ""
        match self.outcome:
            case Outcome.SOLD | Outcome.REFUNDED:
                return f"{tickets} {'purchased' if self.success else 'refunded'}{before}."
            case Outcome.SOLD_OUT:
                lines = [
                    f"{each.quantity} of event {each.event_id}: {each.available_tickets} left" for each in self.lines
                ]
                counts = "; ".join(lines) or f"{tickets} requested, {self.available_tickets} left"
                return f"Not enough tickets available: {counts}."
            case Outcome.CONFLICT:
                return f"Concurrent modification: gave up after {attempts} ({self.cause})."
            case Outcome.UNAVAILABLE:
                return self.detail
            case Outcome.FAILED:
                repeated = self.cause is Cause.REPEATED
                failure = "Nothing was sold" if repeated else f"Failed and was rolled back ({self.cause})"
                return f"{failure}: {self.detail}"
            case Outcome.UNKNOWN:
                return f"The connection broke, and the commit may or may not have happened: {self.detail}"


def ticket_ids(purchase_id: UUID, quantity: int) -> list[UUID]:
    """The ids of a purchase's tickets: the MD5 of its id and the ticket's number, as `md5(…)::uuid` computes in SQL.

    Name-based (custom UUIDs: RFC 9562, section 5.8), so that the same purchase cannot be inserted twice.
    """
    prefix = md5(str(purchase_id).encode(), usedforsecurity=False)
    ids = []
    for number in range(1, quantity + 1):
        name = prefix.copy()
        name.update(b"%d" % number)
        ids.append(UUID(bytes=name.digest()))
    return ids


def sold(request: PurchaseRequest, rows: Sequence[TupleRow]) -> PurchaseResult:
    """The result SOLD.

    `rows` holds one row per ticket: the columns of `SoldTicket`, then the event's new stock and version, or NULL if the
    sale did not touch the event's row.
    """
    *_, left, version = rows[0]
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=request.quantity,
        tickets=[SoldTicket._make(row[:4]) for row in rows],
        version=version,
        available_tickets=left,
    )


def sold_out(request: PurchaseRequest, *, version: int, left: int) -> PurchaseResult:
    """The result SOLD_OUT: at `version` the event had `left` tickets, fewer than requested."""
    return PurchaseResult(
        outcome=Outcome.SOLD_OUT,
        quantity=request.quantity,
        cause=Cause.INSUFFICIENT,
        version=version,
        available_tickets=left,
    )


def bought_before(request: PurchaseRequest | Basket, tickets: Sequence[SoldTicket]) -> PurchaseResult:
    """The result of a repeated purchase, whose id already owns `tickets`; nothing is sold. The cause is REPEATED.

    SOLD, with these tickets, if they are exactly what is requested. FAILED if the id owns another quantity or tickets
    of other events, because SOLD means that the buyer owns what it asked for.
    """
    requested = request.quantities if isinstance(request, Basket) else {request.event_id: request.quantity}
    owned = dict(Counter(ticket.event_id for ticket in tickets))
    if owned == requested:
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity, tickets=tickets, cause=Cause.REPEATED)
    listed = ", ".join(f"{count} of event {event_id}" for event_id, count in sorted(owned.items()))
    return PurchaseResult(
        outcome=Outcome.FAILED,
        quantity=request.quantity,
        cause=Cause.REPEATED,
        detail=f"the purchase id {request.purchase_id} already owns other tickets than requested: {listed}",
    )


def unknown_event(request: PurchaseRequest | Basket, *, missing: Iterable[UUID] = ()) -> PurchaseResult:
    """The result FAILED: the event, or the `missing` events of a basket, do not exist; nothing was written."""
    unknown = [request.event_id] if isinstance(request, PurchaseRequest) else sorted(missing)
    return PurchaseResult(
        outcome=Outcome.FAILED,
        quantity=request.quantity,
        cause=Cause.UNKNOWN_EVENT,
        detail=f"there is no event {', no event '.join(map(str, unknown))}",
    )


def checked_uuid(name: str, value: UUID | str) -> UUID:
    """`value` as a UUID, or InvalidInputError."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidInputError(f"{name} must be a UUID, not {value!r}.") from None


def checked_integer(name: str, value: object, *, at_least: int) -> int:
    """`value` if it is an int that fits PostgreSQL's `integer`, else InvalidInputError. A bool is rejected."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be an integer, not {value!r}.")
    if not at_least <= value <= MAX_INTEGER:
        shown = f"{value:,}" if abs(value) < _READABLE else "a number too long to print"
        raise InvalidInputError(f"{name} must be from {at_least} to {MAX_INTEGER:,}, not {shown}.")
    return value
