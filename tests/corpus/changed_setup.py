"""Functions, and a schema, that change what the lab put on sale."""

from uuid import UUID

import psycopg

from corpus.oversells import ADD_SALES, TAKE_SEATS
from corpus.statements import ADD, LOCK, TAKE


def raises_the_seats(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: where too few seats are left it puts more on sale, so nobody is ever refused."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left < quantity:
            connection.execute(
                "UPDATE events SET total_tickets = total_tickets + 100, available_tickets = available_tickets + 100"
                " WHERE id = %s",
                [event_id],
            )
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


LOCK_SEATS_LEFT = "SELECT seats_left FROM shows WHERE id = %s FOR UPDATE"


def sells_the_seats_of_its_schema(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong by its schema alone, which lays out more seats than the lab put on sale."""
    with connection.transaction():
        (left,) = connection.execute(LOCK_SEATS_LEFT, [event_id]).fetchone()
        if left < quantity:
            return False
        connection.execute(TAKE_SEATS, [quantity, event_id])
        connection.execute(ADD_SALES, [event_id, purchase_id, quantity])
        return True


ADD_A_DATE = """
INSERT INTO events (name, date, total_tickets, available_tickets)
SELECT name, date + interval '1 day', 100, 100 FROM events WHERE id = %s RETURNING id
"""


def adds_a_date(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: where an event is sold out it makes another one, and sells tickets of that."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left < quantity:
            (event_id,) = connection.execute(ADD_A_DATE, [event_id]).fetchone()
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


def deletes_what_is_sold_out(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: an event that is sold out is deleted, and its tickets with it."""
    with connection.transaction():
        event = connection.execute(LOCK, [event_id]).fetchone()
        if event is None:
            return False
        if event[0] < quantity:
            connection.execute("DELETE FROM events WHERE id = %s", [event_id])
            return False
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


ANOTHER_EVENT = """
SELECT id FROM events WHERE available_tickets >= %s ORDER BY total_tickets, id LIMIT 1 FOR UPDATE
"""


def sells_another_event(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: where an event is sold out the buyer gets tickets of another one, and is told it is sold."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left < quantity:
            (event_id,) = connection.execute(ANOTHER_EVENT, [quantity]).fetchone()
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True
