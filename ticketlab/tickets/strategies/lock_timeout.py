"""Row lock with a bounded wait: `lock_timeout` ends the wait, and the purchase is retried.

It costs one round trip more than `pessimistic`, and keeps lock queues short.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

BOUND = "SET LOCAL lock_timeout = '500ms'"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR UPDATE under lock_timeout: a bounded wait, then a retry",
    cost="as pessimistic, and one more round trip before the lock",
    when="lock queues must stay short, even if a transaction holds the lock for long",
    retry=RetryPolicy(max_attempts=10, deadline_s=5),
)
def lock_timeout(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event, if it is granted in time."""
    with transaction(connection):
        connection.execute(BOUND, prepare=False)
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
