"""Mutants of idempotence: a purchase id buys twice, or is answered before it has bought."""

from ticketlab.mutants import Trigger, mutant
from ticketlab.mutants._sql import edited
from ticketlab.mutants.retries import sell_under_random_ids
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets.execution import BOUGHT_BEFORE
from ticketlab.tickets.purchase import (
    PurchaseRequest,
    PurchaseResult,
    SoldTicket,
    bought_before,
    sold,
    sold_out,
    unknown_event,
)
from ticketlab.tickets.sql import SELL, sell_if_enough
from ticketlab.tickets.strategies import pessimistic as waiting
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH, atomic
from ticketlab.tickets.strategies.no_key_update import LOCK, no_key_update
from ticketlab.tickets.strategies.pessimistic import pessimistic
from ticketlab.tickets.strategy import Connection, commit_guard, roll_back, transaction

_SELL_UNDER_IDS_PER_EVENT = edited(
    SELL_IF_ENOUGH, ("md5(%(purchase_id)s::text || number)::uuid", "md5(%(purchase_id)s::text || id || number)::uuid")
)
_TOP_UP = edited(
    SELL,
    ("available_tickets - %(quantity)s", "available_tickets - %(missing)s"),
    ("generate_series(1,", "generate_series(1 + %(owned)s,"),
)
_UNDER_WAY = "SELECT NOT pg_try_advisory_xact_lock(hashtextextended(%s::text, 0))"


@mutant(
    pessimistic,
    mistake="random ticket ids; the purchase id is looked up before the lock is taken",
    expected_check="exactly_once",
    trigger=Trigger.DOUBLE_CALLS,
)
def pessimistic_looked_up_first(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Two concurrent calls both find that the id has not bought yet, and both sell."""
    tickets = _tickets(connection, request)
    return bought_before(request, tickets) if tickets else sell_under_random_ids(connection, request, lock=waiting.LOCK)


@mutant(
    atomic,
    mistake="a purchase id buys once per event, not once",
    expected_check="exactly_once",
    trigger=Trigger.DOUBLE_CALLS,
)
def atomic_once_per_event(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The ticket id includes the event, so a second call for another event does not violate the key."""
    with commit_guard():
        rows = connection.execute(_SELL_UNDER_IDS_PER_EVENT, request.parameters).fetchall()
    return sold(request, rows) if rows else atomic.purchase(connection, request)


@mutant(
    no_key_update,
    mistake="a second call for more tickets is topped up to its quantity",
    expected_check="exactly_once",
    trigger=Trigger.DOUBLE_CALLS,
)
def no_key_update_topped_up(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The id then owns more tickets than the first call reported."""
    with transaction(connection):
        event = connection.execute(LOCK, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        available, version = event
        owned = sum(ticket.event_id == request.event_id for ticket in _tickets(connection, request))
        if available < request.quantity - owned:
            roll_back(connection)
            return sold_out(request, version=version, left=available)
        missing = {"missing": request.quantity - owned, "owned": owned}
        if missing["missing"] <= 0:
            return sell_if_enough(connection, request, event)
        return sold(request, connection.execute(_TOP_UP, request.parameters | missing).fetchall())


@mutant(
    pessimistic,
    mistake="a call whose id is in progress elsewhere is answered as sold before that is decided",
    expected_check="sales_in_ledger",
    trigger=Trigger.DOUBLE_CALLS,
)
def pessimistic_under_way_sold(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """A concurrent call with the same id is taken for a sale, but may still be refused."""
    with transaction(connection):
        (under_way,) = connection.execute(_UNDER_WAY, [request.purchase_id]).fetchone() or (False,)
        if under_way:
            roll_back(connection)
            return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity, cause=Cause.REPEATED)
        event = connection.execute(waiting.LOCK, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)


def _tickets(connection: Connection, request: PurchaseRequest) -> list[SoldTicket]:
    """The tickets that the purchase id owns."""
    return [SoldTicket._make(row) for row in connection.execute(BOUGHT_BEFORE, [request.purchase_id])]
