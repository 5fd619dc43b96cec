"""A second try that does again what was done, or does it as somebody else."""

import time
from dataclasses import replace
from uuid import uuid4

import psycopg

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.mutants.sql import SELL_UNDER_RANDOM_IDS
from ticketlab.outcomes import Cause
from ticketlab.tickets import sql
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategies import pessimistic as waiting
from ticketlab.tickets.strategies.nowait import LOCK, nowait
from ticketlab.tickets.strategies.optimistic import SELL_IF_UNCHANGED, optimistic
from ticketlab.tickets.strategies.pessimistic import pessimistic
from ticketlab.tickets.strategies.repeatable_read import repeatable_read
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, roll_back, transaction

_TAKE = """
UPDATE events SET available_tickets = available_tickets - %(quantity)s
WHERE id = %(event_id)s AND available_tickets >= %(quantity)s
"""
_WRITE_IF_UNCHANGED = SELL_IF_UNCHANGED.replace("available_tickets = available_tickets - %(quantity)s, ", "")


@mutant(optimistic, mistake="a second try takes the stock a second time", expected_check="no_oversell")
def optimistic_taken_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The stock is taken first; where the version has moved, all of it is done again and nothing given back."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        return sold_out(request, version=version, left=available)
    connection.execute(_TAKE, request.parameters)
    with commit_guard():
        rows = connection.execute(_WRITE_IF_UNCHANGED, request.parameters | {"version": version}).fetchall()
    if not rows:
        raise ConflictError(Cause.STALE_VERSION)
    return sold(request, rows)


@mutant(
    nowait,
    mistake="tickets of random ids, and a second try after the sale was committed",
    expected_check="exactly_once",
)
def nowait_sold_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The row is looked at once more, for the answer; where somebody holds it by then, all of it is done again."""
    result = sell_under_random_ids(connection, request, lock=LOCK)
    connection.execute(LOCK, [request.event_id])
    return result


@mutant(
    pessimistic,
    mistake="tickets of random ids, and a second try when the connection is lost after the commit",
    expected_check="exactly_once",
    trigger=Trigger.DISCONNECT,
    retry=RetryPolicy(max_attempts=5),
)
def pessimistic_sold_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A lost connection is taken for a lost sale, though it broke a pause later, at the next statement."""
    try:
        result = sell_under_random_ids(connection, request, lock=waiting.LOCK)
        time.sleep(PAUSE_S)
        connection.execute(READ, [request.event_id])
    except psycopg.OperationalError as error:
        raise ConflictError(Cause.CONCURRENT_UPDATE) from error
    return result


def sell_under_random_ids(connection: Connection, request: PurchaseRequest, *, lock: str) -> PurchaseResult:
    """Sell under a lock; a second sale of the same purchase collides with nothing."""
    with transaction(connection):
        event = connection.execute(lock, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        if available < request.quantity:
            roll_back(connection)
            return sold_out(request, version=version, left=available)
        return sold(request, connection.execute(SELL_UNDER_RANDOM_IDS, request.parameters).fetchall())


@mutant(
    repeatable_read, mistake="a second try goes by a purchase id of its own", expected_check="tickets_accounted_for"
)
def repeatable_read_other_id(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The id is drawn where the try begins, not where the purchase does: the tickets are nobody's."""
    try:
        return repeatable_read.purchase(connection, request)
    except psycopg.errors.SerializationFailure:
        return repeatable_read.purchase(connection, replace(request, purchase_id=uuid4()))


@mutant(nowait, mistake="who waits after all never commits", expected_check="sales_in_ledger")
def nowait_uncommitted(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The path that is seldom taken lacks the COMMIT: the pool rolls back what it is given back."""
    try:
        return nowait.purchase(connection, request)
    except psycopg.errors.LockNotAvailable:
        connection.execute("BEGIN", prepare=False)
        event = connection.execute(waiting.LOCK, [request.event_id]).fetchone()
        return sql.sell_if_enough(connection, request, event)
