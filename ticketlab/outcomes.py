"""The words that buyers and checks share: how a purchase ended, and why, and how far is counted. Knows nothing else.

SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a buyer did."""

    PURCHASE = "purchase"
    REFUND = "refund"
    """Gave a purchase back: its tickets return to the stock."""


class Outcome(StrEnum):
    """How a purchase or a refund ended, as its buyer can know it."""

    SOLD = "sold"
    """The tickets are the buyer's."""
    SOLD_OUT = "sold_out"
    """Not enough tickets were left: an answer, not a failure."""
    CONFLICT = "conflict"
    """Gave up after its retries; surely nothing was sold."""
    UNAVAILABLE = "unavailable"
    """No connection could be had; nothing was sent."""
    FAILED = "failed"
    """Surely rolled back."""
    UNKNOWN = "unknown"
    """The connection broke while a commit may have been under way: it may have happened."""
    REFUNDED = "refunded"
    """Of a refund only: the purchase owns nothing any more."""


class Cause(StrEnum):
    """Why a purchase was not a sale, or why it had to be tried again."""

    NONE = "none"
    """Nothing stood in the way."""
    INSUFFICIENT = "insufficient"
    """Fewer tickets were left than were wanted."""
    UNKNOWN_EVENT = "unknown_event"
    """There is no such event."""
    STALE_VERSION = "stale_version"
    """The event had another version than the one that was read before: a guarded update found no row."""
    CONCURRENT_UPDATE = "concurrent_update"
    """40001: a row was changed by another transaction since this one's snapshot."""
    SERIALIZATION = "serialization"
    """40001: no row was changed twice, but no serial order gives what was read and written."""
    DEADLOCK = "deadlock"
    """40P01: transactions waited for one another, and this one was ended."""
    LOCK_TIMEOUT = "lock_timeout"
    """55P03: a lock was not had, within the time that was given or at once."""
    CONSTRAINT = "constraint"
    """Class 23: the database refused what would break a rule of a table."""
    POOL_TIMEOUT = "pool_timeout"
    """The pool had no connection to give within the time that was given."""
    QUEUE_FULL = "queue_full"
    """As many purchases waited to be sold together as may."""
    CONNECTION = "connection"
    """The server could not be reached, or its connection broke."""
    TRANSACTION = "transaction"
    """Whatever else the database or the driver refused."""
    REPEATED = "repeated"
    """The purchase id had bought before. SOLD: it owns exactly what was asked for. FAILED: it owns other tickets, and
    nothing was sold. Of a refund: there was nothing to give back."""


KINDS: Final = tuple(Kind)
OUTCOMES: Final = tuple(Outcome)
CAUSES: Final = tuple(Cause)

MAX_INTEGER: Final = 2**31 - 1
"""Of tickets and versions, which the database counts as PostgreSQL's `integer`."""

CONFLICTS: Final = (
    Cause.STALE_VERSION,
    Cause.CONCURRENT_UPDATE,
    Cause.SERIALIZATION,
    Cause.DEADLOCK,
    Cause.LOCK_TIMEOUT,
)
"""The causes that another try may cure, because another transaction stood in the way."""
RETRY_CAUSES: Final = (*CONFLICTS, Cause.POOL_TIMEOUT)
"""Every cause that a retry policy may name."""

_SERIALIZABILITY: Final = "predicate.c"
"""The file of PostgreSQL that tells one 40001 from the other: its messages are translated, this is not."""
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
    """The cause that a SQLSTATE stands for; an operational error without one never came from the server.

    `raised_in` is the source file of PostgreSQL that the error names, where it names one.
    """
    if sqlstate is None:
        return Cause.CONNECTION
    if sqlstate == "40001" and raised_in == _SERIALIZABILITY:
        return Cause.SERIALIZATION
    return next((cause for prefix, cause in _BY_PREFIX.items() if sqlstate.startswith(prefix)), Cause.TRANSACTION)
