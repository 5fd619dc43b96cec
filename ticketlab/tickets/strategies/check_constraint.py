"""CHECK constraint: subtract the stock without a check, and let the table's constraint refuse a negative one.

Each refusal costs an aborted transaction, a dead row and a line in the server's log.
"""

import psycopg

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, SELL
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, strategy

CONSTRAINT = "CHK_available_tickets_non_negative"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="no check of its own: subtract the stock and let the CHECK constraint refuse",
    cost="as atomic; each refusal is an error, a dead row and a line in the server's log",
    when="as a safety net under any other strategy; alone if refusals are rare",
    retry=RetryPolicy(max_attempts=5),
)
def check_constraint(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell, unless the constraint refuses."""
    try:
        with commit_guard():
            rows = connection.execute(SELL, request.parameters).fetchall()
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name != CONSTRAINT:
            raise
        return _sold_out(connection, request)
    return sold(request, rows) if rows else unknown_event(request)


def _sold_out(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """The error does not contain the stock, so read it: this reading is the answer."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None or event[0] >= request.quantity:
        raise ConflictError(Cause.STALE_VERSION)  # the event was deleted, or tickets were refunded, in between
    available, version = event
    return sold_out(request, version=version, left=available)
