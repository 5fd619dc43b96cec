"""A schema that is not ticketlab's: shows with whole numbers as keys, a row a seat, and orders that seats belong to.

It keeps neither a count of what is left nor a version; the seats say all there is to say.
"""

from uuid import UUID

import psycopg

from ticketlab import Schema, adopt

TABLES = """
CREATE TABLE shows (id integer PRIMARY KEY);
CREATE TABLE orders (id text PRIMARY KEY, show integer NOT NULL REFERENCES shows);
CREATE TABLE seats (
    show integer NOT NULL REFERENCES shows, number integer NOT NULL, sold_to text REFERENCES orders,
    PRIMARY KEY (show, number)
);
"""
FREE = "SELECT number FROM seats WHERE show = %s AND sold_to IS NULL ORDER BY number LIMIT %s"
TAKE = "UPDATE seats SET sold_to = %s WHERE show = %s AND number = ANY(%s)"


def lay_out(connection, stock):
    connection.execute(TABLES)
    for show, seats in stock.items():
        connection.execute("INSERT INTO shows VALUES (%s)", [show.int])
        connection.execute(
            "INSERT INTO seats SELECT %s, number FROM generate_series(1, %s) AS number", [show.int, seats]
        )


def events(connection):
    rows = connection.execute("SELECT show, count(*), count(*) - count(sold_to) FROM seats GROUP BY show")
    return [(UUID(int=show), seats, left, None) for show, seats, left in rows]


def tickets(connection):
    rows = connection.execute("SELECT show, sold_to FROM seats WHERE sold_to IS NOT NULL")
    return [(UUID(int=show), order) for show, order in rows]


SEATS = Schema(lay_out=lay_out, events=events, tickets=tickets)


def seat_by_seat(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """The first free seats of a show that is locked first."""
    with connection.transaction():
        connection.execute("SELECT FROM shows WHERE id = %s FOR UPDATE", [event_id.int])
        return take(connection, event_id, quantity, purchase_id)


def seat_by_seat_unlocked(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """The first free seats, as two buyers may see them at once: then the later one has them, and both were told so."""
    with connection.transaction():
        return take(connection, event_id, quantity, purchase_id)


def take(connection, event_id, quantity, purchase_id):
    seats = [number for (number,) in connection.execute(FREE, [event_id.int, quantity])]
    if len(seats) < quantity:
        return False
    connection.execute("INSERT INTO orders VALUES (%s, %s)", [str(purchase_id), event_id.int])
    connection.execute(TAKE, [str(purchase_id), event_id.int, seats])
    return True


locked = adopt(seat_by_seat, schema=SEATS)
unlocked = adopt(seat_by_seat_unlocked, schema=SEATS)
