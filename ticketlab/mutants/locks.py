"""Locks that are not taken, not the right ones, let go too early, or misread when they can not be had."""

import psycopg
from psycopg.rows import TupleRow

from ticketlab.mutants import mutant
from ticketlab.mutants.sql import write_back_if_enough
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import sql
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ
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


@mutant(pessimistic, mistake="the row is read without FOR UPDATE", expected_check="no_oversell")
def pessimistic_unlocked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Two buyers read the same stock, and the second one overwrites what the first one left."""
    with transaction(connection):
        event = connection.execute(LOCK.replace(" FOR UPDATE", ""), [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(pessimistic, mistake="FOR SHARE is raised to a write lock by the UPDATE", expected_check="no_deadlock")
def pessimistic_shared(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Two buyers share the row, and each waits for the other to let go of it before he may write."""
    with transaction(connection):
        event = connection.execute(LOCK.replace("FOR UPDATE", "FOR SHARE"), [request.event_id]).fetchone()
        return sql.sell_if_enough(connection, request, event)


@mutant(no_key_update, mistake="FOR KEY SHARE, which keeps nobody from selling", expected_check="no_oversell")
def no_key_update_too_weak(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """One step too weak: the lock that foreign keys take is at odds neither with itself nor with a sale."""
    with transaction(connection):
        event = connection.execute(weaker.LOCK.replace("NO KEY UPDATE", "KEY SHARE"), [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(no_key_update, mistake="the row is locked after a savepoint that is rolled back", expected_check="no_oversell")
def no_key_update_rolled_back(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A nested transaction that only looks, and so keeps nothing: not the lock either."""
    with transaction(connection):
        connection.execute("SAVEPOINT look", prepare=False)
        event = connection.execute(weaker.LOCK, [request.event_id]).fetchone()
        connection.execute("ROLLBACK TO SAVEPOINT look", prepare=False)
        return write_back_if_enough(connection, request, event)


@mutant(advisory, mistake="the lock's key is made of the purchase, not of the event", expected_check="no_oversell")
def advisory_other_key(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Everybody gets his lock at once, for everybody has one of his own."""
    with transaction(connection):
        connection.execute(ADVISORY_LOCK, [request.purchase_id])
        event = connection.execute(READ, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


@mutant(
    advisory, mistake="the lock is taken before BEGIN, so it is released before the read", expected_check="no_oversell"
)
def advisory_released(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Outside of a transaction block the statement that takes the lock is the transaction which holds it."""
    connection.execute(ADVISORY_LOCK, [request.event_id])
    with transaction(connection):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return write_back_if_enough(connection, request, event)


# Short, so that it is met as soon as a few buyers queue.
_BOUND = "SET LOCAL lock_timeout = '1ms'"


@mutant(lock_timeout, mistake="who has waited long enough goes on without the lock", expected_check="no_oversell")
def lock_timeout_ignored(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The timeout is taken for a reason to stop waiting, not for a reason to stop."""
    try:
        with transaction(connection):
            connection.execute(_BOUND, prepare=False)
            event = connection.execute(LOCK, [request.event_id]).fetchone()
            return write_back_if_enough(connection, request, event)
    except psycopg.errors.LockNotAvailable:
        with transaction(connection):
            event = connection.execute(READ, [request.event_id]).fetchone()
            return write_back_if_enough(connection, request, event)


@mutant(nowait, mistake="a row that is only locked is told as sold out", expected_check="no_false_sold_out")
def nowait_sold_out(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """What could not be had now is told as what can not be had."""
    try:
        return nowait.purchase(connection, request)
    except psycopg.errors.LockNotAvailable:
        return _sold_out_unseen(request)


# As the twin's, but it locks whatever is free before it chooses, as if the best seats were to be found.
_CHOOSE = (
    TAKE.replace("LIMIT (SELECT %(quantity)s::integer) FOR", "FOR")
    .replace("ARRAY(SELECT id FROM seat)", "ARRAY(SELECT id FROM seat LIMIT %(quantity)s)")
    .replace("(SELECT count(*) FROM seat) =", "(SELECT count(*) FROM seat) >=")
)
_LAID_OUT = "SELECT count(*) FROM free_seats WHERE event_id = %s"


@mutant(skip_locked, mistake="seats that are only locked are told as sold out", expected_check="no_false_sold_out")
def skip_locked_sold_out(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Who comes while another chooses finds no seat unlocked, and does not look more closely."""
    with commit_guard():
        rows = connection.execute(_CHOOSE, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    (laid_out,) = connection.execute(_LAID_OUT, [request.event_id]).fetchone() or (0,)
    return _sold_out_unseen(request) if laid_out >= request.quantity else skip_locked.purchase(connection, request)


_DEFINED = "SELECT pg_get_functiondef('sell_tickets(uuid, integer, uuid)'::regprocedure)"
_CALL_UNLOCKED = CALL.replace("sell_tickets", "pg_temp.sell_unlocked")


@mutant(server_function, mistake="the function reads the row without locking it", expected_check="no_oversell")
def server_function_unlocked(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """What runs in one call seems to run at one moment; two calls read the same stock all the same."""
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
    """The twin's own text, for this connection only, without its lock, and with the stock that was read."""
    (text,) = connection.execute(_DEFINED).fetchone() or ("",)
    for twins, mutants in (
        ("public.sell_tickets", "pg_temp.sell_unlocked"),
        (" FOR NO KEY UPDATE", ""),
        ("events.available_tickets - wanted_quantity", "stock - wanted_quantity"),
    ):
        text = text.replace(twins, mutants)
    connection.execute(text.encode())


def _sold_out_unseen(request: PurchaseRequest) -> PurchaseResult:
    """Told as sold out by somebody who has not seen the stock."""
    return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, cause=Cause.INSUFFICIENT)
