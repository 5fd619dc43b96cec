"""What each anomaly is, in plain words, and what the field calls it. Knows the names, and no history.

P4, P1 and their like are the phenomena of Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995
(https://arxiv.org/abs/cs/0701157); G1a is Adya's, "Weak Consistency: A Generalized Theory", MIT 1999; "lost" and
"unexpected" are words of Jepsen's set test (https://github.com/jepsen-io/jepsen).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ticketlab.checks.verdict import Anomaly


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An anomaly explained."""

    meaning: str
    """What went wrong, in a sentence."""
    field: str
    """What to look for in books and papers."""


TERMS: Final[Mapping[Anomaly, Term]] = {
    Anomaly.OVERSELL: Term(
        meaning="More tickets were sold than there are seats: somebody will stand before a seat that is taken.",
        field="overbooking; a broken invariant, mostly the sum of lost updates or of write skew (A5B)",
    ),
    Anomaly.UNDERSELL: Term(
        meaning="Stock was taken for which nobody has a ticket: seats stay empty, and nobody can buy them.",
        field="leaked stock; a broken invariant",
    ),
    Anomaly.LOST_UPDATE: Term(
        meaning="Two sales went by the same stock, and the one that was written later wiped out the other.",
        field="lost update (P4)",
    ),
    Anomaly.DIRTY_READ: Term(
        meaning="Somebody was told of a change that did not stay: it was rolled back, or never made.",
        field="dirty read (P1), aborted read (G1a)",
    ),
    Anomaly.PHANTOM_SALE: Term(
        meaning="The database holds a sale, or a change of the stock, that no buyer was told of.",
        field='an "unexpected" element in a set test; not the phantom (P3) of the SQL standard',
    ),
    Anomaly.LOST_SALE: Term(
        meaning="A buyer was told that it is done, and the database does not have it.",
        field='a "lost" element in a set test; after a crash a breach of durability, the D of ACID',
    ),
    Anomaly.FALSE_SOLD_OUT: Term(
        meaning="Somebody was sent away though there were seats enough for him.",
        field="a false refusal: not linearizable, for no order of the sales explains the answer",
    ),
    Anomaly.STALE_READ: Term(
        meaning="An answer goes by a past that was over when it was asked for, or sales stand in another order than "
        "that of time.",
        field="stale read; serializable perhaps, but not strictly so",
    ),
    Anomaly.DOUBLE_SALE: Term(
        meaning="One purchase was made more than once: its buyer wanted it once, and pays twice.",
        field="a duplicate; at least once in place of exactly once, broken idempotence",
    ),
    Anomaly.DOUBLE_REFUND: Term(
        meaning="One purchase was given back more than once: seats are in the stock that somebody else may hold.",
        field="a duplicate; at least once in place of exactly once, broken idempotence",
    ),
    Anomaly.HALF_PURCHASE: Term(
        meaning="A part of a purchase is there and a part of it is not, though it is all or nothing.",
        field="a partial write; a breach of atomicity, the A of ACID",
    ),
    Anomaly.DEADLOCK: Term(
        meaning="Two transactions waited for each other until PostgreSQL ended one of them. No ticket is wrong, but "
        "everybody behind them waited too.",
        field="deadlock (SQLSTATE 40P01); locks that are taken in different orders",
    ),
    Anomaly.CHANGED_SETUP: Term(
        meaning="The events, or the numbers of their seats, are not those that were put on sale.",
        field="a broken invariant: the total is part of the specification, and not of the implementation",
    ),
    Anomaly.WRONG_TICKETS: Term(
        meaning="A buyer was given tickets that the database holds for another purchase, or for none.",
        field="a response that was matched to the wrong request",
    ),
    Anomaly.UNCLEAN_CONNECTION: Term(
        meaning="A purchase left an open transaction, a lock, a setting or a connection behind.",
        field="a leak; a pooled connection that comes back dirty",
    ),
}
"""Every anomaly."""
