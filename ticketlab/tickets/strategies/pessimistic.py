"""Row lock FOR UPDATE, the documented one: lock the event's row, check, sell. The second buyer waits for the commit.

The row stays locked for three round trips. In return the application may decide between reading and writing.
"""

from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_basket_if_enough, sell_if_enough
from ticketlab.tickets.strategy import Connection, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE"

# Always in the order of the ids, so that two baskets cannot deadlock.
LOCK_ALL = "SELECT id, available_tickets, version FROM events WHERE id = ANY(%s) ORDER BY id FOR UPDATE"


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Sell under the row locks of all events."""
    with transaction(connection):
        events = connection.execute(LOCK_ALL, [list(wanted.quantities)]).fetchall()
        return sell_basket_if_enough(connection, wanted, events)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR UPDATE, then write (the documented one)",
    cost="three round trips with the row locked: buyers of one event queue for it",
    when="the application must decide between reading and writing",
    basket=basket,
)
def pessimistic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
