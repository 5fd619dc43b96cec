"""EventRepository: the application's interface to store events, to sell their tickets, and to refund them.

A refund takes one round trip, whatever strategy sold. Refunded tickets are added to the event's row, even if a strategy
counts stock elsewhere while it sells: such a strategy looks at the row once the stock elsewhere is used up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import sqlalchemy
from psycopg.rows import TupleRow
from sqlalchemy import delete, func, insert, select, tuple_, update

from ticketlab.errors import InvalidInputError, NotFoundError, StaleVersionError
from ticketlab.outcomes import MAX_INTEGER, Cause, Outcome
from ticketlab.tickets import execution, strategies
from ticketlab.tickets.orm import MAX_NAME_LENGTH, Event, Ticket
from ticketlab.tickets.purchase import (
    Basket,
    BasketLine,
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    checked_integer,
    checked_uuid,
)
from ticketlab.tickets.strategy import RetryPolicy, Strategy, pipelined_transaction, transaction

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database

# Lock all events first, in the order of their ids as everywhere, so that a refund that holds tickets cannot deadlock.
# A separate statement, so that the next one gets a snapshot taken after the wait. A single statement would update the
# row from an older snapshot. If others hold a key lock on that older row version, as inserting tickets does, PostgreSQL
# requests a lock on the older version too, which another refund may hold.
LOCK: Final = """
SELECT FROM events
WHERE id = ANY (ARRAY(SELECT event_id FROM tickets WHERE purchase_id = %(purchase_id)s))
ORDER BY id FOR NO KEY UPDATE
"""

# Lock again: meanwhile the id may have been refunded and have bought from another event, and either all its tickets
# are refunded or none. The sub-selects are evaluated completely before the first row that depends on them.
GIVE_BACK: Final = """
WITH locked AS MATERIALIZED (
    SELECT id FROM events
    WHERE id = ANY (ARRAY(SELECT event_id FROM tickets WHERE purchase_id = %(purchase_id)s))
    ORDER BY id FOR NO KEY UPDATE
), back AS (
    DELETE FROM tickets
    WHERE purchase_id = %(purchase_id)s AND event_id = ANY (ARRAY(SELECT id FROM locked))
    RETURNING event_id
), counted AS (
    SELECT event_id, count(*)::integer AS quantity FROM back GROUP BY event_id
)
UPDATE events
SET available_tickets = available_tickets + quantity, version = version + 1, updated_at = clock_timestamp()
FROM counted WHERE id = event_id
RETURNING id, quantity, version, available_tickets
"""


def cancel(database: Database, purchase_id: UUID, retry: RetryPolicy) -> PurchaseResult:
    """Refund what the purchase owns, and retry conflicts by `retry`; database errors become outcomes."""
    return execution.run_with_retries(lambda: _attempt(database, purchase_id), retry, quantity=0)


def _attempt(database: Database, purchase_id: UUID) -> PurchaseResult:
    parameters = {"purchase_id": purchase_id}
    with database.connection() as connection:
        with pipelined_transaction(connection):
            connection.execute(LOCK, parameters)
            refunded = connection.execute(GIVE_BACK, parameters)
        return _result(refunded.fetchall())


def _result(rows: list[TupleRow]) -> PurchaseResult:
    """The result, from one row per event: id, refunded tickets, new version and new stock."""
    lines = sorted(map(BasketLine._make, rows))
    if not lines:
        return PurchaseResult(outcome=Outcome.REFUNDED, quantity=0, cause=Cause.REPEATED)
    single = lines[0] if len(lines) == 1 else None
    return PurchaseResult(
        outcome=Outcome.REFUNDED,
        quantity=sum(line.quantity for line in lines),
        version=single and single.version,
        available_tickets=single and single.available_tickets,
        lines=lines,
    )


class EventRepository:
    """Stores the events of one database and sells their tickets by one strategy.

    Every method may raise UnavailableError if no connection is available. Only `purchase_tickets`, `purchase_basket`
    and `cancel_purchase` report it in their result instead.
    """

    def __init__(self, database: Database, strategy: Strategy | str = "pessimistic") -> None:
        """Sell by `strategy`: a name in the registry, or a Strategy."""
        self.database = database
        self.strategy = strategies.get(strategy) if isinstance(strategy, str) else strategy

    def purchase_tickets(self, event_id: UUID | str, quantity: int, purchase_id: UUID | str) -> PurchaseResult:
        """Buy `quantity` tickets of an event, all or none, under `purchase_id`.

        Idempotent: an id that has already bought buys nothing more, and the result's cause is REPEATED. A call for the
        same tickets is SOLD, with the tickets that the id owns, so a call whose answer was lost can be repeated. A call
        for another quantity or event is FAILED, and `detail` says what the id owns. Conflicts, lost connections and
        failed transactions are outcomes of the result; they are not raised.

        Raises:
            InvalidInputError: an argument is invalid; nothing was sent.
        """
        request = PurchaseRequest.checked(event_id, quantity, purchase_id)
        return execution.purchase(self.database, self.strategy, request)

    def purchase_basket(
        self, quantities: Mapping[UUID, int] | Mapping[str, int], purchase_id: UUID | str
    ) -> PurchaseResult:
        """Buy tickets of several events, `quantities` of each, all of them or none, under one `purchase_id`.

        Raises:
            InvalidInputError: an argument is invalid, or the strategy sells no baskets; nothing was sent.
        """
        return execution.purchase(self.database, self.strategy, Basket.checked(quantities, purchase_id))

    def cancel_purchase(self, purchase_id: UUID | str) -> PurchaseResult:
        """Refund a purchase: return all its tickets, of every event, to the stock, or none.

        The outcome is REFUNDED, and `quantity` is the number of refunded tickets. An id that owns nothing, because it
        never bought or was already refunded, changes nothing: it is REFUNDED with quantity 0 and the cause REPEATED. So
        a call whose answer was lost can be repeated. Each event's version rises by one. `lines` hold the new versions
        and stocks; for a single event, so do `version` and `available_tickets`. That stock leaves out what a strategy
        counts outside the event's row: see `settle`. The id may buy again afterwards.

        Conflicts, lost connections and failed transactions are outcomes of the result, and are retried by the
        strategy's policy; they are not raised. Events are locked in the order of their ids, before any ticket, so
        there is no deadlock with strategies that lock in the same order.

        Raises:
            InvalidInputError: the id is not a UUID; nothing was sent.
        """
        return cancel(self.database, checked_uuid("purchase_id", purchase_id), self.strategy.retry)

    def settle(self, event_ids: Iterable[UUID]) -> None:
        """Reconcile the stock on these events' rows, if the strategy counts stock elsewhere while it sells.

        Every method of this class that reads stock does so first. Call it before reading the tables directly.
        """
        if self.strategy.reconcile_stock is not None:
            with self.database.translating_errors(), self.database.connection() as connection, transaction(connection):
                self.strategy.reconcile_stock(connection, sorted(event_ids))

    def create(self, *, name: str, date: datetime, total_tickets: int, available_tickets: int | None = None) -> Event:
        """Create an event at version 1; by default all its tickets are available.

        Raises:
            InvalidInputError: a value is invalid; nothing was sent.
        """
        available_tickets = total_tickets if available_tickets is None else available_tickets
        values = _checked(
            {"name": name, "date": date, "total_tickets": total_tickets, "available_tickets": available_tickets}
        )
        with self.database.session() as session:
            return session.scalars(insert(Event).returning(Event), [values]).one()

    def get(self, event_id: UUID | str) -> Event:
        """Return the event.

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
        self, *, start: datetime | None = None, end: datetime | None = None, limit: int = 50, after: Event | None = None
    ) -> Sequence[Event]:
        """Return a page of events ordered by date, from `start` (included) to `end` (excluded).

        For the next page pass the last event of this one as `after`. The index on `date` serves every page.
        """
        query = select(Event).order_by(Event.date, Event.id).limit(checked_integer("limit", limit, at_least=1))
        if start is not None:
            query = query.where(Event.date >= _checked_moment("start", start))
        if end is not None:
            query = query.where(Event.date < _checked_moment("end", end))
        if after is not None:
            # The second condition implies the first, but only the first can use the index on date.
            query = query.where(Event.date >= after.date, tuple_(Event.date, Event.id) > (after.date, after.id))
        if self.strategy.reconcile_stock is not None:
            with self.database.session() as session:
                event_ids = [event.id for event in session.scalars(query)]
            self.settle(event_ids)  # after the session is closed: holding one connection while waiting can deadlock
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
        """Update an event if it still has `expected_version`; its version rises by one.

        Raises:
            InvalidInputError: a value is invalid, or none is given; the event is unchanged.
            NotFoundError: there is no such event.
            StaleVersionError: the event has another version by now.
        """
        event_id = checked_uuid("event_id", event_id)
        expected_version = checked_integer("expected_version", expected_version, at_least=1)
        given = {"name": name, "date": date, "total_tickets": total_tickets, "available_tickets": available_tickets}
        values = _checked({field: value for field, value in given.items() if value is not None})
        if not values:
            raise InvalidInputError(f"An update needs a value for at least one of: {', '.join(given)}.")
        change = (
            update(Event)
            .where(Event.id == event_id, Event.version == expected_version)
            # clock_timestamp, not now(): after a wait for the row, now() is earlier than the last update.
            .values(**values, version=Event.version + 1, updated_at=func.clock_timestamp())
            .returning(Event)
        )
        self.settle([event_id])
        try:
            with self.database.session() as session:
                changed = session.scalars(change).one_or_none()
        except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError) as error:
            raise InvalidInputError(f"Event {event_id} cannot be updated: {str(error.orig).strip()}") from error
        if changed is None:
            current = self.get(event_id).version
            raise StaleVersionError(
                f"Event {event_id} has version {current} by now, not {expected_version}: read it again."
            )
        return changed

    def delete(self, event_id: UUID | str) -> None:
        """Delete an event and, by the foreign key, its tickets.

        Raises:
            NotFoundError: there is no such event.
        """
        event_id = checked_uuid("event_id", event_id)
        with self.database.session() as session:
            deleted = session.scalar(delete(Event).where(Event.id == event_id).returning(Event.id))
        if deleted is None:
            raise NotFoundError(f"There is no event {event_id}.")

    def tickets_of(self, purchase_id: UUID | str) -> Sequence[SoldTicket]:
        """Return the tickets that `purchase_id` owns, perhaps none."""
        owned = Ticket.purchase_id == checked_uuid("purchase_id", purchase_id)
        columns = (Ticket.id, Ticket.event_id, Ticket.purchase_id, Ticket.purchased_at)
        with self.database.session() as session:
            return [SoldTicket._make(row) for row in session.execute(select(*columns).where(owned))]


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The given fields of an event; InvalidInputError names the first invalid one."""
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
        raise InvalidInputError(f"name must be a string that is not empty, not {name!r}.")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInputError(f"name may have at most {MAX_NAME_LENGTH} characters, not {len(name):,}.")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidInputError("name may not contain a NUL character or a lone surrogate: PostgreSQL stores neither.")


def _checked_moment(field: str, moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidInputError(f"{field} must be a datetime with a time zone, not {moment!r}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInputError(f"{field} must be within the years 1 to 9999 in UTC, not {moment}.") from None
