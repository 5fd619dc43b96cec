"""Row lock with NOWAIT: if the row is locked, fail at once, return the connection and retry.

There is no lock queue in the server, and so no fairness.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE NOWAIT"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR UPDATE NOWAIT: fail fast and retry",
    cost="no queue in the server, and no fairness: which buyer is next is random",
    when="the application has other work than waiting, or connections are scarce",
    retry=RetryPolicy(max_attempts=200, backoff_initial_s=0.004, backoff_max_s=0.064, deadline_s=5),
)
def nowait(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event, if it is free."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
