"""Executes one purchase: attempts and retries, the outcome of each kind of failure, idempotence by purchase id.

`run_with_retries` serves refunds too: see `refund`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy.exc

from ticketlab.errors import InvalidInputError, UnavailableError
from ticketlab.outcomes import Cause, Outcome, cause_of
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult, SoldTicket, bought_before
from ticketlab.tickets.strategy import CommitUnknownError, ConflictError, QueueFullError, RetryPolicy, Strategy

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database

BOUGHT_BEFORE = "SELECT id, event_id, purchase_id, purchased_at FROM tickets WHERE purchase_id = %s ORDER BY id"


def purchase(database: Database, strategy: Strategy, request: PurchaseRequest | Basket) -> PurchaseResult:
    """Buy with `strategy`, and retry conflicts by its policy; database errors become outcomes.

    Raises:
        InvalidInputError: the request is a basket, and the strategy sells none.
    """
    if isinstance(request, Basket) and strategy.basket is None:
        raise InvalidInputError(f"The strategy {strategy.name} sells one event at a time, no baskets.")
    return run_with_retries(lambda: _attempt(database, strategy, request), strategy.retry, quantity=request.quantity)


def run_with_retries(attempt: Callable[[], PurchaseResult], policy: RetryPolicy, *, quantity: int) -> PurchaseResult:
    """Return the result of the first attempt that has one, or a failure after the last attempt.

    The connection goes back to the pool before each pause, so that a waiting buyer does not block others.

    Args:
        attempt: tries once. Any error but CommitUnknownError must mean that nothing was committed.
        policy: which failures are retried, how often, and for how long.
        quantity: the `quantity` of the result if it is a failure.
    """
    retries: list[Cause] = []
    began_s = time.monotonic()
    while True:
        if_given_up = Outcome.FAILED
        try:
            result = attempt()
        except ConflictError as error:
            cause, detail = error.cause, ""
        except UnavailableError as error:
            cause = Cause.QUEUE_FULL if isinstance(error, QueueFullError) else Cause.POOL_TIMEOUT
            detail = str(error)
            # UNAVAILABLE means that nothing was sent: no earlier attempt had a connection either.
            sent = any(retry is not Cause.POOL_TIMEOUT for retry in retries)
            if_given_up = Outcome.FAILED if sent else Outcome.UNAVAILABLE
        except CommitUnknownError as error:
            return _failure(quantity, Outcome.UNKNOWN, Cause.CONNECTION, retries, str(error))
        except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
            driver_error = _driver_error(error)
            cause, detail = _cause(driver_error), str(driver_error).strip()
        else:
            if not retries:
                return result
            # SOLD_OUT and REPEATED results keep their own cause.
            return replace(result, retries=retries, cause=retries[-1] if result.cause is Cause.NONE else result.cause)

        if cause not in policy.causes:
            return _failure(quantity, if_given_up, cause, retries, detail)
        pause_s = policy.pause_s(len(retries) + 1)
        in_time = policy.deadline_s is None or time.monotonic() + pause_s <= began_s + policy.deadline_s
        if len(retries) + 1 >= policy.max_attempts or not in_time:
            outcome = if_given_up if cause is Cause.POOL_TIMEOUT else Outcome.CONFLICT
            return _failure(quantity, outcome, cause, retries, detail)
        retries.append(cause)
        time.sleep(pause_s)


def _attempt(database: Database, strategy: Strategy, request: PurchaseRequest | Basket) -> PurchaseResult:
    """Make one attempt. For a purchase id that has already bought, return `purchase.bought_before`.

    Ticket ids are derived from the purchase id. So a second sale under one id violates the primary key of `tickets`,
    even if both run at once, whatever the event and the strategy.
    """
    try:
        with strategy.resource(database) as way:
            if isinstance(request, PurchaseRequest):
                result = strategy.purchase(way, request)
            else:
                assert strategy.basket is not None
                result = strategy.basket(way, request)
    except (psycopg.IntegrityError, sqlalchemy.exc.IntegrityError) as error:
        if not strategy.derives_ticket_ids or _driver_error(error).diag.constraint_name != "tickets_pkey":
            raise
        repeated = _bought_before(database, request)
        if repeated is None:
            raise ConflictError(Cause.CONCURRENT_UPDATE) from error  # the first sale was refunded meanwhile
        return repeated
    if result.success or not strategy.derives_ticket_ids:
        return result
    return _bought_before(database, request) or result


def _bought_before(database: Database, request: PurchaseRequest | Basket) -> PurchaseResult | None:
    with database.connection() as connection:
        rows = connection.execute(BOUGHT_BEFORE, [request.purchase_id]).fetchall()
    if not rows:
        return None
    return bought_before(request, [SoldTicket._make(row) for row in rows])


def _driver_error(error: psycopg.Error | sqlalchemy.exc.DBAPIError) -> psycopg.Error:
    """The psycopg error, unwrapped if SQLAlchemy wrapped it."""
    if isinstance(error, psycopg.Error):
        return error
    assert isinstance(error.orig, psycopg.Error)
    return error.orig


def _cause(error: psycopg.Error) -> Cause:
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        return Cause.TRANSACTION  # raised by psycopg itself: a value that it cannot send, a misused connection
    return cause_of(error.sqlstate, raised_in=error.diag.source_file)


def _failure(quantity: int, outcome: Outcome, cause: Cause, retries: list[Cause], detail: str) -> PurchaseResult:
    return PurchaseResult(outcome=outcome, quantity=quantity, cause=cause, retries=tuple(retries), detail=detail)
