"""The record of a strategy, its retry policy and schema, and the transactions that strategies run in.

A strategy commits inside `transaction` or `commit_guard`, which distinguish a lost commit from a lost statement.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg
import sqlalchemy.exc
from psycopg.rows import TupleRow

from ticketlab.errors import UnavailableError, check_values
from ticketlab.outcomes import CONFLICTS, RETRY_CAUSES, Cause, cause_of
from ticketlab.tickets.database import NO_CONNECTION, Database
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult

Connection: TypeAlias = psycopg.Connection[TupleRow]
Purchase: TypeAlias = Callable[[Any, PurchaseRequest], PurchaseResult]
"""Makes one attempt at a purchase, through the strategy's `resource`: by default a Connection."""
BasketPurchase: TypeAlias = Callable[[Any, Basket], PurchaseResult]
Settle: TypeAlias = Callable[[Connection, Sequence[UUID]], None]
"""Reconciles the stock on the rows of these events; called inside a transaction."""
EventRow: TypeAlias = tuple[UUID, int, int | None, int | None]
"""Event id, total seats, seats left, version; None for what the tables do not record."""
TicketRow: TypeAlias = tuple[UUID, UUID] | tuple[UUID, UUID, UUID]
"""Event id, purchase id and, if the purchase function returns tickets to its buyers, ticket id. With ticket ids the
checks compare the returned tickets with the tables, and detect a ticket or seat that was sold twice."""

_MAX_DOUBLINGS: Final = 60


class Isolation(StrEnum):
    """PostgreSQL's isolation levels. READ UNCOMMITTED is the same as READ COMMITTED there."""

    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and for how long a purchase is retried after a conflict: exponential backoff with jitter.

    The pause is `backoff_initial_s`, doubled with each attempt up to `backoff_max_s`; the share `jitter` of it is
    random. By default all of it is ("full jitter":
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Raises:
        InvalidInputError: a value is invalid.
    """

    max_attempts: int = 1
    """The maximum number of attempts, including the first."""
    backoff_initial_s: float = 0.002
    backoff_max_s: float = 0.1
    jitter: float = 1.0
    deadline_s: float | None = None
    """No attempt starts later than this after the start of the first one."""
    causes: Sequence[Cause] = CONFLICTS
    """The causes that are retried; any of `RETRY_CAUSES`."""

    def __post_init__(self) -> None:
        errors = {
            "at least one attempt": self.max_attempts < 1,
            "pauses that are not negative": min(self.backoff_initial_s, self.backoff_max_s) < 0,
            "a jitter from 0 to 1": not 0 <= self.jitter <= 1,
            f"causes among {', '.join(RETRY_CAUSES)}": not set(self.causes) <= set(RETRY_CAUSES),
        }
        check_values("A retry policy needs", errors)

    def pause_s(self, attempt: int) -> float:
        """Return a random pause after the given attempt, counted from 1."""
        doublings = min(attempt - 1, _MAX_DOUBLINGS)
        longest: float = min(self.backoff_max_s, self.backoff_initial_s * 2**doublings)
        return longest * random.uniform(1 - self.jitter, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Tables of the user's own: how a trial creates and fills them, and how it reads them.

    Each trial has an empty database of its own, so there is nothing to clean up. An exception in a function ends the
    run, and is reported with the user's part of the traceback.
    """

    lay_out: Callable[[psycopg.Connection[TupleRow], Mapping[UUID, int]], None]
    """Creates the tables, and puts the given number of seats of each event on sale. Called in a transaction, which the
    lab commits. As integers (`id.int`) the event ids are 1, 2, 3 and so on, so that tables with integer keys can use
    them. The last event is for the warm-up."""
    events: Callable[[psycopg.Connection[TupleRow]], Iterable[EventRow]]
    """Returns every event. Called repeatedly during the trial and at its end, in one snapshot with `tickets`.

    If seats left and tickets do not change in one transaction, return None for the seats left."""
    tickets: Callable[[psycopg.Connection[TupleRow]], Iterable[TicketRow]]
    """Returns every sold ticket, one row each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to sell tickets concurrently. With `safe=False` it is a positive control for the checks."""

    name: str
    """The name on the command line, in histories and in reports."""
    summary: str
    """The mechanism, in one line."""
    cost: str
    """What it costs, in one line."""
    when: str
    """When to use it, in one line."""
    safe: bool
    """Whether it claims to be safe; a control does not."""
    isolation: Isolation
    """The isolation level of its transactions."""
    retry: RetryPolicy
    """Which failures are retried, and how often."""
    purchase: Purchase
    """Makes one attempt at a purchase."""
    basket: BasketPurchase | None
    """Makes one attempt at a basket; None if the strategy sells no baskets."""
    basket_only: bool
    """Whether it is run with baskets only, because its flaw does not show otherwise."""
    reconcile_stock: Settle | None
    """Reconciles the events' rows if stock is counted elsewhere while it is sold, else None."""
    resource: Callable[[Database], AbstractContextManager[Any]]
    """Opens what `purchase` and `basket` get as their first argument, for one attempt."""
    schema: Schema | None = None
    """The tables that it sells from; None for ticketlab's own."""
    derives_ticket_ids: bool = False
    """Whether ticket ids are derived from the purchase id, so that no id buys twice: see `execution`."""
    idempotent: bool = False
    """Whether it claims that a purchase id buys only once, however often it is called."""
    autocommit: bool = False
    """Whether a user's function gets its connection in autocommit mode."""
    unseen: str = ""
    """What the lab cannot observe of it, in a clause."""


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
    """Decorator: make a purchase function a strategy with the function's name. The arguments are `Strategy`'s fields.

    The strategy is idempotent if `idempotent` is true, or if it is safe and derives ticket ids from the purchase id.
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
    """Raised by a strategy that detected a conflict itself; the purchase may be retried."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class QueueFullError(UnavailableError):
    """The queue of an event is full; nothing was sent."""


class CommitUnknownError(Exception):
    """The connection broke during a commit: whether the transaction was committed is unknown."""


@contextmanager
def commit_guard() -> Iterator[None]:
    """Wrap the one statement that commits: a lost connection becomes CommitUnknownError."""
    try:
        yield
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        cause = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
        if cause_of(getattr(cause, "sqlstate", None)) is Cause.CONNECTION and not isinstance(cause, NO_CONNECTION):
            raise CommitUnknownError(str(cause).strip()) from error
        raise


@contextmanager
def transaction(connection: Connection, isolation: Isolation = Isolation.READ_COMMITTED) -> Iterator[None]:
    """Run the block in one transaction: commit at its end, roll back if it raises.

    A block that locked rows and wrote nothing should call `roll_back` before it returns, because a COMMIT after row
    locks waits for the disk. BEGIN names the isolation level, so that the server's default does not matter; this costs
    no extra round trip.
    """
    connection.execute(_BEGIN[isolation], prepare=False)
    try:
        yield
    except BaseException:
        roll_back(connection)
        raise
    with commit_guard():
        connection.commit()  # does nothing after `roll_back`


@contextmanager
def pipelined_transaction(connection: Connection) -> Iterator[None]:
    """Run the block in one READ COMMITTED transaction in pipeline mode: all statements and COMMIT are sent at once.

    A lost connection becomes CommitUnknownError, because the COMMIT may have arrived.
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
    """Roll the transaction back; does nothing on a lost connection.

    Not by `connection.rollback()`, after which psycopg deallocates every prepared statement.
    """
    # A lost connection may not be marked closed yet; the caller raises the error that it was lost with.
    with suppress(psycopg.OperationalError):
        if not connection.closed:
            connection.pgconn.exec_(b"ROLLBACK")


_BEGIN: Final = {level: f"BEGIN ISOLATION LEVEL {level}".encode() for level in Isolation}
