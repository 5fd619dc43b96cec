"""A bounded wait: who has waited for the row too long is sent away by the server, and tries again."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

BOUND = "SET LOCAL lock_timeout = '500ms'"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR UPDATE under lock_timeout: a bounded wait, then another try",
    cost="as pessimistic, and one more round trip before the lock",
    when="a queue must not grow without end: the slow holder of a lock is felt by few",
    retry=RetryPolicy(max_attempts=10, deadline_s=5),
)
def lock_timeout(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event, if it can be had in time."""
    with transaction(connection):
        connection.execute(BOUND, prepare=False)
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
