"""Functions whose purchases are there in part: some tickets of several, or tickets and stock apart from each other."""

from uuid import UUID

import psycopg

from corpus.right import IN_ONE_STATEMENT
from corpus.statements import ADD, LOCK, LOOK, SOLD_SO_FAR, TAKE, TAKE_WHAT_IS_LEFT, WRITE, think
from ticketlab import Cause, Outcome, PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import strategy


def sell_one(connection, event_id, purchase_id):
    """Sell one ticket in a transaction of its own; whether there was one."""
    wanted = {"event_id": event_id, "quantity": 1, "purchase_id": purchase_id}
    with connection.transaction():
        return connection.execute(IN_ONE_STATEMENT, wanted).rowcount == 1


def gives_up_midway(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: commits ticket by ticket, and calls the purchase sold though the last ones were not there."""
    sold = 0
    while sold < quantity and sell_one(connection, event_id, purchase_id):
        sold += 1
    return sold > 0


@strategy(summary="commits ticket by ticket", safe=True)
def keeps_a_part_when_it_refuses(connection: psycopg.Connection, request: PurchaseRequest) -> PurchaseResult:
    """Wrong: commits ticket by ticket, refuses where too few are there, and keeps those that it has."""
    sold = 0
    while sold < request.quantity and sell_one(connection, request.event_id, request.purchase_id):
        sold += 1
    if sold == request.quantity:
        return PurchaseResult(outcome=Outcome.SOLD, quantity=sold)
    return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, cause=Cause.INSUFFICIENT)


LOCK_THE_SEATS = "SELECT total_tickets FROM events WHERE id = %s FOR UPDATE"


def takes_the_stock_later(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: commits the tickets, and takes the stock in a second transaction."""
    with connection.transaction():
        (seats,) = connection.execute(LOCK_THE_SEATS, [event_id]).fetchone()
        (sold,) = connection.execute(SOLD_SO_FAR, [event_id]).fetchone()
        if sold + quantity > seats:
            return False
        connection.execute(ADD, [event_id, purchase_id, quantity])
    think(0.1)
    with connection.transaction():
        connection.execute(TAKE, [quantity, event_id])
    return True


MEND = """
UPDATE events SET available_tickets = greatest(0, total_tickets - (
    SELECT count(*) FROM tickets WHERE event_id = events.id
)) WHERE id = %s
"""


def mends_the_stock_later(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: writes an outdated stock, and mends it in a second transaction: right in the end, and not meanwhile."""
    with connection.transaction():
        (outdated,) = connection.execute(LOOK, [event_id]).fetchone()
    think()
    with connection.transaction():
        (seats,) = connection.execute(LOCK_THE_SEATS, [event_id]).fetchone()
        (sold,) = connection.execute(SOLD_SO_FAR, [event_id]).fetchone()
        if sold + quantity > seats:
            return False
        connection.execute(WRITE, [max(outdated - quantity, 0), event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
    think(0.03)
    with connection.transaction():
        connection.execute(LOCK, [event_id])
        connection.execute(MEND, [event_id])
    return True


def takes_the_surplus_back(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: sells first, and takes back what was too much in a second transaction: oversold only for a while."""
    with connection.transaction():
        connection.execute(ADD, [event_id, purchase_id, quantity])
        connection.execute(TAKE_WHAT_IS_LEFT, [quantity, event_id])
    think(0.1)
    with connection.transaction():
        (seats,) = connection.execute(LOCK_THE_SEATS, [event_id]).fetchone()
        (sold,) = connection.execute(SOLD_SO_FAR, [event_id]).fetchone()
        if sold > seats:
            connection.execute("DELETE FROM tickets WHERE purchase_id = %s", [purchase_id])
        connection.execute(MEND, [event_id])
        return sold <= seats
