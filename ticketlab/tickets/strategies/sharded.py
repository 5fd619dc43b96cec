"""The stock of one event split over several counters, a row each: a buyer takes from one of them, chosen by chance.

The counters' stock is taken off the event's row when they are filled; settling puts it back. So the event's row, which
is not touched while the counters last, may say less than is for sale, never more.
"""

import random
from collections.abc import Sequence
from uuid import UUID

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.no_key_update import LOCK, LOCK_ALL
from ticketlab.tickets.strategy import Connection, RetryPolicy, commit_guard, roll_back, strategy, transaction

SHARDS = 16

# The event's key is locked first, as its tickets will ask for at the end: who holds a counter waits for nobody who may
# be waiting for that counter.
TAKE = """
WITH event AS MATERIALIZED (
    SELECT id FROM events WHERE id = %(event_id)s FOR KEY SHARE
), shard AS (
    UPDATE stock_shards SET available = available - %(quantity)s
    WHERE event_id = (SELECT id FROM event) AND shard = %(shard)s AND available >= %(quantity)s
    RETURNING event_id
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || number)::uuid, event_id, %(purchase_id)s
    FROM shard, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, NULL, NULL FROM sold
"""

# The last tickets may lie anywhere. Whoever finds too few in one shard locks all of them, and looks at the sum.
GATHER = "SELECT available FROM stock_shards WHERE event_id = %s ORDER BY shard FOR UPDATE"

EMPTY_THE_ROW = """
UPDATE events SET available_tickets = 0, version = version + 1, updated_at = clock_timestamp()
WHERE id = %s AND available_tickets > 0
"""

# What is left after this sale, dealt out anew, and the tickets of the sale.
SPREAD_AND_SELL = """
WITH shard AS (
    INSERT INTO stock_shards (event_id, shard, available)
    SELECT %(event_id)s, shard, %(left)s / %(shards)s + (shard < %(left)s %% %(shards)s)::integer
    FROM generate_series(0, %(shards)s - 1) AS shard
    ON CONFLICT (event_id, shard) DO UPDATE SET available = excluded.available
)
INSERT INTO tickets (id, event_id, purchase_id)
SELECT md5(%(purchase_id)s::text || number)::uuid, %(event_id)s, %(purchase_id)s
FROM generate_series(1, (SELECT %(quantity)s::integer)) AS number
RETURNING id, event_id, purchase_id, purchased_at, NULL, NULL
"""

PUT_BACK = """
WITH back AS (
    DELETE FROM stock_shards WHERE event_id = ANY(%s) RETURNING event_id, available
), counted AS (
    SELECT event_id, sum(available) AS stock FROM back GROUP BY event_id
)
UPDATE events
SET available_tickets = available_tickets + stock, version = version + 1, updated_at = clock_timestamp()
FROM counted WHERE id = event_id AND stock > 0
"""


def settle(connection: Connection, events: Sequence[UUID]) -> None:
    """Put what the counters hold back on the stock of their event."""
    connection.execute(LOCK_ALL, [events])
    connection.execute(PUT_BACK, [events])


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the stock split over 16 counters; the last tickets gathered from all of them",
    cost="stock is only known once settled, the sales have no order, and the last ones queue",
    when="one hot event whose row is the bottleneck, and a stock far larger than a purchase",
    retry=RetryPolicy(max_attempts=5),  # beside a strategy that locks FOR UPDATE, PostgreSQL may find a deadlock
    reconcile_stock=settle,
)
def sharded(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Take from one counter; where it has too little, look at all of them."""
    with commit_guard():
        shard = {"shard": random.randrange(SHARDS)}
        rows = connection.execute(TAKE, request.parameters | shard).fetchall()
    if rows:
        return sold(request, rows)
    with transaction(connection):
        # From here on nobody else fills or empties the counters, and whoever sells from one has committed.
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        stock = available + sum(counter for (counter,) in connection.execute(GATHER, [request.event_id]))
        if stock < request.quantity:
            roll_back(connection)
            return sold_out(request, version=version, left=stock)
        connection.execute(EMPTY_THE_ROW, [request.event_id])
        spread = {"left": stock - request.quantity, "shards": SHARDS}
        return sold(request, connection.execute(SPREAD_AND_SELL, request.parameters | spread).fetchall())
