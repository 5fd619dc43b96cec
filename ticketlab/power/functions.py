"""Right purchase functions that answer True or False alone, as users write them: nothing reports a version or a stock.

With refunds, cuts and crashes they leave the checks the least to go by, and so are where a false alarm is most likely.
"""

from functools import cache
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ticketlab.tickets import Strategy
from ticketlab.tickets.models import Event, Ticket
from ticketlab.tickets.own import adopt

_LOCK: Final = "SELECT available_tickets FROM events WHERE id = %s FOR UPDATE"
_LEAVE: Final = "UPDATE events SET available_tickets = %s WHERE id = %s"
_TAKE: Final = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s AND available_tickets >= %s"
_ADD: Final = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"


def locks_the_row(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: reads the stock under a row lock, and writes what is left."""
    row = connection.execute(_LOCK, [event_id]).fetchone()
    if row is None or row[0] < quantity:
        return False
    connection.execute(_LEAVE, [row[0] - quantity, event_id])
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    return True


def takes_if_enough(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: takes the stock under a condition, and commits by itself."""
    if not connection.execute(_TAKE, [quantity, event_id, quantity]).rowcount:
        return False
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    connection.commit()
    return True


def by_the_orm(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: locks the event in a session, and writes by the ORM."""
    with session.begin():
        event = session.get(Event, event_id, with_for_update=True)
        if event is None or event.available_tickets < quantity:
            return False
        event.available_tickets -= quantity
        session.execute(insert(Ticket), [{"event_id": event_id, "purchase_id": purchase_id}] * quantity)
        return True


@cache
def strategies() -> tuple[Strategy, ...]:
    """The functions as strategies."""
    return adopt(locks_the_row), adopt(takes_if_enough), adopt(by_the_orm)
