"""A lock that belongs to no row: one key an event, held until the transaction ends."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategy import Connection, strategy, transaction

# A statement of its own: one that took the lock and read the stock would read it as it was before the wait.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="pg_advisory_xact_lock per event, then read and write",
    cost="one round trip more than pessimistic; holds only among those who ask for the lock",
    when="what is to be guarded is no row, or not yet",
)
def advisory(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the event's advisory lock."""
    with transaction(connection):
        connection.execute(LOCK, [request.event_id])
        event = connection.execute(READ, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
