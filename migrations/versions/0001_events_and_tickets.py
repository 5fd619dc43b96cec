"""The documented schema: events and tickets.

Revision: 0001, the first
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The documented default of every id. If the server does not offer uuid-ossp, a function of the same name replaces it.
# A comment marks what is created here, so that downgrade drops nothing that existed before.
CREATE_UUID_GENERATE_V4 = """
DO $$
BEGIN
    IF to_regproc('uuid_generate_v4') IS NOT NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp') THEN
        BEGIN
            CREATE EXTENSION "uuid-ossp";
            COMMENT ON EXTENSION "uuid-ossp" IS 'created by ticketlab migration 0001';
            RETURN;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- the function serves as well
        END;
    END IF;
    CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
        RETURN gen_random_uuid();
    COMMENT ON FUNCTION uuid_generate_v4() IS 'created by ticketlab migration 0001';
END
$$
"""

DROP_UUID_GENERATE_V4 = """
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_extension
        WHERE extname = 'uuid-ossp'
          AND obj_description(oid, 'pg_extension') = 'created by ticketlab migration 0001'
    ) THEN
        DROP EXTENSION "uuid-ossp";
    ELSIF obj_description(to_regproc('uuid_generate_v4'), 'pg_proc') = 'created by ticketlab migration 0001' THEN
        DROP FUNCTION uuid_generate_v4();
    END IF;
END
$$
"""

UUID_DEFAULT = sa.text("uuid_generate_v4()")


def upgrade() -> None:
    """Create both tables with constraints and indexes."""
    op.execute(CREATE_UUID_GENERATE_V4)
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), server_default=UUID_DEFAULT, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total_tickets", sa.Integer(), nullable=False),
        sa.Column("available_tickets", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="events_pkey"),
        sa.CheckConstraint("available_tickets >= 0", name="CHK_available_tickets_non_negative"),
        sa.CheckConstraint("total_tickets >= 0", name="CHK_total_tickets_non_negative"),
        sa.CheckConstraint("available_tickets <= total_tickets", name="CHK_available_tickets_within_total"),
    )
    op.create_index("events_date_idx", "events", ["date"])
    op.create_table(
        "tickets",
        sa.Column("id", sa.Uuid(), server_default=UUID_DEFAULT, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("purchased_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="tickets_pkey"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], ondelete="CASCADE", name="tickets_event_id_fkey"),
    )
    op.create_index("tickets_event_id_idx", "tickets", ["event_id"])
    op.create_index("tickets_purchase_id_idx", "tickets", ["purchase_id"])
    op.create_index("tickets_purchased_at_idx", "tickets", ["purchased_at"])


def downgrade() -> None:
    """Drop both tables, including sold tickets."""
    op.drop_table("tickets")
    op.drop_table("events")
    op.execute(DROP_UUID_GENERATE_V4)
