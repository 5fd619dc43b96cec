"""No check of its own: the stock is taken off, and the table's CHECK constraint refuses what would go below zero."""

import psycopg

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, SELL
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, strategy

CONSTRAINT = "CHK_available_tickets_non_negative"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="no check of its own: take the stock off and let the constraint refuse",
    cost="as atomic; each refusal is an error, a dead row and a line in the server's log",
    when="a second line of defence under any other; alone where refusals are rare",
    retry=RetryPolicy(max_attempts=5),
)
def check_constraint(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell, unless the constraint says that there was too little."""
    try:
        with commit_guard():
            rows = connection.execute(SELL, request.parameters).fetchall()
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name != CONSTRAINT:
            raise
        return _refused(connection, request)
    return sold(request, rows) if rows else unknown_event(request)


def _refused(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The error says not what was left, so the stock is read: that reading is what the buyer is told."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None or event[0] >= request.quantity:
        raise ConflictError(Cause.STALE_VERSION)  # the event went, or tickets came back, in between
    available, version = event
    return sold_out(request, version=version, left=available)
