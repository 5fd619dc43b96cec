"""Why a verdict is wrong that is not about a sale or its order: the setup, the tickets in an answer, the connection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from ticketlab.checks.verdict import Anomaly
from ticketlab.history.recording import NOT_SEEN
from ticketlab.report.explain import purchases, stock
from ticketlab.report.explain.evidence import (
    Evidence,
    Explanation,
    Operation,
    Row,
    is_operation,
    lines_of,
    marked,
    scene_of,
)
from ticketlab.report.explain.glossary import TERMS
from ticketlab.report.explain.wording import buyer_label, facts, sentence
from ticketlab.report.phrases import capital, number, pluralize


def changed_setup(_scene: Evidence) -> Explanation:
    """Other events or seats than those that were put on sale."""
    return Explanation(
        short="the events or their seats are not those that were put on sale",
        why="The seats are set up before the first purchase. A purchase sells them, and must not change how many there "
        "are: otherwise any number of tickets would fit.",
    )


def wrong_tickets(scene: Evidence) -> Explanation:
    """An answer with tickets that are not those of its purchase."""
    if not scene.calls:
        return Explanation(
            short="an answer carries tickets of another purchase", why="An answer carries its own tickets."
        )
    return Explanation(
        short=f"{buyer_label(scene.calls[0])} was given tickets that are not those of the purchase",
        why="The tickets in an answer must be the ones that the database holds for this purchase: the buyer will show "
        "them at the door.",
        marks=marked(lines_of(scene.calls[:1]), "other tickets"),
        calls=scene.calls[:1],
    )


def unclean_connection(scene: Evidence) -> Explanation:
    """What was left on connections or in the server, most often first."""
    left = [
        f"{number(count)} times {words}" if count > 1 else f"once {words}" for words, count in scene.left_behind.items()
    ]
    return Explanation(
        short=next(iter(scene.left_behind), "something was left on a connection or in the server"),
        why=f"{'; '.join(left) or 'something was left'}. The next purchase on the same connection meets it, and a "
        "purchase that needs the same lock waits for it.",
    )


MOST_CALLS: Final = 4
"""Calls that a story tells one by one; of more it tells those that the reason is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A violation in words."""

    name: str
    """The anomaly, or where a check gave it no name, the check."""
    short: str
    """What it comes to, in a line."""
    happened: Sequence[str]
    """Who did what, when, and what he was told; then what the ledger has. A sentence each."""
    why: str
    """Why that is wrong. Nothing where the check gave no name: its summary says it."""
    meaning: str = ""
    """What such an anomaly is."""
    field: str = ""
    """What it is called in books and papers."""
    operations: Sequence[Mapping[str, Any]] = ()
    """The rows of the evidence that it tells of and that can be drawn, each with `wrong`: what is wrong with it."""
    crashes_ns: Sequence[int] = ()
    """The crashes that it tells of, in ns since the trial's start."""

    @property
    def sentences(self) -> list[str]:
        """What happened, and why it is wrong."""
        return [*self.happened, *filter(None, [self.why])]


REASONS: Final[Mapping[Anomaly, Callable[[Evidence], Explanation]]] = {
    Anomaly.OVERSELL: stock.oversell,
    Anomaly.UNDERSELL: stock.undersell,
    Anomaly.LOST_UPDATE: stock.lost_update,
    Anomaly.DIRTY_READ: stock.dirty_read,
    Anomaly.PHANTOM_SALE: purchases.phantom_sale,
    Anomaly.LOST_SALE: purchases.lost_sale,
    Anomaly.FALSE_SOLD_OUT: purchases.false_sold_out,
    Anomaly.STALE_READ: purchases.stale_read,
    Anomaly.DOUBLE_SALE: purchases.double_sale,
    Anomaly.DOUBLE_REFUND: purchases.double_refund,
    Anomaly.HALF_PURCHASE: purchases.half_purchase,
    Anomaly.DEADLOCK: purchases.deadlock,
    Anomaly.CHANGED_SETUP: changed_setup,
    Anomaly.WRONG_TICKETS: wrong_tickets,
    Anomaly.UNCLEAN_CONNECTION: unclean_connection,
}
"""Why it is wrong, by anomaly."""
VOID_LOCK: Final = (
    "The function's connection was in autocommit mode: outside a transaction block each statement commits by itself, "
    "and a lock such as FOR UPDATE ends with it. That is the likely cause."
)
"""What is added where each statement was a transaction of its own."""
_OF_A_VOID_LOCK: Final = {Anomaly.OVERSELL, Anomaly.LOST_UPDATE}


def story_of(verdict: Mapping[str, Any]) -> Story:
    """Tell a verdict as `Run.verdict_rows` has it.

    Args:
        verdict: with `check` and `evidence`; `anomaly`, `crashes_ns` and `autocommit` where they are known.
    """
    evidence: Sequence[Row] = list(verdict.get("evidence") or ())
    scene = scene_of(evidence, verdict.get("crashes_ns") or ())
    anomaly = _anomaly(verdict)
    reason = REASONS[anomaly](scene) if anomaly else Explanation(short="", why="")
    calls = _told(scene, reason)
    term = TERMS[anomaly] if anomaly else None
    more = len(scene.calls) - len(calls)
    is_void = verdict.get("autocommit", False) and anomaly in _OF_A_VOID_LOCK
    return Story(
        name=str(anomaly or verdict.get("check", "")),
        short=reason.short,
        happened=[*facts(scene, calls), *([f"The evidence has {pluralize(more, 'operation')} more."] if more else [])],
        why=" ".join([*([sentence(reason.why)] if reason.why else []), *([VOID_LOCK] if is_void else [])]),
        meaning=term.meaning if term else "",
        field=term.field if term else "",
        operations=_drawn(evidence, calls, reason),
        crashes_ns=scene.crashes_ns if anomaly is Anomaly.LOST_SALE else (),
    )


def _anomaly(verdict: Mapping[str, Any]) -> Anomaly | None:
    name = verdict.get("anomaly")
    return Anomaly(name) if name in set(Anomaly) else None


def _told(scene: Evidence, reason: Explanation) -> Sequence[Operation]:
    """All calls where they are few; else those that the reason speaks of, or the first ones."""
    if len(scene.calls) <= MOST_CALLS:
        return scene.calls
    spoken_of = {id(call) for call in reason.calls}
    chosen = [call for call in scene.calls if id(call) in spoken_of]
    return (chosen or scene.calls)[:MOST_CALLS]


def _drawn(evidence: Sequence[Row], calls: Sequence[Operation], reason: Explanation) -> list[Mapping[str, Any]]:
    places = [line.place for call in calls for line in call.lines]
    return [
        {**evidence[place], **_not_seen(evidence[place]), "wrong": reason.marks.get(place, "")}
        for place in places
        if is_operation(evidence[place])
    ]


def _not_seen(row: Row) -> dict[str, int]:
    """The version and the stock that a row has no number for, as a history has them."""
    return {name: NOT_SEEN for name in ("version", "available") if name in row and row[name] is None}


def printed(story: Story, explained: set[str]) -> list[Padding]:
    """What happened, in numbered sentences, why that is wrong, and what it is called.

    What such an anomaly is, is told of those that are not among `explained`, which grows by it.
    """
    lines = [Text(f"{place}. {each}") for place, each in enumerate(story.happened, start=1)]
    if story.why:
        lines.append(Text(f"Why it is wrong: {story.why}", style="bold"))
    if story.meaning and story.name not in explained:
        lines.append(Text(f"{capital(story.name)}: {story.meaning} In the field: {story.field}.", style="dim"))
        explained.add(story.name)
    return [Padding(each, (0, 0, 0, 2), expand=False) for each in lines]
