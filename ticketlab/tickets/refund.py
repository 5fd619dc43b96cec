"""Refunds a purchase in one round trip, whatever strategy sold it. Knows the tables events and tickets only.

Refunded tickets are added to the event's row, even if a strategy counts stock elsewhere while it sells: such a
strategy looks at the row once the stock elsewhere is used up.
"""

from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import execution
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import BasketLine, PurchaseResult
from ticketlab.tickets.strategy import RetryPolicy, pipelined_transaction

# Lock all events first, in the order of their ids as everywhere, so that a refund that holds tickets cannot deadlock.
# A separate statement, so that the next one gets a snapshot taken after the wait. A single statement would update the
# row from an older snapshot. If others hold a key lock on that older row version, as inserting tickets does, PostgreSQL
# requests a lock on the older version too, which another refund may hold.
LOCK: Final = """
SELECT FROM events
WHERE id = ANY (ARRAY(SELECT event_id FROM tickets WHERE purchase_id = %(purchase_id)s))
ORDER BY id FOR NO KEY UPDATE
"""

# Lock again: meanwhile the id may have been refunded and have bought from another event, and either all its tickets
# are refunded or none. The sub-selects are evaluated completely before the first row that depends on them.
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
    """Refund what the purchase owns, and retry conflicts by `retry`; database errors become outcomes."""
    return execution.run_with_retries(lambda: _attempt(database, purchase_id), retry, quantity=0)


def _attempt(database: Database, purchase_id: UUID) -> PurchaseResult:
    parameters = {"purchase_id": purchase_id}
    with database.connection() as connection:
        with pipelined_transaction(connection):
            connection.execute(LOCK, parameters)
            refunded = connection.execute(GIVE_BACK, parameters)
        return _result(refunded.fetchall())


def _result(rows: list[TupleRow]) -> PurchaseResult:
    """The result, from one row per event: id, refunded tickets, new version and new stock."""
    lines = sorted(map(BasketLine._make, rows))
    if not lines:
        return PurchaseResult(outcome=Outcome.REFUNDED, quantity=0, cause=Cause.REPEATED)
    single = lines[0] if len(lines) == 1 else None
    return PurchaseResult(
        outcome=Outcome.REFUNDED,
        quantity=sum(line.quantity for line in lines),
        version=single and single.version,
        available_tickets=single and single.available_tickets,
        lines=lines,
    )
