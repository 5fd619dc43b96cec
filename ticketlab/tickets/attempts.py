"""One purchase from request to result: the connection, the tries, and what each kind of failure means."""

import time
from dataclasses import replace

import psycopg

from ticketlab.errors import UnavailableError
from ticketlab.outcomes import CONFLICTS, Cause, Outcome, cause_of
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import CommitUnknownError, ConflictError, Strategy


def purchase(database: Database, strategy: Strategy, request: PurchaseRequest) -> PurchaseResult:
    """Buy with `strategy`, trying again after conflicts as its policy says; no database error escapes.

    The connection goes back to the pool before each pause, so that a buyer who waits keeps nobody from buying.
    """
    attempt, last_conflict = 1, Cause.NONE
    while True:
        try:
            with database.connection() as connection:
                result = strategy.purchase(connection, request)
        except ConflictError as error:
            cause, detail = error.cause, ""
        except UnavailableError as error:
            # After a first attempt, which was rolled back, something had been sent.
            outcome = Outcome.UNAVAILABLE if attempt == 1 else Outcome.FAILED
            return _failure(request, outcome, Cause.POOL_TIMEOUT, attempt, str(error))
        except CommitUnknownError as error:
            return _failure(request, Outcome.UNKNOWN, Cause.CONNECTION, attempt, str(error))
        except psycopg.Error as error:
            cause, detail = _cause(error), str(error).strip()
        else:
            if attempt == 1:
                return result
            # What a sale had to wait for is told beside it; a refusal keeps its own cause.
            cause = last_conflict if result.success else result.cause
            return replace(result, attempts=attempt, cause=cause)

        if cause not in CONFLICTS:
            return _failure(request, Outcome.FAILED, cause, attempt, detail)
        if attempt >= strategy.retry.tries:
            return _failure(request, Outcome.CONFLICT, cause, attempt, detail)
        time.sleep(strategy.retry.pause_s(attempt))
        attempt, last_conflict = attempt + 1, cause


def _cause(error: psycopg.Error) -> Cause:
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        return Cause.TRANSACTION  # raised by psycopg itself: a value that can not be sent, a misused connection
    return cause_of(error.sqlstate)


def _failure(request: PurchaseRequest, outcome: Outcome, cause: Cause, attempts: int, detail: str) -> PurchaseResult:
    return PurchaseResult(outcome=outcome, quantity=request.quantity, cause=cause, attempts=attempts, detail=detail)
