"""Seats laid out in advance, a row each: a buyer takes whichever nobody else holds, and waits for nobody.

The seats are taken off the event's stock when they are laid out, a block at a time; settling puts back those that are
left. So the event's row, which is never touched while seats last, may say less than is for sale, never more.
"""

from collections.abc import Sequence
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.no_key_update import LOCK, LOCK_ALL
from ticketlab.tickets.strategy import Connection, RetryPolicy, commit_guard, roll_back, strategy, transaction

BLOCK = 1_000
"""Seats laid out at a time."""

# The event's key is locked first, as its tickets will ask for at the end: who holds a seat waits for nobody who may be
# waiting for that seat.
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

# The last seats may all be held by buyers who are about to commit, or to fail. Whoever asks for these waits for them.
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

# Laid out and not, held by others or not.
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
    """Put the seats that nobody holds back on the stock of their event."""
    connection.execute(LOCK_ALL, [events])
    connection.execute(PUT_BACK, [events])


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="seats laid out in advance, taken with FOR UPDATE SKIP LOCKED",
    cost="a row a seat; stock is only known once settled, and the sales have no order",
    when="seats that are things of their own, and buyers who should not wait for each other's commit",
    retry=RetryPolicy(max_attempts=5),  # beside a strategy that locks FOR UPDATE, PostgreSQL may find a deadlock
    reconcile_stock=settle,
)
def skip_locked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Take seats that are free and unlocked; where there are too few, look more closely."""
    with commit_guard():
        rows = connection.execute(TAKE, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    with transaction(connection):
        # From here on nobody else lays seats out, takes them back, or waits for the last ones.
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        rows = _take_more(connection, request, available=available)
        if rows:
            return sold(request, rows)
        # Every seat that is laid out is locked by this transaction now.
        left = _stock(connection, request)
        roll_back(connection)
        return sold_out(request, version=version, left=left)


def _take_more(connection: Connection, request: PurchaseRequest, *, available: int) -> list[TupleRow]:
    """Take what another has laid out meanwhile; else lay out the next block; else wait for what is held.

    Nothing is laid out for who asks for more than there are, though all who hold a seat should give it back.
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
