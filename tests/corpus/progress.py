"""Functions that sell rightly, but often not at all: their transactions stop each other."""

import random
from uuid import UUID

import psycopg
from psycopg.errors import DeadlockDetected

from corpus.lost_answers import sell
from corpus.statements import ADD, LOOK, TAKE, think


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


def swallows_deadlocks(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Wrong: locks the events in any order, and hides that it tries again after each deadlock."""
    events = [event for (event,) in connection.execute("SELECT id FROM events")]
    connection.rollback()
    while True:
        random.shuffle(events)
        try:
            with connection.transaction():
                for event in events:
                    connection.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [event])
                return sell(connection, event_id, quantity, purchase_id)
        except DeadlockDetected:
            continue
