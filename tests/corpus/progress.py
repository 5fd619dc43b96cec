"""Functions that sell rightly, but often not at all: their transactions stop each other."""

import random
from uuid import UUID

import psycopg
from psycopg.errors import DeadlockDetected

from corpus.lost_answers import sell
from corpus.statements import ADD, LOCK, LOOK, TAKE, think


def does_not_retry(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right, but no progress: SERIALIZABLE refuses most purchases of one event, and none is tried again."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        (left,) = connection.execute(LOOK, [event_id]).fetchone()
        if left < quantity:
            return False
        think()
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


OTHER_EVENTS = "SELECT id FROM events WHERE id <> %s"


def swallows_deadlocks(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: locks its event and the one it recommends in either order, and hides each deadlock behind a retry."""
    others = [event for (event,) in connection.execute(OTHER_EVENTS, [event_id])]
    connection.rollback()
    locked = [event_id, random.choice(others)]
    while True:
        random.shuffle(locked)
        try:
            with connection.transaction():
                for event in locked:
                    connection.execute(LOCK, [event])
                return sell(connection, event_id, quantity, purchase_id)
        except DeadlockDetected:
            continue
