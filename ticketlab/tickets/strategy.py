"""What a strategy is: a function with a name, a claim and a retry policy, and the transaction it runs in.

A strategy's statements go through the connection that it is given, and its COMMIT through `transaction` or
`committing`: one place where a statement can later be held, or a broken commit be told from a broken statement.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg
import sqlalchemy.exc
from psycopg.rows import TupleRow

from ticketlab.errors import InvalidInputError, UnavailableError
from ticketlab.outcomes import CONFLICTS, RETRY_CAUSES, Cause, cause_of
from ticketlab.tickets.database import NO_CONNECTION, Database
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.schema import Schema

Connection: TypeAlias = psycopg.Connection[TupleRow]
Purchase: TypeAlias = Callable[[Any, PurchaseRequest], PurchaseResult]
"""Makes one attempt with what the strategy works through: a Connection, unless it says otherwise."""
BasketPurchase: TypeAlias = Callable[[Any, Basket], PurchaseResult]
Settle: TypeAlias = Callable[[Connection, Sequence[UUID]], None]
"""Brings the rows of these events up to what was sold; inside a transaction of its own."""

_MOST_DOUBLINGS: Final = 60


class Isolation(StrEnum):
    """PostgreSQL's isolation levels. READ UNCOMMITTED is the same as READ COMMITTED there."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a purchase that met a conflict is tried, for how long, and how long it waits in between.

    The pause is `first_pause_s`, doubled with each attempt up to `longest_pause_s`; a share of `jitter` of it is
    drawn at random. All of it by default ("full jitter":
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Raises:
        InvalidInputError: a value can not be used.
    """

    max_attempts: int = 1
    """Attempts at most, the first among them."""
    backoff_initial_s: float = 0.002
    backoff_max_s: float = 0.1
    jitter: float = 1.0
    deadline_s: float | None = None
    """No attempt begins later than this after the first one began."""
    causes: Sequence[Cause] = CONFLICTS
    """What is worth another try; any of `RETRY_CAUSES`."""

    def __post_init__(self) -> None:
        faults = {
            "at least one attempt": self.max_attempts < 1,
            "pauses that are not negative": min(self.backoff_initial_s, self.backoff_max_s) < 0,
            "a jitter from 0 to 1": not 0 <= self.jitter <= 1,
            f"causes among {', '.join(RETRY_CAUSES)}": not set(self.causes) <= set(RETRY_CAUSES),
        }
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"A retry policy needs {'; '.join(wrong)}.")

    def pause_s(self, attempt: int) -> float:
        """How long to wait after the given attempt, counted from 1."""
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        longest: float = min(self.backoff_max_s, self.backoff_initial_s * 2**doublings)
        return longest * random.uniform(1 - self.jitter, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way to keep purchases safe; with `safe=False` a control, kept to prove that the checks can see."""

    name: str
    """What it is called everywhere: on the command line, in histories, in reports."""
    summary: str
    """The mechanism, in a line."""
    cost: str
    """What it costs, in a line."""
    when: str
    """When to take it, in a line."""
    safe: bool
    """Whether it claims to be; a control does not."""
    isolation: Isolation
    """The level of its transactions."""
    retry: RetryPolicy
    """What it tries again, and how often."""
    purchase: Purchase
    """Makes one attempt at one purchase."""
    basket: BasketPurchase | None
    """Sells several events at once; None where the strategy can not."""
    basket_only: bool
    """Whether whatever is said of it, its flaw above all, shows in baskets only."""
    reconcile_stock: Settle | None
    """Where stock is counted elsewhere while it is sold, brings the events' rows up to date; None where it never is."""
    resource: Callable[[Database], AbstractContextManager[Any]]
    """Opens what `purchase` and `basket` work through, for one attempt."""
    schema: Schema | None = None
    """The tables that it sells from; None where those are ticketlab's."""
    derives_ticket_ids: bool = False
    """Whether it makes a ticket's id from its purchase's, so that no id buys twice: see `attempts`."""
    idempotent: bool = False
    """Whether it claims that a purchase id buys once, however often it is called."""
    autocommit: bool = False
    """Whether a user's function gets its connection in autocommit mode."""
    unseen: str = ""
    """What the lab can not see of it."""


def strategy(
    *,
    summary: str,
    safe: bool,
    cost: str = "",
    when: str = "",
    isolation: Isolation = Isolation.READ_COMMITTED,
    retry: RetryPolicy | None = None,
    basket: BasketPurchase | None = None,
    basket_only: bool = False,
    reconcile_stock: Settle | None = None,
    resource: Callable[[Database], AbstractContextManager[Any]] = Database.connection,
    schema: Schema | None = None,
    derives_ticket_ids: bool = False,
    idempotent: bool = False,
    autocommit: bool = False,
    unseen: str = "",
) -> Callable[[Purchase], Strategy]:
    """Make a purchase function a strategy of the function's name.

    It claims to be idempotent if `idempotent` says so, or if it is safe and makes a ticket's id from its purchase's.
    """

    def record(purchase: Purchase) -> Strategy:
        return Strategy(
            name=getattr(purchase, "__name__", repr(purchase)),
            summary=summary,
            cost=cost,
            when=when,
            safe=safe,
            isolation=isolation,
            retry=retry or RetryPolicy(),
            purchase=purchase,
            basket=basket,
            basket_only=basket_only,
            reconcile_stock=reconcile_stock,
            resource=resource,
            schema=schema,
            derives_ticket_ids=derives_ticket_ids,
            idempotent=idempotent or (safe and derives_ticket_ids),
            autocommit=autocommit,
            unseen=unseen,
        )

    return record


class ConflictError(Exception):
    """A strategy saw for itself that another transaction came first; it may be tried again."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class QueueFullError(UnavailableError):
    """So many purchases wait already that one more would only wait in vain; nothing was sent."""


class CommitUnknownError(Exception):
    """The connection broke while a commit was under way: nobody can know from here whether it happened."""


@contextmanager
def commit_guard() -> Iterator[None]:
    """Around the one statement that commits: a lost connection in here leaves the outcome unknown."""
    try:
        yield
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        said = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
        if cause_of(getattr(said, "sqlstate", None)) is Cause.CONNECTION and not isinstance(said, NO_CONNECTION):
            raise CommitUnknownError(str(said).strip()) from error
        raise


@contextmanager
def transaction(connection: Connection, isolation: Isolation = Isolation.READ_COMMITTED) -> Iterator[None]:
    """One transaction: committed at the end of the block, rolled back when the block raises.

    A block that locked rows and wrote nothing calls `roll_back` before it returns: a COMMIT after row locks would
    wait for the disk. BEGIN names the isolation level, so that a server's own default never changes what is measured;
    it costs no more round trips than a bare BEGIN.
    """
    connection.execute(_BEGIN[isolation], prepare=False)
    try:
        yield
    except BaseException:
        roll_back(connection)
        raise
    with commit_guard():
        connection.commit()  # which does nothing after `roll_back`


@contextmanager
def pipelined_transaction(connection: Connection) -> Iterator[None]:
    """One READ COMMITTED transaction whose statements, COMMIT and all, are sent before the first answer is awaited.

    A connection that is lost in here leaves the outcome unknown: the COMMIT was on its way.
    """
    try:
        with commit_guard(), connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED", prepare=False)
            yield
            connection.execute("COMMIT", prepare=False)
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """End the transaction and keep nothing of it; a connection that is lost has nothing left to roll back.

    Not `connection.rollback()`: psycopg then deallocates every prepared statement, and the next purchases would pay.
    """
    # It may be lost without being known to be closed; what it was lost in is told by the error that led here.
    with suppress(psycopg.OperationalError):
        if not connection.closed:
            connection.pgconn.exec_(b"ROLLBACK")


_BEGIN: Final = {level: f"BEGIN ISOLATION LEVEL {level}".encode() for level in Isolation}
