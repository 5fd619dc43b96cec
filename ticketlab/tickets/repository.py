"""EventRepository: what an application calls to keep events and to sell their tickets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import delete, func, insert, select, tuple_, update

from ticketlab.errors import InvalidInputError, NotFoundError, StaleVersionError
from ticketlab.outcomes import MAX_INTEGER
from ticketlab.tickets import execution, refund, strategies
from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import MAX_NAME_LENGTH, Event, Ticket
from ticketlab.tickets.purchase import (
    Basket,
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    checked_integer,
    checked_uuid,
)
from ticketlab.tickets.strategy import Strategy, transaction


class EventRepository:
    """Events, their tickets and their sale, in one database, by one strategy.

    Every method may raise UnavailableError where no connection can be had, but for `purchase_tickets`,
    `purchase_basket` and `cancel_purchase`, whose result says so.
    """

    def __init__(self, database: Database, strategy: Strategy | str = "pessimistic") -> None:
        """Sell by `strategy`: one of the registry by its name, or a Strategy of your own."""
        self.database = database
        self.strategy = strategies.get(strategy) if isinstance(strategy, str) else strategy

    def purchase_tickets(self, event_id: UUID | str, quantity: int, purchase_id: UUID | str) -> PurchaseResult:
        """Buy `quantity` tickets of an event, all or none, under `purchase_id`.

        An id that has bought before buys nothing more, and the cause of the result is REPEATED. Asked for the same
        tickets again, it is SOLD with the tickets that the id owns: a call whose answer was lost can be made again.
        Asked for another quantity or another event, it is FAILED, and `detail` says what the id owns. Conflicts, lost
        connections and failed transactions are outcomes of the result, told apart; they are not raised.

        Raises:
            InvalidInputError: an argument can not be used; nothing was sent.
        """
        request = PurchaseRequest.checked(event_id, quantity, purchase_id)
        return execution.purchase(self.database, self.strategy, request)

    def purchase_basket(
        self, quantities: Mapping[UUID, int] | Mapping[str, int], purchase_id: UUID | str
    ) -> PurchaseResult:
        """Buy tickets of several events, `quantities` of each, all of them or none, under one `purchase_id`.

        Raises:
            InvalidInputError: an argument can not be used, or the strategy sells no baskets; nothing was sent.
        """
        return execution.purchase(self.database, self.strategy, Basket.checked(quantities, purchase_id))

    def cancel_purchase(self, purchase_id: UUID | str) -> PurchaseResult:
        """Give all tickets of a purchase back to the stock of their events: all of them or none, a basket's too.

        The outcome is REFUNDED, and `quantity` says how many tickets came back. An id that owns nothing, because it
        never bought or was given back before, changes nothing: it is REFUNDED too, with quantity 0 and the cause
        REPEATED. So a call whose answer was lost can be made again. Each event's version rises by one: `lines` have it
        and the stock, and of a single event `version` and `available_tickets` too. What a strategy counts beside the
        event's row is not in that stock: see `settle`.

        Conflicts, lost connections and failed transactions are outcomes of the result, as for a purchase, and are
        tried again by the strategy's policy; they are not raised. Events are locked in the order of their ids, before
        any ticket: beside strategies that do likewise, nobody waits in a circle. The id may buy again afterwards.

        Raises:
            InvalidInputError: the id is no UUID; nothing was sent.
        """
        return refund.cancel(self.database, checked_uuid("purchase_id", purchase_id), self.strategy.retry)

    def settle(self, event_ids: Iterable[UUID]) -> None:
        """Bring the rows of these events up to what was sold, where the strategy counts stock elsewhere meanwhile.

        Every method that reads stock does this first; only what reads the tables past this class has to ask for it.
        """
        if self.strategy.reconcile_stock is not None:
            with self.database.translating_errors(), self.database.connection() as connection, transaction(connection):
                self.strategy.reconcile_stock(connection, sorted(event_ids))

    def create(self, *, name: str, date: datetime, total_tickets: int, available_tickets: int | None = None) -> Event:
        """A new event, of version 1; without `available_tickets` all tickets are.

        Raises:
            InvalidInputError: a value can not be used; nothing was sent.
        """
        available_tickets = total_tickets if available_tickets is None else available_tickets
        values = _checked(
            {"name": name, "date": date, "total_tickets": total_tickets, "available_tickets": available_tickets}
        )
        with self.database.session() as session:
            return session.scalars(insert(Event).returning(Event), [values]).one()

    def get(self, event_id: UUID | str) -> Event:
        """The event.

        Raises:
            NotFoundError: there is no such event.
        """
        event_id = checked_uuid("event_id", event_id)
        self.settle([event_id])
        with self.database.session() as session:
            event = session.get(Event, event_id)
        if event is None:
            raise NotFoundError(f"There is no event {event_id}.")
        return event

    def list(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 50,
        after: Event | None = None,
    ) -> Sequence[Event]:
        """A page of events in order of date, from `start` (included) to `end` (left out).

        The next page begins `after` the last event of this one. Served by the index on `date`, however far the page.
        """
        query = select(Event).order_by(Event.date, Event.id).limit(checked_integer("limit", limit, at_least=1))
        if start is not None:
            query = query.where(Event.date >= _checked_moment("start", start))
        if end is not None:
            query = query.where(Event.date < _checked_moment("end", end))
        if after is not None:
            # The first condition says no more than the second, but it is the one that the index on date serves.
            query = query.where(Event.date >= after.date, tuple_(Event.date, Event.id) > (after.date, after.id))
        if self.strategy.reconcile_stock is not None:
            with self.database.session() as session:
                found = [event.id for event in session.scalars(query)]
            self.settle(found)  # once the connection is given back: who holds one must not wait for another
        with self.database.session() as session:
            return session.scalars(query).all()

    def update(
        self,
        event_id: UUID | str,
        expected_version: int,
        *,
        name: str | None = None,
        date: datetime | None = None,
        total_tickets: int | None = None,
        available_tickets: int | None = None,
    ) -> Event:
        """Change an event that nobody changed since `expected_version`; its version rises by one.

        Raises:
            InvalidInputError: a value can not be used, or none is given; the event stays as it was.
            NotFoundError: there is no such event.
            StaleVersionError: the event has another version by now.
        """
        event_id = checked_uuid("event_id", event_id)
        expected_version = checked_integer("expected_version", expected_version, at_least=1)
        given = {
            "name": name,
            "date": date,
            "total_tickets": total_tickets,
            "available_tickets": available_tickets,
        }
        values = _checked({field: value for field, value in given.items() if value is not None})
        if not values:
            raise InvalidInputError(f"An update needs a value for at least one of: {', '.join(given)}.")
        change = (
            update(Event)
            .where(Event.id == event_id, Event.version == expected_version)
            # clock_timestamp, not now(): a transaction that waited for the row would set back the clock.
            .values(**values, version=Event.version + 1, updated_at=func.clock_timestamp())
            .returning(Event)
        )
        self.settle([event_id])
        try:
            with self.database.session() as session:
                changed = session.scalars(change).one_or_none()
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError) as error:
            raise InvalidInputError(f"Event {event_id} can not be changed so: {str(error.orig).strip()}") from error
        if changed is None:
            found = self.get(event_id).version
            raise StaleVersionError(
                f"Event {event_id} has version {found} by now, not {expected_version}: read it again."
            )
        return changed

    def delete(self, event_id: UUID | str) -> None:
        """Delete an event and, by the foreign key, its tickets.

        Raises:
            NotFoundError: there is no such event.
        """
        event_id = checked_uuid("event_id", event_id)
        with self.database.session() as session:
            gone = session.scalar(delete(Event).where(Event.id == event_id).returning(Event.id))
        if gone is None:
            raise NotFoundError(f"There is no event {event_id}.")

    def tickets_of(self, purchase_id: UUID | str) -> Sequence[SoldTicket]:
        """The tickets that were bought under `purchase_id`; none where nothing was."""
        bought = Ticket.purchase_id == checked_uuid("purchase_id", purchase_id)
        columns = (Ticket.id, Ticket.event_id, Ticket.purchase_id, Ticket.purchased_at)
        with self.database.session() as session:
            return [SoldTicket._make(row) for row in session.execute(select(*columns).where(bought))]


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The given fields of an event, each checked; InvalidInputError names the first that can not be used."""
    if "name" in values:
        _check_name(values["name"])
    if "date" in values:
        _checked_moment("date", values["date"])
    for field in ("total_tickets", "available_tickets"):
        if field in values:
            checked_integer(field, values[field], at_least=0)
    if values.get("available_tickets", 0) > values.get("total_tickets", MAX_INTEGER):
        raise InvalidInputError(
            f"available_tickets ({values['available_tickets']:,}) may not exceed "
            f"total_tickets ({values['total_tickets']:,})."
        )
    return values


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise InvalidInputError(f"name must be a text that is not empty, not {name!r}.")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInputError(f"name may have {MAX_NAME_LENGTH} characters at most, not {len(name):,}.")
    if "\0" in name or not _is_unicode(name):
        raise InvalidInputError("name may not hold a NUL character or half a surrogate pair: PostgreSQL stores none.")


def _checked_moment(field: str, moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidInputError(f"{field} must be a datetime with a time zone, not {moment!r}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInputError(f"{field} must be within the years 1 to 9999 of UTC, not {moment}.") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
