"""What the strategies that sell baskets have in common: how tickets of several events are written, and told of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets.purchase import Basket, BasketLine, PurchaseResult, SoldTicket, unknown_event
from ticketlab.tickets.strategy import Connection, roll_back

READ_ALL: Final = "SELECT id, available_tickets, version FROM events WHERE id = ANY(%s) ORDER BY id"

# For rows that are locked already: an UPDATE of several rows locks them in no order that could be relied on. The
# tickets are numbered through the whole basket, so that one purchase id collides with itself whatever it asks for.
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

# For rows that are not locked yet, one after the other.
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
"""Of each event what is available, and the version at which it is so."""


def sell_basket_if_enough(connection: Connection, basket: Basket, events: Iterable[TupleRow]) -> PurchaseResult:
    """Decide by the id, stock and version of each event, whose rows are locked, and sell."""
    refusal = refused(basket, stock_of(events))
    if refusal is not None:
        roll_back(connection)
        return refusal
    return sold(basket, connection.execute(SELL_ALL, parameters(basket)).fetchall())


def sell_in_order(connection: Connection, basket: Basket) -> PurchaseResult:
    """Sell one line after the other, in the order of the events' ids: the order in which everybody locks."""
    rows: list[TupleRow] = []
    for event_id, quantity in sorted(basket.quantities.items()):
        line = {"event_id": event_id, "quantity": quantity, "purchase_id": basket.purchase_id}
        rows += connection.execute(SELL_LINE, line | {"sold_before": len(rows)})
    return sold(basket, rows)


def parameters(basket: Basket) -> dict[str, Any]:
    """What the basket holds under its names, for a statement's placeholders."""
    return {
        "event_ids": list(basket.quantities),
        "quantities": list(basket.quantities.values()),
        "purchase_id": basket.purchase_id,
    }


def stock_of(events: Iterable[TupleRow]) -> Stock:
    """What was read of events: rows of id, stock and version."""
    return {event_id: (available, version) for event_id, available, version in events}


def refused(basket: Basket, stock: Stock) -> PurchaseResult | None:
    """Why the basket can not be sold by the stock of its events, or None where it can."""
    missing = basket.quantities.keys() - stock.keys()
    if missing:
        return unknown_event(basket, missing=missing)
    short = [line for line in lines(basket, stock) if line.available_tickets < line.quantity]
    if not short:
        return None
    return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=basket.quantity, cause=Cause.INSUFFICIENT, lines=short)


def sold(basket: Basket, rows: Sequence[TupleRow]) -> PurchaseResult:
    """The basket was sold; `rows` as those that `purchase.sold` takes."""
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=basket.quantity,
        tickets=[SoldTicket._make(row[:4]) for row in rows],
        lines=lines(basket, {event_id: (left, version) for _, event_id, _, _, left, version in rows}),
    )


def lines(basket: Basket, stock: Stock) -> list[BasketLine]:
    """The lines of the basket, with the version and the stock of each event as the purchase made or saw them."""
    return [
        BasketLine(event_id, quantity, version=stock[event_id][1], available_tickets=stock[event_id][0])
        for event_id, quantity in basket.quantities.items()
    ]
