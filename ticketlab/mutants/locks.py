"""Mutants of locks: not taken, the wrong one, released too early, or a failure to get one misread."""

import psycopg
from psycopg.rows import TupleRow

from ticketlab.mutants import mutant
from ticketlab.mutants._sql import edited, write_back_if_enough
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategies import no_key_update as weaker
from ticketlab.tickets.strategies.advisory import LOCK as ADVISORY_LOCK
from ticketlab.tickets.strategies.advisory import advisory
from ticketlab.tickets.strategies.lock_timeout import lock_timeout
from ticketlab.tickets.strategies.no_key_update import no_key_update
from ticketlab.tickets.strategies.nowait import nowait
from ticketlab.tickets.strategies.pessimistic import LOCK, pessimistic
from ticketlab.tickets.strategies.server_function import CALL, server_function
from ticketlab.tickets.strategies.skip_locked import TAKE, skip_locked
from ticketlab.tickets.strategy import Connection, commit_guard, transaction

_READ_UNLOCKED = edited(LOCK, (" FOR UPDATE", ""))
_LOCK_SHARED = edited(LOCK, ("FOR UPDATE", "FOR SHARE"))
_LOCK_KEY = edited(weaker.LOCK, ("NO KEY UPDATE", "KEY SHARE"))


@mutant(pessimistic, mistake="the row is read without FOR UPDATE", expected_check="no_oversell")
def pessimistic_unlocked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Two buyers read the same stock, and the second overwrites the first one's update."""
    with transaction(connection):
        event = connection.execute(_READ_UNLOCKED, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(pessimistic, mistake="FOR SHARE, which the UPDATE upgrades to a write lock", expected_check="no_deadlock")
def pessimistic_shared(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Two buyers share the row lock, and each waits for the other before it can write."""
    with transaction(connection):
        event = connection.execute(_LOCK_SHARED, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)


@mutant(no_key_update, mistake="FOR KEY SHARE, which does not block other sales", expected_check="no_oversell")
def no_key_update_too_weak(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The lock of foreign key checks conflicts neither with itself nor with an UPDATE of the stock."""
    with transaction(connection):
        event = connection.execute(_LOCK_KEY, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(no_key_update, mistake="the row is locked after a savepoint that is rolled back", expected_check="no_oversell")
def no_key_update_rolled_back(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Rolling back to the savepoint releases the lock."""
    with transaction(connection):
        connection.execute("SAVEPOINT look", prepare=False)
        event = connection.execute(weaker.LOCK, [request.event_id]).fetchone()
        connection.execute("ROLLBACK TO SAVEPOINT look", prepare=False)
        return write_back_if_enough(connection, request, event)


@mutant(advisory, mistake="the lock's key is the purchase id, not the event id", expected_check="no_oversell")
def advisory_other_key(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Each buyer locks a key of its own, so no lock excludes another."""
    with transaction(connection):
        connection.execute(ADVISORY_LOCK, [request.purchase_id])
        event = connection.execute(READ, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(
    advisory, mistake="the lock is taken before BEGIN, so it is released before the read", expected_check="no_oversell"
)
def advisory_released(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """In autocommit mode the statement that takes the lock is the whole transaction."""
    connection.execute(ADVISORY_LOCK, [request.event_id])
    with transaction(connection):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


# Short, so that it expires as soon as a few buyers queue.
_BOUND = "SET LOCAL lock_timeout = '1ms'"


@mutant(lock_timeout, mistake="after the timeout the purchase goes on without the lock", expected_check="no_oversell")
def lock_timeout_ignored(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The timeout ends the wait, but not the purchase."""
    try:
        with transaction(connection):
            connection.execute(_BOUND, prepare=False)
            event = connection.execute(LOCK, [request.event_id]).fetchone()
            return write_back_if_enough(connection, request, event)
    except psycopg.errors.LockNotAvailable:
        with transaction(connection):
            event = connection.execute(READ, [request.event_id]).fetchone()
            return write_back_if_enough(connection, request, event)


@mutant(nowait, mistake="a locked row is reported as sold out", expected_check="no_false_sold_out")
def nowait_sold_out(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A lock failure is taken for a lack of tickets."""
    try:
        return nowait.purchase(connection, request)
    except psycopg.errors.LockNotAvailable:
        return _sold_out_unread(request)


# Locks all free seats before it chooses, as code does that looks for the best ones.
_CHOOSE = edited(
    TAKE,
    ("LIMIT (SELECT %(quantity)s::integer) FOR", "FOR"),
    ("ARRAY(SELECT id FROM seat)", "ARRAY(SELECT id FROM seat LIMIT %(quantity)s)"),
    ("(SELECT count(*) FROM seat) =", "(SELECT count(*) FROM seat) >="),
)
_LAID_OUT = "SELECT count(*) FROM free_seats WHERE event_id = %s"


@mutant(skip_locked, mistake="locked seats are reported as sold out", expected_check="no_false_sold_out")
def skip_locked_sold_out(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """While another buyer chooses, every seat is locked; the buyer does not wait."""
    with commit_guard():
        rows = connection.execute(_CHOOSE, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    (laid_out,) = connection.execute(_LAID_OUT, [request.event_id]).fetchone() or (0,)
    return _sold_out_unread(request) if laid_out >= request.quantity else skip_locked.purchase(connection, request)


_DEFINITION = "SELECT pg_get_functiondef('sell_tickets(uuid, integer, uuid)'::regprocedure)"
_CALL_UNLOCKED = edited(CALL, ("sell_tickets", "pg_temp.sell_unlocked"))


@mutant(server_function, mistake="the function reads the row without locking it", expected_check="no_oversell")
def server_function_unlocked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """One call is not one atomic step: two concurrent calls read the same stock."""
    try:
        rows = _call_unlocked(connection, request)
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
        _define_unlocked(connection)
        rows = _call_unlocked(connection, request)
    if not rows:
        return unknown_event(request)
    ticket_id, *_, left, version = rows[0]
    return sold(request, rows) if ticket_id else sold_out(request, version=version, left=left)


def _call_unlocked(connection: Connection, request: PurchaseRequest) -> list[TupleRow]:
    with commit_guard():
        return connection.execute(_CALL_UNLOCKED, request.parameters).fetchall()


def _define_unlocked(connection: Connection) -> None:
    """Define a copy of the function in this session, without the lock, that writes back the stock that it read."""
    (definition,) = connection.execute(_DEFINITION).fetchone() or ("",)
    unlocked = edited(
        definition,
        ("public.sell_tickets", "pg_temp.sell_unlocked"),
        (" FOR NO KEY UPDATE", ""),
        ("events.available_tickets - wanted_quantity", "stock - wanted_quantity"),
    )
    connection.execute(unlocked.encode())


def _sold_out_unread(request: PurchaseRequest) -> PurchaseResult:
    """SOLD_OUT without a version or stock, because neither was read."""
    return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, cause=Cause.INSUFFICIENT)
