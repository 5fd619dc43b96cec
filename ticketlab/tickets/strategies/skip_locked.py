"""SKIP LOCKED: one row per free seat; a buyer takes rows that no other transaction has locked, and does not wait.

Seats are laid out in blocks, which subtracts them from the event's row; settling adds the unsold ones back. Until then
the row may show less than is for sale, never more. Sales that leave the event's row alone make no version.
"""

from collections.abc import Sequence
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.no_key_update import LOCK, LOCK_ALL
from ticketlab.tickets.strategy import Connection, RetryPolicy, commit_guard, roll_back, strategy, transaction

BLOCK = 1_000
"""How many seats are laid out at a time."""

# Inserting tickets locks the event's key anyway. Locking it first avoids a deadlock: a transaction that holds a seat
# never waits for one that may be waiting for that seat.
TAKE = """
WITH event AS MATERIALIZED (
    SELECT id FROM events WHERE id = %(event_id)s FOR KEY SHARE
), seat AS (
    SELECT id FROM free_seats WHERE event_id = (SELECT id FROM event)
    LIMIT (SELECT %(quantity)s::integer) FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM free_seats
    WHERE id = ANY (ARRAY(SELECT id FROM seat)) AND (SELECT count(*) FROM seat) = %(quantity)s
    RETURNING event_id
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || row_number() OVER ())::uuid, event_id, %(purchase_id)s FROM taken
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, NULL, NULL FROM sold
"""

# The last seats may all be locked by transactions that will commit or roll back: wait for them.
WAIT_AND_TAKE = TAKE.replace("FOR UPDATE SKIP LOCKED", "FOR UPDATE")

LAY_OUT = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(seats)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s
    RETURNING id
)
INSERT INTO free_seats (event_id) SELECT id FROM event, generate_series(1, %(seats)s)
"""

# On the event's row and laid out, locked or not.
STOCK = """
SELECT available_tickets + (SELECT count(*) FROM free_seats WHERE event_id = events.id) FROM events WHERE id = %s
"""

PUT_BACK = """
WITH seat AS (
    SELECT id FROM free_seats WHERE event_id = ANY(%s) FOR UPDATE SKIP LOCKED
), back AS (
    DELETE FROM free_seats WHERE id = ANY (ARRAY(SELECT id FROM seat)) RETURNING event_id
), counted AS (
    SELECT event_id, count(*) AS seats FROM back GROUP BY event_id
)
UPDATE events
SET available_tickets = available_tickets + seats, version = version + 1, updated_at = clock_timestamp()
FROM counted WHERE id = event_id
"""


def settle(connection: Connection, events: Sequence[UUID]) -> None:
    """Move the unlocked free seats back to the stock of the event's row."""
    connection.execute(LOCK_ALL, [events])
    connection.execute(PUT_BACK, [events])


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="seats laid out in advance, taken with FOR UPDATE SKIP LOCKED",
    cost="one row per seat; the event's row has the stock only after settle(), and sales have no version order",
    when="individual seats, and buyers that should not wait for each other's commit",
    retry=RetryPolicy(max_attempts=5),  # a deadlock is possible beside a strategy that locks FOR UPDATE
    reconcile_stock=settle,
)
def skip_locked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Take free, unlocked seats; if there are too few, lock the event and look for more."""
    with commit_guard():
        rows = connection.execute(TAKE, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    with transaction(connection):
        # Under this lock no other transaction lays seats out, settles, or waits for the last ones.
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        rows = _take_more(connection, request, available=available)
        if rows:
            return sold(request, rows)
        # This transaction has now locked every seat that is laid out.
        left = _stock(connection, request)
        roll_back(connection)
        return sold_out(request, version=version, left=left)


def _take_more(connection: Connection, request: PurchaseRequest, *, available: int) -> list[TupleRow]:
    """Take seats laid out meanwhile; else lay out the next block; else wait for locked seats.

    Lays out nothing if the request exceeds the stock, locked seats included.
    """
    rows = connection.execute(TAKE, request.parameters).fetchall()
    if not rows and available and _stock(connection, request) >= request.quantity:
        seats = min(available, max(BLOCK, request.quantity))
        connection.execute(LAY_OUT, {"event_id": request.event_id, "seats": seats})
        rows = connection.execute(TAKE, request.parameters).fetchall()
    return rows or connection.execute(WAIT_AND_TAKE, request.parameters).fetchall()


def _stock(connection: Connection, request: PurchaseRequest) -> int:
    (stock,) = connection.execute(STOCK, [request.event_id]).fetchone() or (0,)
    return int(stock)
