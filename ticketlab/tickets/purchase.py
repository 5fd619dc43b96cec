"""What a buyer asks for and what he is told. Plain records: no SQL, no connection."""

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
    """A ticket as a purchase made it. A tuple, for a purchase is measured in microseconds."""

    id: UUID
    """The ticket's own."""
    event_id: UUID
    """The event that it is for."""
    purchase_id: UUID
    """The purchase that owns it."""
    purchased_at: datetime
    """The time of the transaction that sold it, as the database had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRequest:
    """`quantity` tickets of the event `event_id`, wanted under one `purchase_id`."""

    event_id: UUID
    quantity: int
    purchase_id: UUID

    @classmethod
    def checked(cls, event_id: UUID | str, quantity: int, purchase_id: UUID | str) -> Self:
        """A request whose values can be sent.

        Raises:
            InvalidInputError: an id is no UUID, or the quantity is no integer from 1 to 2,147,483,647.
        """
        return cls(
            event_id=checked_uuid("event_id", event_id),
            quantity=checked_integer("quantity", quantity, at_least=1),
            purchase_id=checked_uuid("purchase_id", purchase_id),
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The three values under their names, for a statement's placeholders."""
        return {"event_id": self.event_id, "quantity": self.quantity, "purchase_id": self.purchase_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """Tickets of several events, wanted under one `purchase_id`: all of them or none."""

    quantities: Mapping[UUID, int]
    """How many of each event, in the buyer's order; in which no safe strategy locks their rows."""
    purchase_id: UUID

    @classmethod
    def checked(cls, quantities: Mapping[UUID, int] | Mapping[str, int], purchase_id: UUID | str) -> Self:
        """A basket whose values can be sent.

        Raises:
            InvalidInputError: an id is no UUID, a quantity is no integer from 1 to 2,147,483,647, or there is none.
        """
        if not isinstance(quantities, Mapping):
            raise InvalidInputError(f"quantities must map each event to how many are wanted, not {quantities!r}.")
        if not quantities:
            raise InvalidInputError("A basket needs tickets of at least one event.")
        checked = {
            checked_uuid("event_id", event_id): checked_integer("quantity", quantity, at_least=1)
            for event_id, quantity in quantities.items()
        }
        if len(checked) < len(quantities):
            raise InvalidInputError("A basket names each event once.")
        return cls(quantities=checked, purchase_id=checked_uuid("purchase_id", purchase_id))

    @property
    def quantity(self) -> int:
        """The tickets of all events together."""
        return sum(self.quantities.values())


class BasketLine(NamedTuple):
    """One event of a basket: its tickets, wanted or given back, and the version and stock that were made or seen."""

    event_id: UUID
    quantity: int
    version: int
    available_tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseResult:
    """How a purchase ended, or a refund.

    `version` and `available_tickets` are those of the event that the purchase made (sold, refunded) or saw (sold out);
    `None` where it saw none, and for several events, whose `lines` have them. `cause` says why it was no sale, why it
    gave nothing back, or why the last retry was needed.
    """

    outcome: Outcome
    """Whether it is the buyer's, and if not, whether that is certain."""
    quantity: int
    """The tickets that were wanted; of a refund those that were given back."""
    tickets: Sequence[SoldTicket] = ()
    """Those that the buyer has: none after a refund."""
    cause: Cause = Cause.NONE
    retries: Sequence[Cause] = ()
    """Why each attempt before the last one failed, in their order."""
    version: int | None = None
    available_tickets: int | None = None
    lines: Sequence[BasketLine] = ()
    """Of a basket that was sold every event, of one that was sold out those events that had too few tickets left; of
    a refund each event that tickets came back to, be it one, in the order of their ids."""
    detail: str = ""
    """What the database or the pool said, where it said anything."""

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return 1 + len(self.retries)

    @property
    def success(self) -> bool:
        """Whether the tickets are the buyer's."""
        return self.outcome is Outcome.SOLD

    @property
    def message(self) -> str:
        """The outcome in a sentence, for the buyer."""
        wanted = f"{self.quantity} ticket" + ("s" if self.quantity != 1 else "")
        tries = f"{self.attempts} attempt" + ("s" if self.attempts != 1 else "")
        before = " before" if self.success and self.cause is Cause.REPEATED else ""
        match self.outcome:
            case Outcome.SOLD | Outcome.REFUNDED:
                return f"{wanted} {'purchased' if self.success else 'given back'}{before}."
            case Outcome.SOLD_OUT:
                left = [
                    f"{line.quantity} of event {line.event_id}: {line.available_tickets} left" for line in self.lines
                ]
                told = "; ".join(left) or f"{wanted} wanted, {self.available_tickets} left"
                return f"Not enough tickets available: {told}."
            case Outcome.CONFLICT:
                return f"Concurrent modification: gave up after {tries} ({self.cause})."
            case Outcome.UNAVAILABLE:
                return self.detail
            case Outcome.FAILED:
                repeated = self.cause is Cause.REPEATED
                how = "Nothing was sold" if repeated else f"It failed and was rolled back ({self.cause})"
                return f"{how}: {self.detail}"
            case Outcome.UNKNOWN:
                return f"The connection broke; it may or may not have happened: {self.detail}"


def ticket_ids(purchase_id: UUID, quantity: int) -> list[UUID]:
    """The ids of a purchase's tickets: the MD5 of its id and the ticket's number, as the SQL `md5(…)::uuid` makes them.

    Name-based as in RFC 9562, section 5.8, so that the same purchase can not be written twice.
    """
    prefix = md5(str(purchase_id).encode(), usedforsecurity=False)
    ids = []
    for number in range(1, quantity + 1):
        name = prefix.copy()
        name.update(b"%d" % number)
        ids.append(UUID(bytes=name.digest()))
    return ids


def sold(request: PurchaseRequest, rows: Sequence[TupleRow]) -> PurchaseResult:
    """The request was met.

    `rows` holds a row a ticket: the columns of `SoldTicket`, then the stock and the version that the event now has,
    or NULL where the sale left the event's row alone.
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
    """The event, as seen at `version`, had fewer tickets left than were wanted."""
    return PurchaseResult(
        outcome=Outcome.SOLD_OUT,
        quantity=request.quantity,
        cause=Cause.INSUFFICIENT,
        version=version,
        available_tickets=left,
    )


def bought_before(request: PurchaseRequest | Basket, tickets: Sequence[SoldTicket]) -> PurchaseResult:
    """The answer to a purchase whose id owns `tickets` already; nothing is sold.

    SOLD, with these tickets, where they are exactly what is asked for. FAILED where the id owns another quantity or
    tickets of other events: a buyer that is told "sold" owns all that it asked for. The cause of both is REPEATED.
    """
    asked = request.quantities if isinstance(request, Basket) else {request.event_id: request.quantity}
    owned = dict(Counter(ticket.event_id for ticket in tickets))
    if owned == asked:
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity, tickets=tickets, cause=Cause.REPEATED)
    listed = ", ".join(f"{count} of event {event_id}" for event_id, count in sorted(owned.items()))
    return PurchaseResult(
        outcome=Outcome.FAILED,
        quantity=request.quantity,
        cause=Cause.REPEATED,
        detail=f"the purchase id {request.purchase_id} owns other tickets than were asked for: {listed}",
    )


def unknown_event(request: PurchaseRequest | Basket, *, missing: Iterable[UUID] = ()) -> PurchaseResult:
    """There is no such event, or of a basket the `missing` ones are not there: nothing was written."""
    unknown = [request.event_id] if isinstance(request, PurchaseRequest) else sorted(missing)
    return PurchaseResult(
        outcome=Outcome.FAILED,
        quantity=request.quantity,
        cause=Cause.UNKNOWN_EVENT,
        detail=f"there is no event {', no event '.join(map(str, unknown))}",
    )


def checked_uuid(name: str, value: UUID | str) -> UUID:
    """`value` as a UUID; InvalidInputError where it is none."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidInputError(f"{name} must be a UUID, not {value!r}.") from None


def checked_integer(name: str, value: object, *, at_least: int) -> int:
    """`value`, if PostgreSQL's `integer` holds it; InvalidInputError otherwise. A bool is no number here."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be an integer, not {value!r}.")
    if not at_least <= value <= MAX_INTEGER:
        shown = f"{value:,}" if abs(value) < _READABLE else "a number of more digits than are worth reading"
        raise InvalidInputError(f"{name} must be from {at_least} to {MAX_INTEGER:,}, not {shown}.")
    return value
