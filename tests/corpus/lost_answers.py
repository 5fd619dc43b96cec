"""Functions that say the wrong thing, or do it again, when the connection breaks or the server dies."""

from uuid import UUID

import psycopg

from corpus.statements import ADD, LOCK, TAKE
from ticketlab import Cause, Outcome, PurchaseResult, Settings


def sell(connection, event_id, quantity, purchase_id):
    """Sell under the lock of the row; whether there was enough."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left >= quantity:
            connection.execute(TAKE, [quantity, event_id])
            connection.execute(ADD, [event_id, purchase_id, quantity])
        return left >= quantity


def calls_a_lost_commit_failed(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> PurchaseResult:
    """Wrong: where the answer to the COMMIT is lost it says that the purchase failed, though it may be committed."""
    try:
        sold = sell(connection, event_id, quantity, purchase_id)
    except psycopg.OperationalError as error:
        return PurchaseResult(
            outcome=Outcome.FAILED, quantity=quantity, cause=Cause.CONNECTION, detail=str(error).strip()
        )
    return PurchaseResult(outcome=Outcome.SOLD if sold else Outcome.SOLD_OUT, quantity=quantity)


def calls_a_lost_purchase_sold(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong: where the connection breaks it takes the purchase for sold, though it may be rolled back."""
    try:
        return sell(connection, event_id, quantity, purchase_id)
    except psycopg.OperationalError:
        return True


def sells_again_after_a_lost_commit(settings: Settings, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: where the answer to the COMMIT is lost it sells once more, though the first sale may be committed."""
    try:
        with psycopg.connect(settings.url) as connection:
            return sell(connection, event_id, quantity, purchase_id)
    except psycopg.OperationalError:
        with psycopg.connect(settings.url) as connection:
            return sell(connection, event_id, quantity, purchase_id)


def does_not_wait_for_the_disk(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Wrong: for the sake of speed its COMMIT does not wait for the disk, so a crash loses what was called sold."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        return sell(connection, event_id, quantity, purchase_id)
