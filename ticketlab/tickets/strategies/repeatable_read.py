"""Isolation level REPEATABLE READ: PostgreSQL refuses to update a row that changed since the snapshot (40001); retry.

As `optimistic` without a version check in the code, but the loser first waits for the winner's commit.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategy import Connection, Isolation, RetryPolicy, strategy, transaction


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="REPEATABLE READ, retry on 40001: the first updater wins",
    cost="as optimistic, and the loser first waits for the winner's commit",
    when="existing code that reads and writes the same rows and should not be rewritten",
    isolation=Isolation.REPEATABLE_READ,
    retry=RetryPolicy(max_attempts=50, backoff_max_s=0.05),
)
def repeatable_read(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell by the snapshot, if the event has not changed since."""
    with transaction(connection, Isolation.REPEATABLE_READ):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
