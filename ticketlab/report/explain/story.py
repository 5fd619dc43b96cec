"""A violation in sentences: what happened, why it is wrong, and what it is called. Draws nothing, judges nothing.

P4, P1 and similar names are the phenomena of Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995
(https://arxiv.org/abs/cs/0701157). G1a is from Adya, "Weak Consistency: A Generalized Theory", MIT 1999. "Lost" and
"unexpected" are terms of Jepsen's set test (https://github.com/jepsen-io/jepsen).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from ticketlab.checks.verdict import Anomaly
from ticketlab.outcomes import NOT_SEEN
from ticketlab.report.explain import _purchases, _stock
from ticketlab.report.explain._evidence import (
    BuyerCall,
    Evidence,
    Explanation,
    Row,
    facts,
    has_times,
    lines_of,
    marked,
    parse,
    sentence,
)
from ticketlab.report.phrases import capital, number, pluralize


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An anomaly explained."""

    meaning: str
    """What went wrong, in a sentence."""
    field: str
    """What to look for in books and papers."""


TERMS: Final[Mapping[Anomaly, Term]] = {
    Anomaly.OVERSELL: Term(
        meaning="More tickets were sold than there are seats.",
        field="overbooking; a violated invariant, usually caused by lost updates or write skew (A5B)",
    ),
    Anomaly.UNDERSELL: Term(
        meaning="Stock was reduced without a ticket: these seats stay empty, and nobody can buy them.",
        field="leaked stock; a violated invariant",
    ),
    Anomaly.LOST_UPDATE: Term(
        meaning="Two sales were computed from the same stock, and the later one overwrote the earlier one.",
        field="lost update (P4)",
    ),
    Anomaly.DIRTY_READ: Term(
        meaning="An answer reports a change that was rolled back or never made.",
        field="dirty read (P1), aborted read (G1a)",
    ),
    Anomaly.PHANTOM_SALE: Term(
        meaning="The database has a sale, or a change of the stock, that no answer reports.",
        field='an "unexpected" element in a set test; not the phantom (P3) of the SQL standard',
    ),
    Anomaly.LOST_SALE: Term(
        meaning="A sale or a refund was reported to the buyer, but the database does not have it.",
        field='a "lost" element in a set test; after a crash a violation of durability, the D of ACID',
    ),
    Anomaly.FALSE_SOLD_OUT: Term(
        meaning="A buyer was told 'sold out' although enough seats were available.",
        field="a false refusal: not linearizable, because no order of the sales explains the answer",
    ),
    Anomaly.STALE_READ: Term(
        meaning="An answer came from a version that had already been replaced when the call began, or the order of the "
        "sales contradicts real time.",
        field="stale read; possibly serializable, but not strictly serializable",
    ),
    Anomaly.DOUBLE_SALE: Term(
        meaning="One purchase was made more than once: the buyer pays twice.",
        field="a duplicate; at-least-once instead of exactly-once, broken idempotence",
    ),
    Anomaly.DOUBLE_REFUND: Term(
        meaning="One purchase was refunded more than once: seats are in stock that other buyers may own.",
        field="a duplicate; at-least-once instead of exactly-once, broken idempotence",
    ),
    Anomaly.HALF_PURCHASE: Term(
        meaning="Only a part of a purchase was made, although a purchase is all or nothing.",
        field="a partial write; a violation of atomicity, the A of ACID",
    ),
    Anomaly.DEADLOCK: Term(
        meaning="Two transactions waited for each other until PostgreSQL ended one of them. No ticket is wrong, but "
        "every transaction behind them waited too.",
        field="deadlock (SQLSTATE 40P01); locks taken in different orders",
    ),
    Anomaly.CHANGED_SETUP: Term(
        meaning="The events or their numbers of seats are not those that were put on sale.",
        field="a violated invariant: the total is part of the specification, not of the implementation",
    ),
    Anomaly.WRONG_TICKETS: Term(
        meaning="An answer has tickets that belong to another purchase, or to none.",
        field="a response matched to the wrong request",
    ),
    Anomaly.UNCLEAN_CONNECTION: Term(
        meaning="A purchase left an open transaction, a lock, a setting or a connection behind.",
        field="a resource leak; a pooled connection returned dirty",
    ),
}
"""Every anomaly."""


def changed_setup(_evidence: Evidence) -> Explanation:
    """Other events or seats than those that were put on sale."""
    return Explanation(
        short="the events or their seats are not those that were put on sale",
        why="The seats are set up before the first purchase. A purchase must not change their number: otherwise any "
        "number of tickets would fit.",
    )


def wrong_tickets(evidence: Evidence) -> Explanation:
    """An answer with tickets of another purchase."""
    calls = evidence.calls[:1]
    to = f" to {calls[0].label}" if calls else ""
    return Explanation(
        short=f"the answer{to} has tickets of another purchase",
        why="The tickets in an answer must be those that the database has for this purchase.",
        marks=marked(lines_of(calls), "other tickets"),
        calls=calls,
    )


def unclean_connection(evidence: Evidence) -> Explanation:
    """What was left on connections or in the server."""
    left = [
        f"{number(count)} times {words}" if count > 1 else f"once {words}"
        for words, count in evidence.left_behind.items()
    ]
    return Explanation(
        short=next(iter(evidence.left_behind), "something was left on a connection or in the server"),
        why=f"{'; '.join(left) or 'something was left'}. The next purchase on this connection inherits it, and a "
        "purchase that needs the same lock waits for it.",
    )


MOST_CALLS: Final = 4
"""A story with more calls shows only those that its explanation is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A violation in words."""

    name: str
    """The anomaly; the check, if the check named no anomaly."""
    short: str
    """The violation in one line."""
    happened: Sequence[str]
    """One sentence per call with its answer, then what the ledger holds."""
    why: str
    """Why that is wrong; empty if the check named no anomaly, because its summary says it."""
    meaning: str = ""
    """What the anomaly is."""
    field: str = ""
    """What books and papers call it."""
    operations: Sequence[Mapping[str, Any]] = ()
    """The rows of the calls in `happened` that have times, each with `wrong`: what is wrong with it."""
    crashes_ns: Sequence[int] = ()
    """The crashes that the story mentions, in ns since the start of the trial."""

    @property
    def sentences(self) -> list[str]:
        """What happened, and why it is wrong."""
        return [*self.happened, *filter(None, [self.why])]


REASONS: Final[Mapping[Anomaly, Callable[[Evidence], Explanation]]] = {
    Anomaly.OVERSELL: _stock.oversell,
    Anomaly.UNDERSELL: _stock.undersell,
    Anomaly.LOST_UPDATE: _stock.lost_update,
    Anomaly.DIRTY_READ: _stock.dirty_read,
    Anomaly.PHANTOM_SALE: _purchases.phantom_sale,
    Anomaly.LOST_SALE: _purchases.lost_sale,
    Anomaly.FALSE_SOLD_OUT: _purchases.false_sold_out,
    Anomaly.STALE_READ: _purchases.stale_read,
    Anomaly.DOUBLE_SALE: _purchases.double_sale,
    Anomaly.DOUBLE_REFUND: _purchases.double_refund,
    Anomaly.HALF_PURCHASE: _purchases.half_purchase,
    Anomaly.DEADLOCK: _purchases.deadlock,
    Anomaly.CHANGED_SETUP: changed_setup,
    Anomaly.WRONG_TICKETS: wrong_tickets,
    Anomaly.UNCLEAN_CONNECTION: unclean_connection,
}
"""The function that explains each anomaly."""
VOID_LOCK: Final = (
    "The likely cause: the function's connection was in autocommit mode. Outside a transaction block each statement "
    "commits by itself, and a lock such as FOR UPDATE ends with it."
)
"""Added to an anomaly of `_VOID_LOCK_ANOMALIES` if each statement was a transaction of its own."""
_VOID_LOCK_ANOMALIES: Final = {Anomaly.OVERSELL, Anomaly.LOST_UPDATE}


def story_of(verdict: Mapping[str, Any]) -> Story:
    """The story of a verdict, given as a row of `Run.verdict_rows`.

    Args:
        verdict: with `check` and `evidence`, and with `anomaly`, `crashes_ns` and `autocommit` if they are known.
    """
    rows: Sequence[Row] = list(verdict.get("evidence") or ())
    evidence = parse(rows, verdict.get("crashes_ns") or ())
    name = verdict.get("anomaly")
    anomaly = Anomaly(name) if name in set(Anomaly) else None
    reason = REASONS[anomaly](evidence) if anomaly else Explanation(short="", why="")
    term = TERMS[anomaly] if anomaly else Term(meaning="", field="")
    calls = _calls_to_tell(evidence, reason)
    omitted = len(evidence.calls) - len(calls)
    is_void = verdict.get("autocommit", False) and anomaly in _VOID_LOCK_ANOMALIES
    return Story(
        name=str(anomaly or verdict.get("check", "")),
        short=reason.short,
        happened=[
            *facts(evidence, calls),
            *([f"The evidence has {pluralize(omitted, 'more operation')}."] if omitted else []),
        ],
        why=" ".join([*([sentence(reason.why)] if reason.why else []), *([VOID_LOCK] if is_void else [])]),
        meaning=term.meaning,
        field=term.field,
        operations=_drawable_rows(rows, calls, reason),
        crashes_ns=evidence.crashes_ns if anomaly is Anomaly.LOST_SALE else (),
    )


def _calls_to_tell(evidence: Evidence, reason: Explanation) -> Sequence[BuyerCall]:
    """All calls if they are few; else those that the explanation is about, or the first ones."""
    if len(evidence.calls) <= MOST_CALLS:
        return evidence.calls
    relevant = {id(call) for call in reason.calls}
    chosen = [call for call in evidence.calls if id(call) in relevant]
    return (chosen or evidence.calls)[:MOST_CALLS]


def _drawable_rows(rows: Sequence[Row], calls: Sequence[BuyerCall], reason: Explanation) -> list[Mapping[str, Any]]:
    return [
        {**rows[line.place], **_not_seen(rows[line.place]), "wrong": reason.marks.get(line.place, "")}
        for line in lines_of(calls)
        if has_times(rows[line.place])
    ]


def _not_seen(row: Row) -> dict[str, int]:
    """A missing version or stock as a history has it."""
    return {name: NOT_SEEN for name in ("version", "available") if name in row and row[name] is None}


def printed(story: Story, explained: set[str]) -> list[Padding]:
    """A story for the terminal: numbered facts, why they are wrong, and what that is called.

    The meaning is printed once per anomaly: `explained` has the names printed before, and grows by this one.
    """
    lines = [Text(f"{place}. {each}") for place, each in enumerate(story.happened, start=1)]
    if story.why:
        lines.append(Text(f"Why it is wrong: {story.why}", style="bold"))
    if story.meaning and story.name not in explained:
        lines.append(Text(f"{capital(story.name)}: {story.meaning} In the field: {story.field}.", style="dim"))
        explained.add(story.name)
    return [Padding(each, (0, 0, 0, 2), expand=False) for each in lines]
