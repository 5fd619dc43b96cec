"""One statement checks, decrements and inserts: one round trip, and the row is locked for no longer than that."""

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, committing, strategy

# A second buyer waits for the first one's lock; PostgreSQL then checks the condition again on the new row.
SELL_IF_ENOUGH = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s AND available_tickets >= %(quantity)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (event_id, purchase_id)
    SELECT id, %(purchase_id)s FROM event, generate_series(1, %(quantity)s)
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""

# The refusal says not what it saw, so the stock is read again: that reading is what the buyer is told.
READ = "SELECT available_tickets, version FROM events WHERE id = %s"


@strategy(
    safe=True,
    summary="one statement: conditional UPDATE and INSERT … RETURNING",
    retry=RetryPolicy(tries=5),
)
def atomic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell where the stock suffices, in one statement."""
    with committing():
        rows = connection.execute(SELL_IF_ENOUGH, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available >= request.quantity:
        raise ConflictError(Cause.STALE_VERSION)  # tickets came back in between
    return sold_out(request, version=version, left=available)
