"""Control for baskets: row locks taken in the buyer's order, so two baskets can deadlock.

Two buyers that name the same events in opposite order wait for each other, until PostgreSQL aborts one of them.
"""

from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_basket_if_enough, sell_if_enough
from ticketlab.tickets.strategy import Connection, RetryPolicy, strategy, transaction

LOCK = "SELECT id, available_tickets, version FROM events WHERE id = %s FOR UPDATE"


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Lock the events one by one, in the buyer's order."""
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
    """Sell one event under its row lock, which is correct."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event and event[1:])
