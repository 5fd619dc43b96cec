"""Advisory lock: one key per event, held until the transaction ends.

It needs no row to lock, but protects only against code that takes the same lock.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategy import Connection, strategy, transaction

# A separate statement: one that both locked and read would read the snapshot taken before the wait.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="pg_advisory_xact_lock per event, then read and write",
    cost="one round trip more than pessimistic; protects only against code that takes the same lock",
    when="what must be guarded is not a row, or not a row yet",
)
def advisory(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the event's advisory lock."""
    with transaction(connection):
        connection.execute(LOCK, [request.event_id])
        event = connection.execute(READ, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
