"""Sharded counters: an event's stock is split over 16 rows, and a buyer takes from one chosen at random.

Filling the shards subtracts their stock from the event's row; settling adds it back. Until then the row may show less
than is for sale, never more. Sales that leave the event's row alone make no version.
"""

import random
from collections.abc import Sequence
from uuid import UUID

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.no_key_update import LOCK, LOCK_ALL
from ticketlab.tickets.strategy import Connection, RetryPolicy, commit_guard, roll_back, strategy, transaction

SHARDS = 16

# Inserting tickets locks the event's key anyway. Locking it first avoids a deadlock: a transaction that holds a shard
# never waits for one that may be waiting for that shard.
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

# The last tickets may be in any shard. If one has too few, lock all of them and use the sum.
GATHER = "SELECT available FROM stock_shards WHERE event_id = %s ORDER BY shard FOR UPDATE"

EMPTY_THE_ROW = """
UPDATE events SET available_tickets = 0, version = version + 1, updated_at = clock_timestamp()
WHERE id = %s AND available_tickets > 0
"""

# Distributes the rest over the shards anew, and inserts the tickets of the sale.
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
    """Move the stock of the shards back to the event's row."""
    connection.execute(LOCK_ALL, [events])
    connection.execute(PUT_BACK, [events])


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the stock split over 16 counters; the last tickets are collected from all of them",
    cost="the event's row has the stock only after settle(), sales have no version order, and the last buyers queue",
    when="one hot event whose row is the bottleneck, and a stock far larger than a purchase",
    retry=RetryPolicy(max_attempts=5),  # a deadlock is possible beside a strategy that locks FOR UPDATE
    reconcile_stock=settle,
)
def sharded(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Take from one shard; if it has too few, collect from all."""
    with commit_guard():
        shard = {"shard": random.randrange(SHARDS)}
        rows = connection.execute(TAKE, request.parameters | shard).fetchall()
    if rows:
        return sold(request, rows)
    with transaction(connection):
        # Under this lock no other transaction fills or empties the shards, and all sales from them have committed.
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        stock = available + sum(in_shard for (in_shard,) in connection.execute(GATHER, [request.event_id]))
        if stock < request.quantity:
            roll_back(connection)
            return sold_out(request, version=version, left=stock)
        connection.execute(EMPTY_THE_ROW, [request.event_id])
        spread = {"left": stock - request.quantity, "shards": SHARDS}
        return sold(request, connection.execute(SPREAD_AND_SELL, request.parameters | spread).fetchall())
