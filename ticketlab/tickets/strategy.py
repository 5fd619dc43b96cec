"""What a strategy is: a function with a name, a claim and a retry policy, and the transaction it runs in.

A strategy's statements go through the connection that it is given, and its COMMIT through `transaction` or
`committing`: one place where a statement can later be held, or a broken commit be told from a broken statement.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import psycopg
from psycopg.rows import TupleRow

from ticketlab.outcomes import Cause, cause_of
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult

Connection: TypeAlias = psycopg.Connection[TupleRow]
Purchase: TypeAlias = Callable[[Connection, PurchaseRequest], PurchaseResult]

_MOST_DOUBLINGS: Final = 60


class Isolation(StrEnum):
    """PostgreSQL's isolation levels. READ UNCOMMITTED is the same as READ COMMITTED there."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a purchase that met a conflict is tried, and how long it waits in between.

    The wait is drawn from 0 to `first_pause_s`, doubled with each attempt up to `longest_pause_s` ("full jitter":
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    tries: int = 1
    first_pause_s: float = 0.002
    longest_pause_s: float = 0.1

    def pause_s(self, attempt: int) -> float:
        """How long to wait after the given attempt, counted from 1."""
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        return random.uniform(0, min(self.longest_pause_s, self.first_pause_s * 2**doublings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way to keep purchases safe; with `safe=False` a control, kept to prove that the checks can see."""

    name: str
    summary: str
    safe: bool
    isolation: Isolation
    retry: RetryPolicy
    purchase: Purchase


def strategy(
    *,
    summary: str,
    safe: bool,
    isolation: Isolation = Isolation.READ_COMMITTED,
    retry: RetryPolicy | None = None,
) -> Callable[[Purchase], Strategy]:
    """Make a purchase function a strategy of the function's name."""

    def record(purchase: Purchase) -> Strategy:
        return Strategy(
            name=getattr(purchase, "__name__", repr(purchase)),
            summary=summary,
            safe=safe,
            isolation=isolation,
            retry=retry or RetryPolicy(),
            purchase=purchase,
        )

    return record


class ConflictError(Exception):
    """A strategy saw for itself that another transaction came first; it may be tried again."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class CommitUnknownError(Exception):
    """The connection broke while a commit was under way: nobody can know from here whether it happened."""


@contextmanager
def committing() -> Iterator[None]:
    """Around the one statement that commits: a lost connection in here leaves the outcome unknown."""
    try:
        yield
    except psycopg.OperationalError as error:
        if cause_of(error.sqlstate) is Cause.CONNECTION:
            raise CommitUnknownError(str(error).strip()) from error
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
    with committing():
        connection.commit()  # which does nothing after `roll_back`


def roll_back(connection: Connection) -> None:
    """End the transaction and keep nothing of it; a connection that is lost has nothing left to roll back.

    Not `connection.rollback()`: psycopg then deallocates every prepared statement, and the next purchases would pay.
    """
    connection.pgconn.exec_(b"ROLLBACK")


_BEGIN: Final = {level: f"BEGIN ISOLATION LEVEL {level}".encode() for level in Isolation}
