"""As pessimistic, with the weaker lock.

An insert of tickets needs their event's key not to change, and FOR NO KEY UPDATE promises that. Whoever inserts tickets
without buying – an import, a box office – is not kept waiting.
"""

from ticketlab.tickets.baskets import sell_basket_if_enough
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategy import Connection, strategy, transaction

LOCK = "SELECT available_tickets, version FROM events WHERE id = %s FOR NO KEY UPDATE"
LOCK_ALL = "SELECT id, available_tickets, version FROM events WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Sell under the row locks of all events."""
    with transaction(connection):
        events = connection.execute(LOCK_ALL, [list(wanted.quantities)]).fetchall()
        return sell_basket_if_enough(connection, wanted, events)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SELECT … FOR NO KEY UPDATE, then write",
    cost="as pessimistic, but inserts that refer to the event are not blocked",
    when="wherever FOR UPDATE comes to mind: it is what an UPDATE itself takes",
    basket=basket,
)
def no_key_update(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the weaker row lock of the event."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
