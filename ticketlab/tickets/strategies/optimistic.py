"""Optimistic version check: read the version, and write only if it is unchanged; else retry. The documented one.

No lock is held between read and write. Under contention most attempts are wasted.
"""

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, strategy

# One statement, one transaction. The version is compared in the write itself; a comparison in an earlier read would
# leave a window between the two.
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


def sell_if_unchanged(connection: Connection, request: PurchaseRequest, statement: str) -> PurchaseResult:
    """Read the event, and sell by a statement that returns rows only if the event has not changed since."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        return sold_out(request, version=version, left=available)
    with commit_guard():
        rows = connection.execute(statement, request.parameters | {"version": version}).fetchall()
    if not rows:
        raise ConflictError(Cause.STALE_VERSION)
    return sold(request, rows)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="compare the version on write, retry if it changed (the documented one)",
    cost="no lock between read and write; under contention most attempts are wasted",
    when="low contention, or much time between reading and writing",
    retry=RetryPolicy(max_attempts=20),
)
def optimistic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell if the event has not changed since it was read."""
    return sell_if_unchanged(connection, request, SELL_IF_UNCHANGED)
