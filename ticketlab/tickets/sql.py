"""What most strategies have in common: how an event is looked at, and how its tickets are written.

What tells the strategies apart stands in their own files.
"""

from typing import Final

from psycopg.rows import TupleRow

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategy import Connection, roll_back

READ: Final = "SELECT available_tickets, version FROM events WHERE id = %s"

# Stock and tickets in one statement: one round trip less while a lock is held. clock_timestamp, not now(): a
# transaction that waited for the row would set back the clock. A ticket's id is made from its purchase's, so that a
# purchase id can not buy twice: see `attempts`. The quantity stands in a sub-select because PostgreSQL would else plan
# the statement anew at each call, to know how many rows come of the series: that took longer than all the rest.
SELL: Final = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
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


def sell_if_enough(connection: Connection, request: PurchaseRequest, event: TupleRow | None) -> PurchaseResult:
    """Decide by what was read of the event, its stock and version, and sell: the second half of a transaction.

    Right where nobody can have changed the event since it was read, or where the database refuses the write then.
    """
    if event is None:
        return unknown_event(request)
    available, version = event
    if available < request.quantity:
        roll_back(connection)
        return sold_out(request, version=version, left=available)
    return sold(request, connection.execute(SELL, request.parameters).fetchall())
