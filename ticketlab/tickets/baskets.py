"""What the strategies that sell baskets have in common: how tickets of several events are written, and told of."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

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


def sell_basket_if_enough(connection: Connection, basket: Basket, events: Sequence[TupleRow]) -> PurchaseResult:
    """Decide by the id, stock and version of each event, whose rows are locked, and sell."""
    refusal = refused(basket, events)
    if refusal is not None:
        roll_back(connection)
        return refusal
    return sold(basket, connection.execute(SELL_ALL, parameters(basket)).fetchall())


def parameters(basket: Basket) -> dict[str, Any]:
    """What the basket holds under its names, for a statement's placeholders."""
    return {
        "event_ids": list(basket.quantities),
        "quantities": list(basket.quantities.values()),
        "purchase_id": basket.purchase_id,
    }


def refused(basket: Basket, events: Iterable[TupleRow]) -> PurchaseResult | None:
    """Why the basket can not be sold by what was read of its events, or None where it can."""
    seen = {event_id: (available, version) for event_id, available, version in events}
    if len(seen) < len(basket.quantities):
        return unknown_event(basket, missing=basket.quantities.keys() - seen.keys())
    short = [
        BasketLine(event_id, quantity, seen[event_id][1], seen[event_id][0])
        for event_id, quantity in basket.quantities.items()
        if seen[event_id][0] < quantity
    ]
    if not short:
        return None
    return PurchaseResult(
        outcome=Outcome.SOLD_OUT, quantity=basket.quantity, cause=Cause.INSUFFICIENT, lines=tuple(short)
    )


def sold(basket: Basket, rows: Sequence[TupleRow]) -> PurchaseResult:
    """The basket was sold; `rows` as those that `purchase.sold` takes."""
    made = {event_id: (version, left) for _, event_id, _, _, left, version in rows}
    return PurchaseResult(
        outcome=Outcome.SOLD,
        quantity=basket.quantity,
        tickets=[SoldTicket._make(row[:4]) for row in rows],
        lines=tuple(
            BasketLine(event_id, quantity, *made[event_id]) for event_id, quantity in basket.quantities.items()
        ),
    )
