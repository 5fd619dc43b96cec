"""Functions that claim that a purchase id buys once, and sell a second time to one that is called again."""

from uuid import UUID

import psycopg

from corpus.lost_answers import sell
from corpus.right import BOUGHT_BEFORE, bought_before, refused, sold
from corpus.statements import ADD, LOCK, TAKE, think
from ticketlab import Cause, Outcome, PurchaseRequest, PurchaseResult
from ticketlab.tickets import SoldTicket
from ticketlab.tickets.strategy import strategy


def looks_up_the_id_first(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> PurchaseResult:
    """Wrong: looks whether the id has bought before it sells, and two calls at the same moment both find nothing."""
    if before := bought_before(connection, purchase_id):
        return before
    think(0.005)
    if sell(connection, event_id, quantity, purchase_id):
        return sold(quantity)
    return refused(quantity)


@strategy(summary="answers whatever is asked by what was bought before", safe=True, derives_ticket_ids=True)
def confirms_whatever_is_asked(connection: psycopg.Connection, request: PurchaseRequest) -> PurchaseResult:
    """Wrong: an id that has bought is told "sold" of as many tickets as it asks for now."""
    event_id, quantity, purchase_id = request.event_id, request.quantity, request.purchase_id
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if connection.execute(BOUGHT_BEFORE, [purchase_id]).fetchone():
            return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity, cause=Cause.REPEATED)
        if left < quantity:
            return refused(quantity)
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return sold(quantity)


BOUGHT_HERE = "SELECT id, event_id, purchase_id, purchased_at FROM tickets WHERE purchase_id = %s AND event_id = %s"


@strategy(summary="looks the id up under the event's lock", safe=True, derives_ticket_ids=True)
def looks_on_one_event_only(connection: psycopg.Connection, request: PurchaseRequest) -> PurchaseResult:
    """Wrong: looks under the event's lock whether the id has bought there, and sells to it again on another event."""
    event_id, quantity, purchase_id = request.event_id, request.quantity, request.purchase_id
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        tickets = [SoldTicket(*row) for row in connection.execute(BOUGHT_HERE, [purchase_id, event_id])]
        if tickets:
            return PurchaseResult(outcome=Outcome.SOLD, quantity=len(tickets), tickets=tickets, cause=Cause.REPEATED)
        if left < quantity:
            return refused(quantity)
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return sold(quantity)
