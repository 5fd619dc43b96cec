"""Mutants of transactions and statements: a wrong isolation level, a read outside the transaction, wrong SQL."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ticketlab.mutants import PAUSE_S, mutant
from ticketlab.mutants._sql import TAKE_STOCK, WRITE_TICKETS, edited, write_back_if_enough
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, SELL
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.check_constraint import check_constraint
from ticketlab.tickets.strategies.naive_repeatable_read import naive_repeatable_read
from ticketlab.tickets.strategies.no_key_update import no_key_update
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategies.pipelined import pipelined
from ticketlab.tickets.strategies.repeatable_read import repeatable_read
from ticketlab.tickets.strategies.serializable import serializable
from ticketlab.tickets.strategies.sharded import SHARDS, sharded
from ticketlab.tickets.strategies.sharded import TAKE as TAKE_FROM_SHARD
from ticketlab.tickets.strategy import Connection, Isolation, commit_guard, pipelined_transaction, transaction


@mutant(
    repeatable_read,
    mistake="the transaction runs at READ COMMITTED",
    expected_check="no_oversell",
    isolation=Isolation.READ_COMMITTED,
)
def repeatable_read_committed(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The isolation level is the only protection, and PostgreSQL's default is weaker."""
    with transaction(connection):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(
    serializable,
    mistake="tickets are counted at REPEATABLE READ: write skew",
    expected_check="no_oversell",
    isolation=Isolation.REPEATABLE_READ,
)
def serializable_write_skew(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """No row is updated twice, so snapshots do not conflict; only SERIALIZABLE tracks the reads."""
    return naive_repeatable_read.purchase(connection, request)


@mutant(serializable, mistake="the stock is checked before the transaction begins", expected_check="no_oversell")
def serializable_checked_before(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A read outside the transaction is not tracked."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    with transaction(connection, Isolation.SERIALIZABLE):
        return write_back_if_enough(connection, request, event)


# The sub-select is evaluated once, in the statement's snapshot, not again for the row's new version after a lock wait.
_SELL_BY_SUB_SELECT = edited(
    SELL_IF_ENOUGH,
    (
        "available_tickets - %(quantity)s",
        "(SELECT available_tickets FROM events WHERE id = %(event_id)s) - %(quantity)s",
    ),
)


@mutant(atomic, mistake="the stock comes from a sub-select, not from the locked row", expected_check="no_oversell")
def atomic_sub_select(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The sub-select reads the snapshot; the UPDATE may wait for the row, and then changes a newer version."""
    with commit_guard():
        rows = connection.execute(_SELL_BY_SUB_SELECT, request.parameters).fetchall()
    return sold(request, rows) if rows else atomic.purchase(connection, request)


_SELL_FOR_ONE = edited(SELL_IF_ENOUGH, ("available_tickets - %(quantity)s", "available_tickets - 1"))


@mutant(
    atomic,
    mistake="the stock goes down by one, whatever the quantity",
    expected_check="no_oversell",
    needs_quantity=True,
)
def atomic_one_off(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Correct as long as every purchase is of one ticket."""
    with commit_guard():
        rows = connection.execute(_SELL_FOR_ONE, request.parameters).fetchall()
    return sold(request, rows) if rows else atomic.purchase(connection, request)


_SELL_AND_CLAMP = edited(SELL, ("available_tickets - %(quantity)s", "greatest(0, available_tickets - %(quantity)s)"))


@mutant(check_constraint, mistake="greatest(0, …) keeps the constraint from refusing", expected_check="no_oversell")
def check_constraint_clamped(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The CHECK constraint never refuses a sale."""
    with commit_guard():
        rows = connection.execute(_SELL_AND_CLAMP, request.parameters).fetchall()
    return sold(request, rows) if rows else unknown_event(request)


@mutant(pipelined, mistake="the tickets are inserted whether or not the stock sufficed", expected_check="no_oversell")
def pipelined_unconditional(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Only the UPDATE checks the stock; the INSERT is sent before the UPDATE is answered."""
    with pipelined_transaction(connection):
        locked = connection.execute(LOCK, [request.event_id])
        taking = connection.execute(TAKE_STOCK, request.parameters)
        writing = connection.execute(WRITE_TICKETS, request.parameters)
    event, taken, tickets = locked.fetchone(), taking.fetchone(), writing.fetchall()
    if event is None:
        return unknown_event(request)
    if taken is None:
        available, version = event
        return sold_out(request, version=version, left=available)
    return sold(request, [(*ticket, *taken) for ticket in tickets])


_COUNTER = """
SELECT available, version FROM stock_shards JOIN events ON id = event_id
WHERE event_id = %(event_id)s AND shard = %(shard)s
"""


@mutant(sharded, mistake="one empty shard of sixteen is reported as sold out", expected_check="no_false_sold_out")
def sharded_own_counter(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The last tickets are in other shards, and are not collected."""
    shard = {"shard": random.randrange(SHARDS)}
    with commit_guard():
        rows = connection.execute(TAKE_FROM_SHARD, request.parameters | shard).fetchall()
    if rows:
        return sold(request, rows)
    counter = connection.execute(_COUNTER, request.parameters | shard).fetchone()
    if counter is None or counter[0] >= request.quantity:  # not filled yet, or filled meanwhile
        return sharded.purchase(connection, request)
    available, version = counter
    return sold_out(request, version=version, left=available)


@mutant(
    no_key_update, mistake="the tickets are committed first, the stock in a second transaction", expected_check="atomic"
)
def no_key_update_stock_later(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """An advisory lock excludes other buyers until both are done; a read in between counts seats twice."""
    with advisory_lock(connection, request):
        event = connection.execute(READ, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        if available < request.quantity:
            return sold_out(request, version=version, left=available)
        with commit_guard():
            tickets = connection.execute(WRITE_TICKETS, request.parameters).fetchall()
        time.sleep(PAUSE_S)
        with commit_guard():
            taken = connection.execute(TAKE_STOCK, request.parameters).fetchone()
    assert taken is not None
    return sold(request, [(*ticket, *taken) for ticket in tickets])


@contextmanager
def advisory_lock(connection: Connection, request: PurchaseRequest) -> Iterator[None]:
    """Hold a session-level advisory lock on the event during the block."""
    key = request.event_id.int % 2**63
    connection.execute("SELECT pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [key])
