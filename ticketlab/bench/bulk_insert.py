"""The limit: tickets of one event as fast as the server writes them, in one statement and one commit.

With the documented defaults, indexes and foreign key. No buyer waits for another, and there is one round trip for all:
no way of selling one by one can reach it.
"""

import time
from typing import Final

import psycopg

from ticketlab.bench.subject import BenchContext, Claim
from ticketlab.tickets.database import CONNECTION

TICKETS: Final = 50_000
_WARM_UP_TICKETS: Final = 1_000
SELL_MANY: Final = """
WITH event AS (
    UPDATE events
    SET available_tickets = available_tickets - %(tickets)s, version = version + 1, updated_at = now()
    WHERE id = %(event_id)s
    RETURNING id
)
INSERT INTO tickets (event_id, purchase_id)
SELECT id, gen_random_uuid() FROM event, generate_series(1, %(tickets)s)
"""


def sell(ground: BenchContext) -> Claim:
    """Sell TICKETS tickets at once, whatever the plan's buyers and seconds."""
    url = ground.database.settings.url
    with ground.database.translating_errors(), psycopg.connect(url, **CONNECTION) as connection:
        connection.execute(SELL_MANY, {"event_id": ground.warm_up_event, "tickets": _WARM_UP_TICKETS})
        began_ns = time.perf_counter_ns()
        sold = connection.execute(SELL_MANY, {"event_id": ground.event, "tickets": TICKETS}).rowcount
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
    return Claim(sold=sold, per_s=sold / seconds, purchases=sold)
