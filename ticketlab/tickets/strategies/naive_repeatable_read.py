"""Control: count the tickets in a snapshot, check, insert. Two buyers both sell the last seat: write skew.

It does not write the stock back in the same transaction: PostgreSQL refuses to update a row that changed since the
snapshot, and that refusal is what the strategy `repeatable_read` relies on.
"""

from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, sold, sold_out, unknown_event
from ticketlab.tickets.strategy import Connection, Isolation, RetryPolicy, strategy, transaction

COUNT = """
SELECT total_tickets - (SELECT count(*) FROM tickets WHERE event_id = events.id), version
FROM events WHERE id = %s
"""

INSERT = """
INSERT INTO tickets (id, event_id, purchase_id)
SELECT md5(%(purchase_id)s::text || number)::uuid, %(event_id)s, %(purchase_id)s
FROM generate_series(1, (SELECT %(quantity)s::integer)) AS number
RETURNING id, event_id, purchase_id, purchased_at, %(left)s::integer, %(version)s::integer
"""

# The row's stock is reduced afterwards, in a transaction of its own, as far as its CHECK constraint allows.
BRING_UP = """
UPDATE events
SET available_tickets = greatest(0, available_tickets - %(quantity)s),
    version = version + 1,
    updated_at = clock_timestamp()
WHERE id = %(event_id)s
"""


@strategy(
    safe=False,
    derives_ticket_ids=True,
    summary="control: count the tickets in a snapshot, check, insert; write skew",
    cost="oversells as soon as two buyers meet",
    when="never: it shows that REPEATABLE READ allows write skew",
    isolation=Isolation.REPEATABLE_READ,
    retry=RetryPolicy(max_attempts=20),
)
def naive_repeatable_read(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Sell by the count in the snapshot."""
    with transaction(connection, Isolation.REPEATABLE_READ):
        event = connection.execute(COUNT, [request.event_id]).fetchone()
        if event is None:
            return unknown_event(request)
        left, version = event
        if left < request.quantity:
            return sold_out(request, version=version, left=left)
        seen = {"left": left - request.quantity, "version": version}
        rows = connection.execute(INSERT, request.parameters | seen).fetchall()
    connection.execute(BRING_UP, request.parameters)
    return sold(request, rows)
