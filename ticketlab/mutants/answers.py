"""Mutants whose answers do not match the commit: given before it, or in spite of its failure.

The mistakes have an effect only if a connection breaks or the server crashes; a pause makes that more likely.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import psycopg

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.mutants._sql import SELL_UNDER_RANDOM_IDS, TAKE_STOCK, WRITE_TICKETS
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, unknown_event
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.check_constraint import check_constraint
from ticketlab.tickets.strategies.lock_timeout import lock_timeout
from ticketlab.tickets.strategies.no_key_update import LOCK, no_key_update
from ticketlab.tickets.strategies.pipelined import pipelined
from ticketlab.tickets.strategies.server_function import server_function
from ticketlab.tickets.strategy import CommitUnknownError, ConflictError, Connection, commit_guard, transaction


@mutant(
    atomic,
    mistake="the stock is committed first, the tickets in a second transaction",
    expected_check="atomic",
    trigger=Trigger.DISCONNECT,
)
def atomic_tickets_apart(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A connection lost between the two transactions leaves a partial purchase."""
    with commit_guard():
        taken = connection.execute(TAKE_STOCK, request.parameters).fetchone()
    if taken is None:
        return atomic.purchase(connection, request)
    time.sleep(PAUSE_S)
    with commit_guard():
        tickets = connection.execute(WRITE_TICKETS, request.parameters).fetchall()
    return sold(request, [(*ticket, *taken) for ticket in tickets])


@contextmanager
def _committed_afterwards(database: Database) -> Iterator[Connection]:
    with ExitStack() as held:
        connection = held.enter_context(database.connection())
        yield connection
        commit_afterwards(connection, held.pop_all())


def commit_afterwards(connection: Connection, held: ExitStack) -> None:
    """Commit after a pause, in a thread, and then release `held`; errors are not reported."""

    def commit() -> None:
        with held, suppress(psycopg.Error):
            time.sleep(PAUSE_S)
            connection.commit()

    Thread(target=commit, name="commit").start()


@mutant(
    no_key_update,
    mistake="the buyer is answered before the commit",
    expected_check="sales_in_ledger",
    trigger=Trigger.DISCONNECT,
    resource=_committed_afterwards,
)
def no_key_update_answered_first(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The commit follows after a pause, and its failure is not reported."""
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    event = connection.execute(LOCK, [request.event_id]).fetchone()
    return sell_if_enough(connection, request, event)


@mutant(
    pipelined,
    mistake="an error after the commit is reported as a failed sale",
    expected_check="tickets_accounted_for",
    trigger=Trigger.DISCONNECT,
)
def pipelined_told_failed(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """After a pause the stock is read, as if to display it; a connection lost then is reported as a rollback."""
    result = pipelined.purchase(connection, request)
    time.sleep(PAUSE_S)
    connection.execute(READ, [request.event_id])
    return result


@mutant(
    lock_timeout,
    mistake="a lost connection is reported as sold",
    expected_check="sales_in_ledger",
    trigger=Trigger.DISCONNECT,
)
def lock_timeout_told_sold(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The code assumes that the commit succeeded."""
    try:
        return lock_timeout.purchase(connection, request)
    except (psycopg.OperationalError, CommitUnknownError):
        if not connection.closed:
            raise
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)


@mutant(
    atomic,
    mistake="a connection lost during the commit is reported as a failed sale",
    expected_check="tickets_accounted_for",
    trigger=Trigger.LOSE_REPLY,
)
def atomic_lost_as_failed(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The error of the committing statement is taken for a rollback."""
    rows = connection.execute(SELL_IF_ENOUGH, request.parameters).fetchall()
    return sold(request, rows) if rows else atomic.purchase(connection, request)


@mutant(
    check_constraint,
    mistake="a sale lost during the commit is retried with new ticket ids",
    expected_check="exactly_once",
    trigger=Trigger.LOSE_REPLY,
)
def check_constraint_sold_twice(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The retry does not violate the primary key, so the purchase may be sold twice."""
    try:
        with commit_guard():
            rows = connection.execute(SELL_UNDER_RANDOM_IDS, request.parameters).fetchall()
    except psycopg.errors.CheckViolation:
        return check_constraint.purchase(connection, request)
    except CommitUnknownError as error:
        raise ConflictError(Cause.CONCURRENT_UPDATE) from error
    return sold(request, rows) if rows else unknown_event(request)


@mutant(
    server_function,
    mistake="synchronous_commit is off: the answer does not wait for the disk",
    expected_check="durable",
    trigger=Trigger.CRASH,
)
def server_function_asynchronous(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Faster, but a crash loses answered sales."""
    with transaction(connection):
        connection.execute("SET LOCAL synchronous_commit TO off", prepare=False)
        return server_function.purchase(connection, request)
