"""Isolation level SERIALIZABLE: the outcome is that of some serial order, or an error (40001, 40P01); retry.

It protects rules over many rows that no single lock covers. PostgreSQL tracks every read for it.
"""

from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import READ, READ_ALL, basket_refusal, sell_basket_in_order, sell_if_enough, stock_of
from ticketlab.tickets.strategy import Connection, Isolation, RetryPolicy, roll_back, strategy, transaction


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Read all events, then write them one by one in the order of their ids, which is the order of all locks."""
    with transaction(connection, Isolation.SERIALIZABLE):
        events = connection.execute(READ_ALL, [list(wanted.quantities)]).fetchall()
        refusal = basket_refusal(wanted, stock_of(events))
        if refusal is not None:
            roll_back(connection)
            return refusal
        return sell_basket_in_order(connection, wanted)


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="SERIALIZABLE, retry on 40001 and 40P01: the database detects conflicts",
    cost="as repeatable_read, and every read is tracked",
    when="rules over many rows that no single lock covers; correctness before speed",
    isolation=Isolation.SERIALIZABLE,
    retry=RetryPolicy(max_attempts=50, backoff_max_s=0.05),
    basket=basket,
)
def serializable(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell as if no other transaction ran."""
    with transaction(connection, Isolation.SERIALIZABLE):
        event = connection.execute(READ, [request.event_id]).fetchone()
        return sell_if_enough(connection, request, event)
