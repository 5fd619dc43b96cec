"""Functions that sell rightly, and leave something on their connection or in the server for the next one."""

from uuid import UUID

import psycopg

from corpus.lost_answers import sell
from corpus.right import IN_ONE_STATEMENT
from corpus.statements import ADD, LOCK, TAKE
from ticketlab import Settings


def leaves_a_transaction_open(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: in autocommit mode it begins a transaction, and does not end it where it refuses."""
    connection.execute("BEGIN")
    (left,) = connection.execute(LOCK, [event_id]).fetchone()
    if left < quantity:
        return False
    connection.execute(TAKE, [quantity, event_id])
    connection.execute(ADD, [event_id, purchase_id, quantity])
    connection.execute("COMMIT")
    return True


def keeps_an_advisory_lock(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: takes a shared lock of the session, so that no migration runs meanwhile, and never gives it up."""
    connection.execute("SELECT pg_advisory_lock_shared(hashtextextended('migration', 0))")
    connection.commit()
    return sell(connection, event_id, quantity, purchase_id)


def changes_a_setting(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: SET without LOCAL lasts as long as the connection, and the next one to get it has this timeout too."""
    connection.execute("SET statement_timeout = '30s'")
    connection.commit()
    return sell(connection, event_id, quantity, purchase_id)


def closes_its_connection(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: closes a connection that was lent to it, so that the pool has to open another one."""
    sold = sell(connection, event_id, quantity, purchase_id)
    connection.close()
    return sold


def leaves_a_prepared_transaction(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong: prepares a transaction for what is booked beside the sale, and forgets it where nothing was sold."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_current_xact_id()")  # its part of the two-phase commit locks no row
    connection.execute(f"PREPARE TRANSACTION '{purchase_id}'")
    wanted = {"event_id": event_id, "quantity": quantity, "purchase_id": purchase_id}
    if connection.execute(IN_ONE_STATEMENT, wanted).rowcount != quantity:
        return False
    connection.execute(f"COMMIT PREPARED '{purchase_id}'")
    return True


OPENED = []
"""What the function below has opened, for whoever ends the process."""


def never_closes_its_connections(settings: Settings, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: opens a connection for each purchase, and closes none of them."""
    connection = psycopg.connect(settings.url)
    OPENED.append(connection)
    return sell(connection, event_id, quantity, purchase_id)
