"""Control: read, check in the application, write back. Two buyers that read the same stock both sell: lost update."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ
from ticketlab.tickets.strategy import Connection, strategy, transaction

# `left` was computed from a row that others may have changed since: a lost update.
WRITE_BACK = """
WITH event AS (
    UPDATE events
    SET available_tickets = %(left)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || number)::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""


def read_check_write_back(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell by the stock that was read first; call it in a transaction."""
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        return sold_out(request, version=version, left=available)
    left = available - request.quantity
    return sold(request, connection.execute(WRITE_BACK, request.parameters | {"left": left}).fetchall())


@strategy(
    safe=False,
    derives_ticket_ids=True,
    summary="control: read, check, write back; no lock, no version check",
    cost="oversells as soon as two buyers meet",
    when="never: it shows what the checks detect",
)
def naive(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell by the stock that was read first."""
    with transaction(connection):
        return read_check_write_back(connection, request)
