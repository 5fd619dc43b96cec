"""Objects of single strategies: free_seats (skip_locked), stock_shards (sharded), sell_tickets() (server_function).

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The whole purchase of the strategy server_function: see ticketlab/tickets/strategies/server_function.py. Returns one
# row per ticket with the event's new stock and version; for a refusal one row without a ticket; no row if there is no
# such event.
CREATE_SELL_TICKETS = """
CREATE FUNCTION sell_tickets(wanted_event uuid, wanted_quantity integer, wanted_purchase uuid)
RETURNS TABLE (
    ticket_id uuid, event_id uuid, purchase_id uuid, purchased_at timestamptz, available integer, current integer
)
LANGUAGE plpgsql AS $$
DECLARE
    stock integer;
    seen integer;
BEGIN
    SELECT events.available_tickets, events.version INTO stock, seen
    FROM events WHERE events.id = wanted_event FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    ELSIF stock < wanted_quantity THEN
        RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid, NULL::timestamptz, stock, seen;
        RETURN;
    END IF;
    UPDATE events
    SET available_tickets = events.available_tickets - wanted_quantity,
        version = events.version + 1,
        updated_at = clock_timestamp()
    WHERE events.id = wanted_event
    RETURNING events.available_tickets, events.version INTO stock, seen;
    RETURN QUERY
    INSERT INTO tickets AS sold (id, event_id, purchase_id)
    SELECT md5(wanted_purchase::text || number)::uuid, wanted_event, wanted_purchase
    FROM generate_series(1, (SELECT wanted_quantity)) AS number
    RETURNING sold.id, sold.event_id, sold.purchase_id, sold.purchased_at, stock, seen;
END
$$
"""


def upgrade() -> None:
    """Create them; the documented tables are not changed."""
    op.create_table(
        "free_seats",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="free_seats_pkey"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE", name="free_seats_event_id_fkey"),
    )
    op.create_index("free_seats_event_id_idx", "free_seats", ["event_id"])
    op.create_table(
        "stock_shards",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("available", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "shard", name="stock_shards_pkey"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE", name="stock_shards_event_id_fkey"),
        sa.CheckConstraint("available >= 0", name="CHK_stock_shards_available_non_negative"),
    )
    op.execute(CREATE_SELL_TICKETS)


def downgrade() -> None:
    """Add the stock in free_seats and stock_shards back to the events' rows, and drop all three objects."""
    op.execute("DROP FUNCTION sell_tickets(uuid, integer, uuid)")
    op.execute("""
        WITH beside AS (
            SELECT event_id, count(*) AS stock FROM free_seats GROUP BY event_id
            UNION ALL
            SELECT event_id, sum(available) FROM stock_shards GROUP BY event_id
        ), added AS (
            SELECT event_id, sum(stock) AS stock FROM beside GROUP BY event_id
        )
        UPDATE events SET available_tickets = available_tickets + stock, version = version + 1, updated_at = now()
        FROM added WHERE id = event_id AND stock > 0
    """)
    op.drop_table("stock_shards")
    op.drop_table("free_seats")
