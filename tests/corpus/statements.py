"""The statements that most functions of the corpus share, on the documented tables, and a pause."""

import time

LOOK = "SELECT available_tickets FROM events WHERE id = %s"
LOCK = "SELECT available_tickets FROM events WHERE id = %s FOR UPDATE"
TAKE = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s"
TAKE_WHAT_IS_LEFT = "UPDATE events SET available_tickets = greatest(available_tickets - %s, 0) WHERE id = %s"
TAKE_IF_ENOUGH = TAKE + " AND available_tickets >= %s"
WRITE = "UPDATE events SET available_tickets = %s WHERE id = %s"
ADD = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"
SOLD_SO_FAR = "SELECT count(*) FROM tickets WHERE event_id = %s"
BOUGHT_BEFORE = "SELECT id, event_id, purchase_id, purchased_at FROM tickets WHERE purchase_id = %s ORDER BY id"


def think(seconds=0.002):
    """Pause, as an application that thinks, asks a payment service or renders a page."""
    time.sleep(seconds)
