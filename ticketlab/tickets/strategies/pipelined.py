"""Row lock in pipeline mode: lock, sale and COMMIT are sent at once, so the row is locked for no round trip.

The statements are sent before any answer arrives, so the check must be in the SQL.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection, pipelined_transaction, strategy


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the pessimistic statements in pipeline mode: one round trip for all of them",
    cost="statements are sent before any answer arrives, so the check must be in the SQL",
    when="several statements with no decision in between, or a distant database",
)
def pipelined(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Lock, sell if the locked stock suffices, and commit, all sent at once."""
    with pipelined_transaction(connection):
        locked = connection.execute(LOCK, [request.event_id])
        selling = connection.execute(SELL_IF_ENOUGH, request.parameters)
    event, rows = locked.fetchone(), selling.fetchall()
    if event is None:
        return unknown_event(request)
    if not rows:
        available, version = event
        return sold_out(request, version=version, left=available)
    return sold(request, rows)
