"""Mutants whose tickets are right: a connection left unclean, hidden deadlocks, added seats."""

from typing import Final

import psycopg

from ticketlab.mutants import mutant
from ticketlab.mutants.locks import pessimistic_shared
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold_out, unknown_event
from ticketlab.tickets.sql import sell_if_enough
from ticketlab.tickets.strategies.check_constraint import check_constraint
from ticketlab.tickets.strategies.lock_timeout import lock_timeout
from ticketlab.tickets.strategies.pessimistic import LOCK, pessimistic
from ticketlab.tickets.strategy import Connection, transaction

_ATTEMPTS: Final = 100
_ADD_SEATS: Final = """
UPDATE events SET total_tickets = total_tickets + %(quantity)s, available_tickets = available_tickets + %(quantity)s
WHERE id = %(event_id)s
"""


@mutant(
    lock_timeout,
    mistake="SET without LOCAL: the timeout stays on the connection",
    expected_check="leaves_connection_clean",
)
def lock_timeout_of_the_session(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Later users of the connection have the timeout too."""
    with transaction(connection):
        connection.execute("SET lock_timeout = '500ms'", prepare=False)
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)


@mutant(
    pessimistic, mistake="a refusal returns without ending its transaction", expected_check="leaves_connection_clean"
)
def pessimistic_left_open(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The event stays locked until the connection returns to the pool."""
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
    event = connection.execute(LOCK, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        return sold_out(request, version=version, left=available)
    result = sell_if_enough(connection, request, event)
    connection.commit()
    return result


@mutant(
    pessimistic,
    mistake="a shared lock is upgraded to a write lock, and the deadlocks are silently retried",
    expected_check="no_deadlock",
)
def pessimistic_in_silence(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """No answer reports the deadlocks, but the server counts them."""
    for _ in range(_ATTEMPTS):
        try:
            return pessimistic_shared.strategy.purchase(connection, request)
        except psycopg.errors.DeadlockDetected:
            continue
    return pessimistic.purchase(connection, request)


@mutant(check_constraint, mistake="seats are added when too few are left", expected_check="setup_unchanged")
def check_constraint_more_seats(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Stock and tickets agree, whatever is sold."""
    result = check_constraint.purchase(connection, request)
    if result.success:
        return result
    connection.execute(_ADD_SEATS, request.parameters)
    return check_constraint.purchase(connection, request)
