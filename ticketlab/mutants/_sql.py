"""SQL that several mutants share, and `edited`, which derives a mutant's SQL from the base strategy's."""

from typing import Final

from psycopg.rows import TupleRow

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.sql import SELL, sell_if_enough
from ticketlab.tickets.strategies.naive import WRITE_BACK
from ticketlab.tickets.strategy import Connection


def edited(sql: str, *edits: tuple[str, str]) -> str:
    """Return `sql` with each (old, new) replaced in turn.

    Raises:
        ValueError: an old text is not there; the mutant would silently be its base strategy.
    """
    for old, new in edits:
        if old not in sql:
            raise ValueError(f"A mutant edits {old!r}, which this statement does not contain: {sql.strip()}")
        sql = sql.replace(old, new)
    return sql


TAKE_STOCK: Final = """
UPDATE events
SET available_tickets = available_tickets - %(quantity)s, version = version + 1, updated_at = clock_timestamp()
WHERE id = %(event_id)s AND available_tickets >= %(quantity)s
RETURNING available_tickets, version
"""

WRITE_TICKETS: Final = """
INSERT INTO tickets (id, event_id, purchase_id)
SELECT md5(%(purchase_id)s::text || number)::uuid, %(event_id)s, %(purchase_id)s
FROM generate_series(1, (SELECT %(quantity)s::integer)) AS number
RETURNING id, event_id, purchase_id, purchased_at
"""

# A second sale of the same purchase does not violate the primary key.
SELL_UNDER_RANDOM_IDS: Final = edited(SELL, ("md5(%(purchase_id)s::text || number)::uuid", "gen_random_uuid()"))


def write_back_if_enough(connection: Connection, request: PurchaseRequest, event: TupleRow | None) -> PurchaseResult:
    """As `tickets.sql.sell_if_enough`, but writes an absolute stock: correct only if the event cannot have changed."""
    return sell_if_enough(connection, request, event, statement=WRITE_BACK)
