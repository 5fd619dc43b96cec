"""Functions that sell rightly, though at first sight some of them look like those that do not."""

import random
import time
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from uuid import UUID, uuid4

import psycopg
import sqlalchemy
from psycopg.errors import RaiseException, SerializationFailure
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from corpus.statements import (
    ADD,
    BOUGHT_BEFORE,
    LOCK,
    LOOK,
    TAKE,
    think,
)
from ticketlab import Cause, Outcome, PurchaseResult, Settings
from ticketlab.tickets import SoldTicket

TRIES = 200
LONGEST_PAUSE_S = 0.05


def pause(attempt):
    """A random pause before the next try, longer after each failure."""
    time.sleep(random.uniform(0, min(LONGEST_PAUSE_S, 0.002 * 2**attempt)))


def commits_itself(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: locks the row, sells and commits, on a connection that is not in autocommit mode."""
    (left,) = connection.execute(LOCK, [event_id]).fetchone()
    if left < quantity:
        connection.rollback()
        return False
    connection.execute(TAKE, [quantity, event_id])
    connection.execute(ADD, [event_id, purchase_id, quantity])
    connection.commit()
    return True


def leaves_the_commit_to_its_caller(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Right: locks the row and sells; whoever lends the connection commits when the function returns."""
    (left,) = connection.execute(LOCK, [event_id]).fetchone()
    if left < quantity:
        return False
    think()
    connection.execute(TAKE, [quantity, event_id])
    connection.execute(ADD, [event_id, purchase_id, quantity])
    return True


def sells_in_a_block(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: the block begins the transaction and commits it, whatever the connection's mode."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left < quantity:
            return False
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


TAKE_A_VERSION = """
UPDATE events SET available_tickets = available_tickets - %s, version = version + 1
WHERE id = %s AND available_tickets >= %s RETURNING available_tickets, version
"""
LOCK_A_VERSION = "SELECT available_tickets, version FROM events WHERE id = %s FOR UPDATE"


def sold(quantity, left=None, version=None):
    """The answer to a sale, with the stock and the version that it made."""
    return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity, available_tickets=left, version=version)


def refused(quantity, left=None, version=None):
    """The answer "sold out", with the stock and the version that were seen."""
    return PurchaseResult(
        outcome=Outcome.SOLD_OUT, quantity=quantity, cause=Cause.INSUFFICIENT, available_tickets=left, version=version
    )


def takes_the_stock_then_adds(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> PurchaseResult:
    """Right: the UPDATE takes the stock only where it suffices; a refusal tells the version that it locked."""
    while True:
        with connection.transaction():
            taken = connection.execute(TAKE_A_VERSION, [quantity, event_id, quantity]).fetchone()
            if taken is not None:
                connection.execute(ADD, [event_id, purchase_id, quantity])
                return sold(quantity, *taken)
            left, version = connection.execute(LOCK_A_VERSION, [event_id]).fetchone()
            if left < quantity:
                return refused(quantity, left, version)


IN_ONE_STATEMENT = """
WITH event AS (
    UPDATE events SET available_tickets = available_tickets - %(quantity)s
    WHERE id = %(event_id)s AND available_tickets >= %(quantity)s RETURNING id
)
INSERT INTO tickets (event_id, purchase_id)
SELECT id, %(purchase_id)s FROM event, generate_series(1, %(quantity)s)
"""


def sells_in_one_statement(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: one statement with a CTE is atomic without any BEGIN, in autocommit mode too."""
    wanted = {"event_id": event_id, "quantity": quantity, "purchase_id": purchase_id}
    return connection.execute(IN_ONE_STATEMENT, wanted).rowcount == quantity


def locks_the_table(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right, though slow: the whole table is locked, so the plain SELECT that follows cannot be outdated."""
    with connection.transaction():
        connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        (left,) = connection.execute(LOOK, [event_id]).fetchone()
        if left < quantity:
            return False
        connection.execute(TAKE, [quantity, event_id])
        connection.execute(ADD, [event_id, purchase_id, quantity])
        return True


def locks_a_key_of_the_event(connection: sqlalchemy.Connection, event_id: UUID, quantity: int, purchase_id: UUID):
    """Right: an advisory lock of the event lasts until the commit, and no purchase reads without it."""
    with connection.begin():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))", (event_id,))
        (left,) = connection.exec_driver_sql(LOOK, (event_id,)).one()
        if left < quantity:
            return False
        think()
        connection.exec_driver_sql(TAKE, (quantity, event_id))
        connection.exec_driver_sql(ADD, (event_id, purchase_id, quantity))
        return True


def retries_what_cannot_be_serialized(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Right: SERIALIZABLE refuses what would be a lost update, and the purchase is tried again."""
    for attempt in range(TRIES):
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                (left,) = connection.execute(LOOK, [event_id]).fetchone()
                if left < quantity:
                    return False
                connection.execute(TAKE, [quantity, event_id])
                connection.execute(ADD, [event_id, purchase_id, quantity])
                return True
        except SerializationFailure:
            if attempt == TRIES - 1:
                raise
            pause(attempt)
    raise AssertionError


READ_A_VERSION = "SELECT available_tickets, version FROM events WHERE id = %s"
WRITE_A_VERSION = "UPDATE events SET available_tickets = %s, version = version + 1 WHERE id = %s AND version = %s"


def compares_the_version(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> PurchaseResult:
    """Right: reads without a lock, writes only where the version is still the same, and reads again otherwise."""
    for attempt in range(TRIES):
        with connection.transaction():
            left, version = connection.execute(READ_A_VERSION, [event_id]).fetchone()
            if left < quantity:
                return refused(quantity, left, version)
            left -= quantity
            if connection.execute(WRITE_A_VERSION, [left, event_id, version]).rowcount == 1:
                connection.execute(ADD, [event_id, purchase_id, quantity])
                return sold(quantity, left, version + 1)
        pause(attempt)
    return PurchaseResult(outcome=Outcome.CONFLICT, quantity=quantity, cause=Cause.STALE_VERSION)


ADD_NUMBERED = """
INSERT INTO tickets (id, event_id, purchase_id)
SELECT md5(%(purchase_id)s::text || number)::uuid, %(event_id)s, %(purchase_id)s
FROM generate_series(1, %(quantity)s) AS number ON CONFLICT (id) DO NOTHING
"""


def inserts_on_conflict(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> PurchaseResult:
    """Right, and an id buys once: ticket ids follow from the purchase id, so a second call finds them taken."""
    wanted = {"event_id": event_id, "quantity": quantity, "purchase_id": purchase_id}
    while True:
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if left >= quantity and connection.execute(ADD_NUMBERED, wanted).rowcount == quantity:
            connection.execute(TAKE, [quantity, event_id])
            return sold(quantity)
        connection.rollback()
        if before := bought_before(connection, purchase_id):
            return before
        if left < quantity:
            return refused(quantity)


def bought_before(connection, purchase_id):
    """What the id has bought, as the answer to a repeated call; None where it owns nothing."""
    tickets = [SoldTicket(*row) for row in connection.execute(BOUGHT_BEFORE, [purchase_id])]
    connection.rollback()
    if not tickets:
        return None
    return PurchaseResult(outcome=Outcome.SOLD, quantity=len(tickets), tickets=tickets, cause=Cause.REPEATED)


def prepares_and_commits(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: a two-phase commit, whose locks last until the second phase."""
    connection.tpc_begin(connection.xid(1, str(purchase_id), "shop"))
    (left,) = connection.execute(LOCK, [event_id]).fetchone()
    if left < quantity:
        connection.tpc_rollback()
        return False
    connection.execute(TAKE, [quantity, event_id])
    connection.execute(ADD, [event_id, purchase_id, quantity])
    connection.tpc_prepare()
    connection.tpc_commit()
    return True


class Base(DeclarativeBase):
    """The tables as the shop's ORM maps them."""


class Event(Base):
    __tablename__ = "events"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    available_tickets: Mapped[int]


class Ticket(Base):
    __tablename__ = "tickets"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    event_id: Mapped[UUID]
    purchase_id: Mapped[UUID]


def locks_with_the_session(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: the ORM loads the event with FOR UPDATE, so what it writes back is not outdated."""
    event = session.get(Event, event_id, with_for_update=True)
    if event.available_tickets < quantity:
        session.rollback()
        return False
    event.available_tickets -= quantity
    session.add_all(Ticket(event_id=event_id, purchase_id=purchase_id) for _ in range(quantity))
    session.commit()
    return True


class Worker:
    """One thread that makes all purchases, one after another, on a connection of its own."""

    # What a lost connection's backend still does is over once the next connection has the lock.
    ALONE = "SELECT pg_advisory_lock(hashtextextended('worker', 0))"

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        self._connection = self._connect()
        self._orders = SimpleQueue()
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def buy(self, *wanted):
        """Wait for the thread's answer."""
        answer = Future()
        self._orders.put((answer, wanted))
        return answer.result()

    def close(self) -> None:
        self._orders.put(None)
        self._thread.join()
        self._connection.close()

    def _connect(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = psycopg.connect(self._url, options="-c lock_timeout=10s")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                connection.execute(self.ALONE)
                connection.commit()
                return connection

    def _serve(self):
        while order := self._orders.get():
            answer, wanted = order
            try:
                if self._connection.closed:
                    self._connection = self._connect()
                answer.set_result(self._sell(*wanted))
            except Exception as error:
                self._connection.close()
                answer.set_exception(error)

    def _sell(self, event_id, quantity, purchase_id):
        with self._connection.transaction():
            (left,) = self._connection.execute(LOOK, [event_id]).fetchone()
            if left < quantity:
                return False
            self._connection.execute(TAKE, [quantity, event_id])
            self._connection.execute(ADD, [event_id, purchase_id, quantity])
            return True


def waits_for_the_worker(worker: Worker, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right without any lock: a single thread makes all purchases."""
    return worker.buy(event_id, quantity, purchase_id)


def lets_a_trigger_take_the_seats(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Right: a trigger takes a seat for each row that is inserted, and raises where none is left."""
    try:
        with connection.transaction():
            connection.execute(
                "INSERT INTO sales SELECT %s, %s FROM generate_series(1, %s)", [event_id, purchase_id, quantity]
            )
    except RaiseException:
        return False
    return True


def calls_a_function_of_the_database(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Right: one call of a PL/pgSQL function, which is one statement of one transaction."""
    (enough,) = connection.execute("SELECT sell(%s, %s, %s)", [event_id, quantity, purchase_id]).fetchone()
    return enough


LOCK_FREE_SEATS = "SELECT id FROM seats WHERE show = %s AND purchase_id IS NULL ORDER BY id LIMIT %s FOR UPDATE"
FREE_SEATS = "SELECT count(*) FROM seats WHERE show = %s AND purchase_id IS NULL"
TAKE_SEATS = "UPDATE seats SET purchase_id = %s WHERE id = ANY(%s)"


def locks_the_first_free_seats(
    connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID
) -> bool:
    """Right without SKIP LOCKED: whoever waited for a seat that was then taken gets fewer rows, and looks again."""
    while True:
        seats = [seat for (seat,) in connection.execute(LOCK_FREE_SEATS, [event_id, quantity])]
        if len(seats) == quantity:
            connection.execute(TAKE_SEATS, [purchase_id, seats])
            return True
        connection.rollback()
        (free,) = connection.execute(FREE_SEATS, [event_id]).fetchone()
        connection.rollback()
        if free < quantity:
            return False
