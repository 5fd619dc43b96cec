"""The isolation level does it: whatever is read and written, the outcome is that of some serial order, or an error."""

from ticketlab.tickets.baskets import READ_ALL, refused, sell_in_order, stock_of
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import READ, sell_if_enough
from ticketlab.tickets.strategy import Connection, Isolation, RetryPolicy, roll_back, strategy, transaction


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Read all events, then write one after the other in the order of their ids: the order of the locks."""
    with transaction(connection, Isolation.SERIALIZABLE):
        events = connection.execute(READ_ALL, [list(wanted.quantities)]).fetchall()
        refusal = refused(wanted, stock_of(events))
        if refusal is not None:
            roll_back(connection)
            return refusal
        return sell_in_order(connection, wanted)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SERIALIZABLE, retry on 40001 and 40P01: the database decides",
    cost="as repeatable_read, and every read is tracked",
    when="rules over many rows that no single lock covers; correctness before speed",
    isolation=Isolation.SERIALIZABLE,
    retry=RetryPolicy(max_attempts=50, backoff_max_s=0.05),
    basket=basket,
)
def serializable(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell as if nobody else were there."""
    with transaction(connection, Isolation.SERIALIZABLE):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
