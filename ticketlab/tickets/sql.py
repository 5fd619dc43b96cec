"""SQL and decisions that several strategies share. What distinguishes a strategy stands in its own file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets.purchase import (
    Basket,
    BasketLine,
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    sold,
    sold_out,
    unknown_event,
)
from ticketlab.tickets.strategy import Connection, roll_back

READ: Final = "SELECT available_tickets, version FROM events WHERE id = %s"
READ_ALL: Final = "SELECT id, available_tickets, version FROM events WHERE id = ANY(%s) ORDER BY id"

# Stock and tickets in one statement, to save a round trip under the lock. clock_timestamp, not now(): after a wait for
# the row, now() is earlier than the last update. Ticket ids are derived from the purchase id, so that no id buys twice:
# see `execution`. The quantity is a sub-select because PostgreSQL would otherwise plan the statement anew at each call,
# to estimate the rows of generate_series; that took longer than the rest.
SELL: Final = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || number)::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""

# Only for rows that are already locked: an UPDATE of several rows locks them in no defined order. Tickets are numbered
# across the whole basket, so that a second sale under one purchase id always collides with the first.
SELL_ALL: Final = """
WITH wanted AS (
    SELECT * FROM unnest(%(event_ids)s::uuid[], %(quantities)s::integer[]) AS wanted(event_id, quantity)
), event AS (
    UPDATE events
    SET available_tickets = available_tickets - quantity, version = version + 1, updated_at = clock_timestamp()
    FROM wanted WHERE id = event_id
    RETURNING id, quantity, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || row_number() OVER (ORDER BY id))::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, quantity)
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold JOIN event ON event.id = sold.event_id
"""

# For rows that are not locked yet: one basket line.
SELL_LINE: Final = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || %(sold_before)s + number)::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""

Stock: TypeAlias = Mapping[UUID, tuple[int, int]]
"""By event: the available tickets, and the version at which they were read or written."""


def sell_if_enough(
    connection: Connection, request: PurchaseRequest, event: TupleRow | None, *, statement: str = SELL
) -> PurchaseResult:
    """Decide by the stock and version that were read, and sell: the second half of a transaction.

    Correct only if the event cannot have changed since it was read, or if the database then refuses the write. Besides
    the request's values, `statement` may use the computed new stock, `left`.
    """
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        roll_back(connection)
        return sold_out(request, version=version, left=available)
    parameters = request.parameters | {"left": available - request.quantity}
    return sold(request, connection.execute(statement, parameters).fetchall())


def sell_basket_if_enough(connection: Connection, basket: Basket, events: Iterable[TupleRow]) -> PurchaseResult:
    """Decide by the id, stock and version of each event, whose rows are locked, and sell."""
    refusal = basket_refusal(basket, stock_of(events))
    if refusal is not None:
        roll_back(connection)
        return refusal
    return basket_sold(basket, connection.execute(SELL_ALL, basket_parameters(basket)).fetchall())


def sell_basket_in_order(connection: Connection, basket: Basket) -> PurchaseResult:
    """Sell line by line in the order of the events' ids, which is the order of all locks."""
    rows: list[TupleRow] = []
    for event_id, quantity in sorted(basket.quantities.items()):
        line = {"event_id": event_id, "quantity": quantity, "purchase_id": basket.purchase_id}
        rows += connection.execute(SELL_LINE, line | {"sold_before": len(rows)})
    return basket_sold(basket, rows)


def basket_parameters(basket: Basket) -> dict[str, Any]:
    """The basket's values by name, for a statement's placeholders."""
    return {
        "event_ids": list(basket.quantities),
        "quantities": list(basket.quantities.values()),
        "purchase_id": basket.purchase_id,
    }


def stock_of(events: Iterable[TupleRow]) -> Stock:
    """The stock by event, from rows of id, stock and version."""
    return {event_id: (available, version) for event_id, available, version in events}


def basket_refusal(basket: Basket, stock: Stock) -> PurchaseResult | None:
    """The result if `stock` does not suffice or an event does not exist; None if the basket can be sold."""
    missing = basket.quantities.keys() - stock.keys()
    if missing:
        return unknown_event(basket, missing=missing)
    short = [line for line in basket_lines(basket, stock) if line.available_tickets < line.quantity]
    if not short:
        return None
    return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=basket.quantity, cause=Cause.INSUFFICIENT, lines=short)


def basket_sold(basket: Basket, rows: Sequence[TupleRow]) -> PurchaseResult:
    """The result SOLD; `rows` as in `purchase.sold`."""
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=basket.quantity,
        tickets=[SoldTicket._make(row[:4]) for row in rows],
        lines=basket_lines(basket, {event_id: (left, version) for _, event_id, _, _, left, version in rows}),
    )


def basket_lines(basket: Basket, stock: Stock) -> list[BasketLine]:
    """The basket's lines, with the stock and version of each event."""
    return [
        BasketLine(event_id, quantity, version=stock[event_id][1], available_tickets=stock[event_id][0])
        for event_id, quantity in basket.quantities.items()
    ]
