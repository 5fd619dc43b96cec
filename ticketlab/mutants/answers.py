"""Answers that are not those of the database: told before the commit, or in spite of what became of it.

They show where a connection or the server is lost. A pause stands where the loss must come to be seen.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

import psycopg

from ticketlab.mutants import PAUSE_S, Trigger, mutant
from ticketlab.mutants.sql import SELL_UNDER_RANDOM_IDS, TAKE_STOCK, WRITE_TICKETS
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import sql
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.check_constraint import check_constraint
from ticketlab.tickets.strategies.lock_timeout import lock_timeout
from ticketlab.tickets.strategies.no_key_update import LOCK, no_key_update
from ticketlab.tickets.strategies.pipelined import pipelined
from ticketlab.tickets.strategies.server_function import server_function
from ticketlab.tickets.strategy import CommitUnknownError, ConflictError, Connection, commit_guard, transaction


@mutant(
    atomic,
    mistake="the stock is committed first, the tickets follow in a transaction of their own",
    expected_check="atomic",
    trigger=Trigger.DISCONNECT,
)
def atomic_tickets_apart(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A connection that is lost in the pause between the two leaves half a purchase."""
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
    """Commit a pause later, in a thread, and then let go of the connection; whatever goes wrong is told to nobody."""

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
    """The commit follows a pause later, where it may fail with nobody left to be told."""
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    event = connection.execute(LOCK, [request.event_id]).fetchone()
    return sql.sell_if_enough(connection, request, event)


@mutant(
    pipelined,
    mistake="an error after the commit is told as a failure of the sale",
    expected_check="tickets_accounted_for",
    trigger=Trigger.DISCONNECT,
)
def pipelined_told_failed(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The stock is read a pause later, say for a page; what breaks there is told as the purchase rolled back."""
    result = pipelined.purchase(connection, request)
    time.sleep(PAUSE_S)
    connection.execute(READ, [request.event_id])
    return result


@mutant(
    lock_timeout,
    mistake="a connection that is lost is told as a sale",
    expected_check="sales_in_ledger",
    trigger=Trigger.DISCONNECT,
)
def lock_timeout_told_sold(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """It has always been committed so far, so it is taken for committed."""
    try:
        return lock_timeout.purchase(connection, request)
    except (psycopg.OperationalError, CommitUnknownError):
        if not connection.closed:
            raise
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)


@mutant(
    atomic,
    mistake="a connection that is lost in the commit is answered as a failed sale",
    expected_check="tickets_accounted_for",
    trigger=Trigger.LOSE_REPLY,
)
def atomic_lost_as_failed(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The error of the statement that commits is taken for a rollback, as everywhere else."""
    rows = connection.execute(SELL_IF_ENOUGH, request.parameters).fetchall()
    return sold(request, rows) if rows else atomic.purchase(connection, request)


@mutant(
    check_constraint,
    mistake="a sale that is lost in the commit is made again, with new ticket ids",
    expected_check="exactly_once",
    trigger=Trigger.LOSE_REPLY,
)
def check_constraint_sold_twice(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A lost connection is worth another try, and no ticket id of the first one stands in its way."""
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
    """Faster, and nobody notices until the server stops."""
    with transaction(connection):
        connection.execute("SET LOCAL synchronous_commit TO off", prepare=False)
        return server_function.purchase(connection, request)
