"""Mutants of retries: a retry repeats committed work, uses another purchase id, or never commits."""

import time
from dataclasses import replace
from uuid import uuid4

import psycopg

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.mutants._sql import SELL_UNDER_RANDOM_IDS, edited
from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategies import pessimistic as waiting
from ticketlab.tickets.strategies.nowait import LOCK, nowait
from ticketlab.tickets.strategies.optimistic import SELL_IF_UNCHANGED, optimistic
from ticketlab.tickets.strategies.pessimistic import pessimistic
from ticketlab.tickets.strategies.repeatable_read import repeatable_read
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, transaction

_TAKE = """
UPDATE events SET available_tickets = available_tickets - %(quantity)s
WHERE id = %(event_id)s AND available_tickets >= %(quantity)s
"""
_WRITE_IF_UNCHANGED = edited(SELL_IF_UNCHANGED, ("available_tickets = available_tickets - %(quantity)s, ", ""))


@mutant(optimistic, mistake="a retry subtracts the stock again", expected_check="no_oversell")
def optimistic_taken_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The stock is subtracted first; if the version then has changed, the retry does so again."""
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


@mutant(nowait, mistake="random ticket ids, and a retry after the sale was committed", expected_check="exactly_once")
def nowait_sold_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The row is read again for the answer; if it is locked by then, the purchase is retried."""
    result = sell_under_random_ids(connection, request, lock=LOCK)
    connection.execute(LOCK, [request.event_id])
    return result


@mutant(
    pessimistic,
    mistake="random ticket ids, and a retry when the connection is lost after the commit",
    expected_check="exactly_once",
    trigger=Trigger.DISCONNECT,
    retry=RetryPolicy(max_attempts=5),
)
def pessimistic_sold_again(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A lost connection is taken for a lost sale, although it broke after the commit, at the next statement."""
    try:
        result = sell_under_random_ids(connection, request, lock=waiting.LOCK)
        time.sleep(PAUSE_S)
        connection.execute(READ, [request.event_id])
    except psycopg.OperationalError as error:
        raise ConflictError(Cause.CONCURRENT_UPDATE) from error
    return result


def sell_under_random_ids(connection: Connection, request: PurchaseRequest, *, lock: str) -> PurchaseResult:
    """Sell under a lock; a second sale of the same purchase does not violate the primary key."""
    with transaction(connection):
        event = connection.execute(lock, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event, statement=SELL_UNDER_RANDOM_IDS)


@mutant(repeatable_read, mistake="a retry uses a new purchase id", expected_check="tickets_accounted_for")
def repeatable_read_other_id(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The id is drawn per attempt, not per purchase, so no buyer knows the owner of the tickets."""
    try:
        return repeatable_read.purchase(connection, request)
    except psycopg.errors.SerializationFailure:
        return repeatable_read.purchase(connection, replace(request, purchase_id=uuid4()))


@mutant(nowait, mistake="after NOWAIT failed, the fallback that waits never commits", expected_check="sales_in_ledger")
def nowait_uncommitted(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The rarely executed path lacks the COMMIT, so the pool rolls back."""
    try:
        return nowait.purchase(connection, request)
    except psycopg.errors.LockNotAvailable:
        connection.execute("BEGIN", prepare=False)
        event = connection.execute(waiting.LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
