"""The documented one: lock the event's row, look, sell. Whoever comes second waits for the first to commit."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategy import Connection, roll_back, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE"

# Stock and tickets in one statement: one round trip less while the lock is held.
SELL = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (event_id, purchase_id)
    SELECT id, %(purchase_id)s FROM event, generate_series(1, %(quantity)s)
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""


@strategy(safe=True, summary="SELECT … FOR UPDATE, then write (the documented one)")
def pessimistic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        if available < request.quantity:
            roll_back(connection)
            return sold_out(request, version=version, left=available)
        rows = connection.execute(SELL, request.parameters).fetchall()
    return sold(request, rows)
