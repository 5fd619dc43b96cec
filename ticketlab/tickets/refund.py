"""A purchase given back, in one round trip, whatever strategy sold it. Knows the two documented tables and no other.

Where a strategy counts stock elsewhere meanwhile, the event's row says less than is for sale, never more: so what comes
back may be added to it there too, and is found there by whoever finds nothing left elsewhere.
"""

from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import execution
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import BasketLine, PurchaseResult
from ticketlab.tickets.strategy import RetryPolicy, pipelined_transaction

# The events' rows are locked first, all of them, in the order in which everybody locks: so who holds a ticket here
# waits for nobody who may come to wait for it. A statement of its own, for the next one is to see the rows as they are
# after the wait. One that locks a row and updates it from an older snapshot asks PostgreSQL for the older version's
# lock as well, where others hold the key of that version (as who inserts tickets does), and another refund may have it.
LOCK: Final = """
SELECT FROM events
WHERE id = ANY (ARRAY(SELECT event_id FROM tickets WHERE purchase_id = %(purchase_id)s))
ORDER BY id FOR NO KEY UPDATE
"""

# Locked again, for the id may have been given back and have bought from another event since: either all its tickets
# return or none. What a sub-select asks for is there as a whole before the first row that needs it is looked at.
GIVE_BACK: Final = """
WITH locked AS MATERIALIZED (
    SELECT id FROM events
    WHERE id = ANY (ARRAY(SELECT event_id FROM tickets WHERE purchase_id = %(purchase_id)s))
    ORDER BY id FOR NO KEY UPDATE
), back AS (
    DELETE FROM tickets
    WHERE purchase_id = %(purchase_id)s AND event_id = ANY (ARRAY(SELECT id FROM locked))
    RETURNING event_id
), counted AS (
    SELECT event_id, count(*)::integer AS quantity FROM back GROUP BY event_id
)
UPDATE events
SET available_tickets = available_tickets + quantity, version = version + 1, updated_at = clock_timestamp()
FROM counted WHERE id = event_id
RETURNING id, quantity, version, available_tickets
"""


def cancel(database: Database, purchase_id: UUID, retry: RetryPolicy) -> PurchaseResult:
    """Give back whatever the purchase owns, trying again after conflicts as `retry` says; no database error escapes."""
    return execution.run_with_retries(lambda: _give_back(database, purchase_id), retry, quantity=0)


def _give_back(database: Database, purchase_id: UUID) -> PurchaseResult:
    """Try once."""
    parameters = {"purchase_id": purchase_id}
    with database.connection() as connection:
        with pipelined_transaction(connection):
            connection.execute(LOCK, parameters)
            giving_back = connection.execute(GIVE_BACK, parameters)
        return _given_back(giving_back.fetchall())


def _given_back(rows: list[TupleRow]) -> PurchaseResult:
    """What came back: a row an event, with its version and its stock as they now are."""
    lines = sorted(map(BasketLine._make, rows))
    if not lines:
        return PurchaseResult(outcome=Outcome.REFUNDED, quantity=0, cause=Cause.REPEATED)
    single = lines[0] if len(lines) == 1 else None  # as of a purchase of one event
    return PurchaseResult(
        outcome=Outcome.REFUNDED,
        quantity=sum(line.quantity for line in lines),
        version=single and single.version,
        available_tickets=single and single.available_tickets,
        lines=lines,
    )
