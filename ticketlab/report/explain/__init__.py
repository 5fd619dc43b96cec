"""A violation in sentences: what happened, why it is wrong, and what it is called. Draws nothing, judges nothing.

P4, P1 and similar names are the phenomena of Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995
(https://arxiv.org/abs/cs/0701157). G1a is from Adya, "Weak Consistency: A Generalized Theory", MIT 1999. "Lost" and
"unexpected" are terms of Jepsen's set test (https://github.com/jepsen-io/jepsen).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.padding import Padding
from rich.text import Text

from ticketlab.checks.diagnosis import Reason
from ticketlab.checks.evidence import Evidence, lines_of
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.text import plural
from ticketlab.outcomes import NOT_SEEN
from ticketlab.report.explain._facts import facts, of_event, sentence
from ticketlab.report.explain._reasons import WORDS, Explanation, lost
from ticketlab.report.phrases import capital, number, pluralize

if TYPE_CHECKING:
    from ticketlab.checks.diagnosis import Diagnosis
    from ticketlab.checks.evidence import BuyerCall, EventState, Row
    from ticketlab.checks.verdict import Verdict


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


MOST_CALLS: Final = 4
"""A story with more calls shows only those that show the violation."""


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
    operations: Sequence[Row] = ()
    """The rows of the calls in `happened` that have times, each with `wrong`: what is wrong with it."""
    crashes_ns: Sequence[int] = ()
    """The crashes that the story mentions, in ns since the start of the trial."""

    @property
    def sentences(self) -> list[str]:
        """What happened, and why it is wrong."""
        return [*self.happened, *filter(None, [self.why])]


VOID_LOCK: Final = (
    "The likely cause: the function's connection was in autocommit mode. Outside a transaction block each statement "
    "commits by itself, and a lock such as FOR UPDATE ends with it."
)
"""Added to an anomaly of `_VOID_LOCK_ANOMALIES` if each statement was a transaction of its own."""
_VOID_LOCK_ANOMALIES: Final = {Anomaly.OVERSELL, Anomaly.LOST_UPDATE}


def story_of(verdict: Verdict, *, crashes_ns: Sequence[int] = (), autocommit: bool = False) -> Story:
    """The story of a violation.

    Args:
        verdict: the INVALID verdict.
        crashes_ns: when the server crashed, in ns since the start of the trial.
        autocommit: whether each statement was a transaction of its own.
    """
    anomaly, found, diagnosis = verdict.anomaly, verdict.operations or Evidence(), verdict.diagnosis
    words = _explained(diagnosis, crashes_ns) if diagnosis else Explanation("", "")
    term = TERMS[anomaly] if anomaly else Term(meaning="", field="")
    calls = _calls_to_tell(found, diagnosis)
    omitted = len(found.calls) - len(calls)
    is_void = autocommit and anomaly in _VOID_LOCK_ANOMALIES
    return Story(
        name=str(anomaly or verdict.check),
        short=words.short,
        happened=[
            *facts(found, calls, crashes_ns),
            *([f"The evidence has {pluralize(omitted, 'more operation')}."] if omitted else []),
        ],
        why=" ".join([*([sentence(words.why)] if words.why else []), *([VOID_LOCK] if is_void else [])]),
        meaning=term.meaning,
        field=term.field,
        operations=list(_drawable_rows(found, calls, _marks(diagnosis, words))),
        crashes_ns=tuple(sorted(crashes_ns)) if anomaly is Anomaly.LOST_SALE else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialVerdict:
    """A verdict, and the trial that it is about: its setting and what its story needs to know of it."""

    trial: int
    strategy: str
    safe: bool
    """Whether the strategy claims to be safe."""
    buyers: int
    pool_size: int
    repeat: int
    verdict: Verdict
    crashes_ns: Sequence[int] = ()
    """When the server crashed, in ns since the start of the trial."""
    autocommit: bool = False
    """Whether each statement was a transaction of its own."""

    @property
    def name(self) -> str:
        """The anomaly; the check if it named none."""
        return str(self.verdict.anomaly or self.verdict.check)

    @property
    def story(self) -> Story:
        """The violation in words."""
        return story_of(self.verdict, crashes_ns=self.crashes_ns, autocommit=self.autocommit)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data; anomaly and story (sentences) are empty unless INVALID."""
        verdict = self.verdict
        return {
            **{name: getattr(self, name) for name in ("trial", "strategy", "safe", "buyers", "pool_size", "repeat")},
            "crashes_ns": list(self.crashes_ns),
            "autocommit": self.autocommit,
            "check": verdict.check,
            "status": str(verdict.status),
            "anomaly": str(verdict.anomaly or ""),
            "summary": verdict.summary,
            "evidence": list(verdict.evidence),
            "story": self.story.sentences if verdict.status is Status.INVALID else [],
        }


def _explained(diagnosis: Diagnosis, crashes_ns: Sequence[int]) -> Explanation:
    if diagnosis.reason is Reason.LOST:
        return lost(diagnosis, crashes_ns)
    words = WORDS[diagnosis.reason]
    explained = words if isinstance(words, Explanation) else words(diagnosis)
    return explained if diagnosis.oversold is None else _with_excess(explained, diagnosis.oversold)


def _with_excess(cause: Explanation, event: EventState) -> Explanation:
    """The excess of tickets in the ledger, before what brought it about."""
    excess = (event.tickets or 0) - event.total
    why = f"That is {number(excess)} more {plural(excess, 'ticket')} than seats."
    short = cause.short or f"{pluralize(excess, 'ticket')} too many{of_event(event.event)}"
    return cause._replace(short=short, why=f"{why} {sentence(cause.why)}" if cause.why else why)


def _marks(diagnosis: Diagnosis | None, words: Explanation) -> dict[int, str]:
    """What is wrong with a row, in a few words, by its index in the evidence."""
    lines = diagnosis.lines if diagnosis else ()
    marks = [words.marks] * len(lines) if isinstance(words.marks, str) else words.marks
    return {line.place: mark for line, mark in zip(lines, marks, strict=True)}


def _calls_to_tell(found: Evidence, diagnosis: Diagnosis | None) -> Sequence[BuyerCall]:
    """All calls if they are few; else those that show the violation, or the first ones."""
    if len(found.calls) <= MOST_CALLS:
        return found.calls
    shown_by = {id(call) for call in diagnosis.shown_by} if diagnosis else ()
    return ([call for call in found.calls if id(call) in shown_by] or found.calls)[:MOST_CALLS]


def _drawable_rows(found: Evidence, calls: Sequence[BuyerCall], marks: Mapping[int, str]) -> Iterator[Row]:
    """The rows of the calls that have a start and an end; a missing version or stock is as a history has it."""
    for line in lines_of(calls):
        row = found.rows[line.place]
        if row.get("invoked_ns") is not None and row.get("completed_ns") is not None:
            not_seen = {name: NOT_SEEN for name in ("version", "available") if name in row and row[name] is None}
            yield {**row, **not_seen, "wrong": marks.get(line.place, "")}


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
