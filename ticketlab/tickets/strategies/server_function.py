"""Server-side function: the whole purchase in one PL/pgSQL call, with no round trip under the lock.

Its source is in migration 0002: migrations/versions/0002_stock_beside_the_row.py.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategy import Connection, commit_guard, strategy

CALL = "SELECT * FROM sell_tickets(%(event_id)s, %(quantity)s, %(purchase_id)s)"


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the whole purchase in one PL/pgSQL call",
    cost="one round trip; the logic lives in the database, and is deployed by migrations",
    when="several statements must run under the lock, and round trips are slow",
)
def server_function(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Call the function."""
    with commit_guard():
        rows = connection.execute(CALL, request.parameters).fetchall()
    if not rows:
        return unknown_event(request)
    ticket_id, *_, left, version = rows[0]
    if ticket_id is None:
        return sold_out(request, version=version, left=left)
    return sold(request, rows)
