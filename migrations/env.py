"""Alembic's entry point: runs the migrations on the connection it is given, or on the database in `DB_*`."""

from alembic import context
from sqlalchemy import Connection

from ticketlab.settings import Settings
from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Base


def migrate(connection: Connection) -> None:
    """Run the requested Alembic command in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
elif context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with Database(Settings.load()) as database, database.engine.begin() as connection:
        migrate(connection)
