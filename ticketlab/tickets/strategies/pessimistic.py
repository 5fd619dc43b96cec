"""The documented one: lock the event's row, look, sell. Whoever comes second waits for the first to commit."""

from ticketlab.tickets.baskets import sell_basket_if_enough
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategy import Connection, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE"

# In the order of their ids, everybody: nobody waits for a row of somebody who waits for his.
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
    when="decisions that need the application between reading and writing",
    basket=basket,
)
def pessimistic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the row lock of the event."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
