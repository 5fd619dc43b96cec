"""Fail fast: a row that somebody holds is not waited for. The buyer gives his connection back and tries again."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE NOWAIT"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR UPDATE NOWAIT: fail fast and try again",
    cost="no queue in the server, and no fairness: who comes first is chance",
    when="a buyer has something better to do than to wait, or connections are few",
    retry=RetryPolicy(max_attempts=200, backoff_initial_s=0.004, backoff_max_s=0.064, deadline_s=5),
)
def nowait(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event, if it is free."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
