"""One conditional statement: UPDATE … WHERE the stock suffices, and INSERT of the tickets.

It costs one round trip, and the row is locked only for the statement and its commit. The default choice.
"""

from ticketlab.outcomes import Cause
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.sql import READ, READ_ALL, basket_parameters, basket_refusal, basket_sold, stock_of
from ticketlab.tickets.strategy import ConflictError, Connection, RetryPolicy, commit_guard, strategy

# A second buyer waits for the row lock; PostgreSQL then evaluates the condition again on the new row version.
SELL_IF_ENOUGH = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(event_id)s AND available_tickets >= %(quantity)s
    RETURNING id, available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || number)::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, (SELECT %(quantity)s::integer)) AS number
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold, event
"""

# All or nothing. The rows are locked in the order of their ids, in their newest version, before any is written.
SELL_ALL_IF_ENOUGH = """
WITH wanted AS (
    SELECT * FROM unnest(%(event_ids)s::uuid[], %(quantities)s::integer[]) AS wanted(event_id, quantity)
), locked AS MATERIALIZED (
    SELECT id, available_tickets, quantity
    FROM events JOIN wanted ON id = event_id
    ORDER BY id FOR NO KEY UPDATE OF events
), event AS (
    UPDATE events
    SET available_tickets = locked.available_tickets - quantity, version = version + 1, updated_at = clock_timestamp()
    FROM locked
    WHERE events.id = locked.id
      AND (SELECT count(*) FROM locked WHERE available_tickets >= quantity) = (SELECT count(*) FROM wanted)
    RETURNING events.id, quantity, events.available_tickets, version
), sold AS (
    INSERT INTO tickets (id, event_id, purchase_id)
    SELECT md5(%(purchase_id)s::text || row_number() OVER (ORDER BY id))::uuid, id, %(purchase_id)s
    FROM event, generate_series(1, quantity)
    RETURNING id, event_id, purchase_id, purchased_at
)
SELECT sold.*, event.available_tickets, event.version FROM sold JOIN event ON event.id = sold.event_id
"""


def basket(connection: Connection, wanted: Basket) -> PurchaseResult:
    """Sell if every stock suffices, in one statement."""
    with commit_guard():
        rows = connection.execute(SELL_ALL_IF_ENOUGH, basket_parameters(wanted)).fetchall()
    if rows:
        return basket_sold(wanted, rows)
    events = connection.execute(READ_ALL, [list(wanted.quantities)]).fetchall()
    refusal = basket_refusal(wanted, stock_of(events))
    if refusal is None:
        raise ConflictError(Cause.STALE_VERSION)  # tickets were refunded in between
    return refusal


@strategy(
    safe=True,
    derives_ticket_ids=True,
    summary="one statement: conditional UPDATE and INSERT … RETURNING",
    cost="one round trip; a refusal needs another one, to read the stock",
    when="by default: the cheapest way to make one purchase",
    retry=RetryPolicy(max_attempts=5),
    basket=basket,
)
def atomic(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell if the stock suffices, in one statement."""
    with commit_guard():
        rows = connection.execute(SELL_IF_ENOUGH, request.parameters).fetchall()
    if rows:
        return sold(request, rows)
    # The statement does not return the stock that it refused, so read it: this reading is the answer.
    event = connection.execute(READ, [request.event_id]).fetchone()
    if event is None:
        return unknown_event(request)
    available, version = event
    if available >= request.quantity:
        raise ConflictError(Cause.STALE_VERSION)  # tickets were refunded in between
    return sold_out(request, version=version, left=available)
