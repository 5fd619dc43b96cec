"""The control for baskets: each event's row is locked in the order in which its buyer named them.

Two buyers who named the same two events the other way round wait for each other, until PostgreSQL ends one of them.
"""

from ticketlab.tickets.baskets import sell_basket_if_enough
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

LOCK = "SELECT id, available_tickets, version FROM events WHERE id = %s FOR UPDATE"


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Lock one event after the other, as they come."""
    with transaction(connection):
        events = [row for event_id in wanted.quantities for row in connection.execute(LOCK, [event_id])]
        return sell_basket_if_enough(connection, wanted, events)


@strategy(
    safe=False,
    derives_ticket_ids=True,
    summary="control: rows of a basket locked in the buyer's order; deadlocks",
    cost="each deadlock stops its buyers for deadlock_timeout, 1 s by default",
    when="never: it shows why locks need an order",
    retry=RetryPolicy(max_attempts=3),
    basket=basket,
    basket_only=True,
)
def basket_unordered(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell one event under its lock: alone, nothing is wrong with that."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event and event[1:])
