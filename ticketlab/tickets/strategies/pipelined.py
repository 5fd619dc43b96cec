"""The pessimistic statements, sent without waiting for their answers: the row is locked for no round trip at all."""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategies.atomic import SELL_IF_ENOUGH
from ticketlab.tickets.strategies.pessimistic import LOCK
from ticketlab.tickets.strategy import Connection, pipelined_transaction, strategy


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="the pessimistic statements in pipeline mode: one round trip for all of them",
    cost="what is sent must be decided before anything is answered: the check moves into the SQL",
    when="several statements with nothing to think about in between, or a distant database",
)
def pipelined(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Lock, sell where the locked stock suffices, and commit, all sent at once."""
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
