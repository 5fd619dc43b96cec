"""One purchase from request to result: the tries, what each kind of failure means, and that an id buys once.

Refunds are tried and told by the same rules: see `persist` and `refund`.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import psycopg
import sqlalchemy.exc

from ticketlab.errors import InvalidInputError, UnavailableError
from ticketlab.outcomes import Cause, Outcome, cause_of
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult, SoldTicket, bought_before
from ticketlab.tickets.strategy import CommitUnknownError, ConflictError, QueueFullError, RetryPolicy, Strategy

BOUGHT_BEFORE = "SELECT id, event_id, purchase_id, purchased_at FROM tickets WHERE purchase_id = %s ORDER BY id"


def purchase(database: Database, strategy: Strategy, request: PurchaseRequest | Basket) -> PurchaseResult:
    """Buy with `strategy`, trying again after conflicts as its policy says; no database error escapes.

    Raises:
        InvalidInputError: a basket was asked for, and the strategy sells none.
    """
    if isinstance(request, Basket) and strategy.basket is None:
        raise InvalidInputError(f"The strategy {strategy.name} sells one event at a time, no baskets.")
    return run_with_retries(lambda: _attempt(database, strategy, request), strategy.retry, quantity=request.quantity)


def run_with_retries(attempt: Callable[[], PurchaseResult], policy: RetryPolicy, *, quantity: int) -> PurchaseResult:
    """The result of the first attempt that has one; failures of the database are outcomes of `quantity` tickets.

    The connection goes back to the pool before each pause, so that a buyer who waits keeps nobody from buying.

    Args:
        attempt: tries once; whatever it fails with but a lost commit left nothing behind.
        policy: which failures are worth another attempt, how many, and for how long.
        quantity: the tickets that a result which is a failure speaks of.
    """
    retries: list[Cause] = []
    began_s = time.monotonic()
    while True:
        unanswered = Outcome.FAILED
        try:
            result = attempt()
        except ConflictError as error:
            cause, detail = error.cause, ""
        except UnavailableError as error:
            cause = Cause.QUEUE_FULL if isinstance(error, QueueFullError) else Cause.POOL_TIMEOUT
            detail = str(error)
            # After an attempt that had a connection, and was rolled back, something had been sent.
            sent = any(each is not Cause.POOL_TIMEOUT for each in retries)
            unanswered = Outcome.FAILED if sent else Outcome.UNAVAILABLE
        except CommitUnknownError as error:
            return _failure(quantity, Outcome.UNKNOWN, Cause.CONNECTION, retries, str(error))
        except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
            said = _driver_error(error)
            cause, detail = _cause(said), str(said).strip()
        else:
            return _with_retries(result, retries) if retries else result

        if cause not in policy.causes:
            return _failure(quantity, unanswered, cause, retries, detail)
        pause_s = policy.pause_s(len(retries) + 1)
        in_time = policy.deadline_s is None or time.monotonic() + pause_s <= began_s + policy.deadline_s
        if len(retries) + 1 >= policy.max_attempts or not in_time:
            outcome = unanswered if cause is Cause.POOL_TIMEOUT else Outcome.CONFLICT
            return _failure(quantity, outcome, cause, retries, detail)
        retries.append(cause)
        time.sleep(pause_s)


def _attempt(database: Database, strategy: Strategy, request: PurchaseRequest | Basket) -> PurchaseResult:
    """Try once. An id that has bought before buys nothing more: see `purchase.bought_before` for the result.

    A ticket's id is made from its purchase's, so that a second sale under one id collides with the first one on the
    primary key of `tickets`, even when both are under way at once, on whatever event and by whatever strategy.
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
        before = _bought_before(database, request)
        if before is None:
            raise ConflictError(Cause.CONCURRENT_UPDATE) from error  # it was taken back meanwhile
        return before
    if result.success or not strategy.derives_ticket_ids:
        return result
    return _bought_before(database, request) or result


def _bought_before(database: Database, request: PurchaseRequest | Basket) -> PurchaseResult | None:
    with database.connection() as connection:
        rows = connection.execute(BOUGHT_BEFORE, [request.purchase_id]).fetchall()
    if not rows:
        return None
    return bought_before(request, [SoldTicket._make(row) for row in rows])


def _with_retries(result: PurchaseResult, retries: list[Cause]) -> PurchaseResult:
    """The result, with what it had to wait for; a refusal, and a sale of before, keep their own cause."""
    cause = retries[-1] if result.cause is Cause.NONE else result.cause
    return replace(result, retries=retries, cause=cause)


def _driver_error(error: psycopg.Error | sqlalchemy.exc.DBAPIError) -> psycopg.Error:
    """The database's own error, which SQLAlchemy wraps."""
    if isinstance(error, psycopg.Error):
        return error
    assert isinstance(error.orig, psycopg.Error)
    return error.orig


def _cause(error: psycopg.Error) -> Cause:
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        return Cause.TRANSACTION  # raised by psycopg itself: a value that can not be sent, a misused connection
    return cause_of(error.sqlstate, raised_in=error.diag.source_file)


def _failure(quantity: int, outcome: Outcome, cause: Cause, retries: list[Cause], detail: str) -> PurchaseResult:
    return PurchaseResult(outcome=outcome, quantity=quantity, cause=cause, retries=tuple(retries), detail=detail)
