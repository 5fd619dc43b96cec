"""The documented one: read the version, and write only where it is still the same. A loser starts again."""

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, strategy

# A transaction of its own: the row is locked for this one statement only. The version is compared in the write
# itself; comparing it in an earlier read would leave a window between the two.
SELL_IF_UNCHANGED = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s AND version = %(version)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || number)::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="compare the version on write, retry when it moved (the documented one)",
    cost="no lock while the application thinks; under contention most work is done for nothing",
    when="events that few buyers want at once, or long thought between reading and writing",
    retry=RetryPolicy(max_attempts=20),
)
def optimistic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell if nobody else has since the event was read."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        return sold_out(request, version=version, left=available)
    with commit_guard():
        rows = connection.execute(SELL_IF_UNCHANGED, request.parameters | {"version": version}).fetchall()
    if not rows:
        raise ConflictError(Cause.STALE_VERSION)
    return sold(request, rows)
