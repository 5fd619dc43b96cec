"""Row lock FOR NO KEY UPDATE: as `pessimistic`, but compatible with foreign key checks.

Inserting a ticket takes FOR KEY SHARE on its event. FOR UPDATE blocks that, FOR NO KEY UPDATE does not. So inserts of
tickets by other code, such as an import, do not wait.
"""

from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import sell_basket_if_enough, sell_if_enough
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
    when="instead of FOR UPDATE: it is the lock that an UPDATE itself takes",
    basket=basket,
)
def no_key_update(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell under the weaker row lock of the event."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
