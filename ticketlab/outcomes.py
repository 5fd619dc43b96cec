"""Kinds, outcomes and causes of operations, shared by buyers and checks. Depends on nothing else.

SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of an operation."""

    PURCHASE = "purchase"
    REFUND = "refund"
    """Returns the tickets of a purchase to the stock."""


class Outcome(StrEnum):
    """How a purchase or a refund ended, as far as its buyer can know."""

    SOLD = "sold"
    """The tickets are the buyer's."""
    SOLD_OUT = "sold_out"
    """Not enough tickets were left: an answer, not a failure."""
    CONFLICT = "conflict"
    """Gave up after its retries; nothing was sold."""
    UNAVAILABLE = "unavailable"
    """Got no connection; nothing was sent."""
    FAILED = "failed"
    """Rolled back."""
    UNKNOWN = "unknown"
    """The connection broke while a commit may have been in progress: the operation may have taken effect."""
    REFUNDED = "refunded"
    """Only for a refund: the purchase owns nothing any more."""


class Cause(StrEnum):
    """Why a purchase was not sold, or why it had to be retried."""

    NONE = "none"
    """No cause: the operation succeeded or has not ended."""
    INSUFFICIENT = "insufficient"
    """Fewer tickets were left than requested."""
    UNKNOWN_EVENT = "unknown_event"
    """There is no such event."""
    STALE_VERSION = "stale_version"
    """The event had another version than the one read before: a conditional update found no row."""
    CONCURRENT_UPDATE = "concurrent_update"
    """40001: a row was changed by another transaction since this one's snapshot."""
    SERIALIZATION = "serialization"
    """40001: no row was changed twice, but no serial order explains what was read and written."""
    DEADLOCK = "deadlock"
    """40P01: transactions waited for each other, and this one was aborted."""
    LOCK_TIMEOUT = "lock_timeout"
    """55P03: a lock was not available, at once or within the time limit."""
    CONSTRAINT = "constraint"
    """Class 23: a constraint of a table was violated."""
    POOL_TIMEOUT = "pool_timeout"
    """The pool had no free connection within the time limit."""
    QUEUE_FULL = "queue_full"
    """The queue of purchases to be sold in one batch was full."""
    CONNECTION = "connection"
    """The server could not be reached, or its connection broke."""
    TRANSACTION = "transaction"
    """Any other error of the database or the driver."""
    REPEATED = "repeated"
    """The purchase id had bought before. SOLD: it owns exactly the requested tickets. FAILED: it owns other tickets,
    and nothing was sold. REFUNDED: there was nothing to refund."""


KINDS: Final = tuple(Kind)
OUTCOMES: Final = tuple(Outcome)
CAUSES: Final = tuple(Cause)

MAX_INTEGER: Final = 2**31 - 1
"""The maximum number of tickets and the maximum version: PostgreSQL's largest `integer`."""

CONFLICTS: Final = (
    Cause.STALE_VERSION,
    Cause.CONCURRENT_UPDATE,
    Cause.SERIALIZATION,
    Cause.DEADLOCK,
    Cause.LOCK_TIMEOUT,
)
"""Conflicts with another transaction: a retry may succeed."""
RETRY_CAUSES: Final = (*CONFLICTS, Cause.POOL_TIMEOUT)
"""The causes that a retry policy may name."""

_SERIALIZABILITY: Final = "predicate.c"
"""PostgreSQL's source file that distinguishes the two causes of 40001: messages are translated, file names are not."""
_BY_PREFIX: Final = {
    "40001": Cause.CONCURRENT_UPDATE,
    "40P01": Cause.DEADLOCK,
    "55P03": Cause.LOCK_TIMEOUT,
    "53300": Cause.CONNECTION,  # too many connections
    "08": Cause.CONNECTION,  # connection exception
    "57P": Cause.CONNECTION,  # the server is starting, stopping, or ended this backend
    "23": Cause.CONSTRAINT,  # integrity constraint violation
}


def cause_of(sqlstate: str | None, *, raised_in: str | None = None) -> Cause:
    """The cause of a SQLSTATE; an operational error without one did not come from the server.

    `raised_in` is PostgreSQL's source file in the error, if there is one.
    """
    if sqlstate is None:
        return Cause.CONNECTION
    if sqlstate == "40001" and raised_in == _SERIALIZABILITY:
        return Cause.SERIALIZATION
    return next((cause for prefix, cause in _BY_PREFIX.items() if sqlstate.startswith(prefix)), Cause.TRANSACTION)


NOT_SEEN: Final = -(2**31)
"""The version or stock of an operation that saw none. Not -1, because the stock of an oversold event can be -1."""

RETRIES: Final = {cause: f"retries_{cause}" for cause in RETRY_CAUSES}
"""For each cause the column that counts the attempts that ended by it and were retried."""
