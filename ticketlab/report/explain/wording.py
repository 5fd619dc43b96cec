"""What was called, answered and kept, as sentences: the facts of a story, without a judgement."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ticketlab.outcomes import Cause, Outcome
from ticketlab.report.explain.evidence import EventState, Evidence, Holding, Line, Operation
from ticketlab.report.phrases import capital, join_names, number, pluralize

_ID_SHOWN: Final = 8
"""Letters by which a purchase id is known in a sentence; the evidence below has all of them."""
_SHORT_ID: Final = 13


def buyer_label(call: Operation) -> str:
    """The buyer, as he is called within a sentence."""
    return "a buyer" if call.buyer is None else f"buyer {call.buyer}"


def sentence(text: str) -> str:
    """A clause as a sentence."""
    return capital(text if text.endswith((".", "…")) else f"{text}.")


def milliseconds(ns: int) -> str:
    """A moment or a span: to a hundredth, or where it is shorter as exact as it must be."""
    ms = ns / 1e6
    return f"{ms:,.2f} ms" if abs(ms) >= 0.1 or ms == 0 else f"{number(ms)} ms"  # noqa: PLR2004 - a tenth


def short(purchase_id: str | None) -> str:
    """A purchase by the beginning of its id."""
    if purchase_id is None:
        return "an unknown purchase"
    shown = purchase_id if len(purchase_id) <= _SHORT_ID else f"{purchase_id[:_ID_SHOWN]}…"
    return f"purchase {shown}"


def of_event(event: str | None) -> str:
    """Which event, as the end of a phrase."""
    return "" if event is None else f" of event {event}"


def left(available: int) -> str:
    """A stock; more may have been sold than there was."""
    return f"{seats(available)} left"


def seats(available: int) -> str:
    """The number of a stock."""
    return number(available).replace("-", "\N{MINUS SIGN}")


def was_or_were(count: int) -> str:
    """The verb that goes with so many."""
    return "was" if count == 1 else "were"


def describe(call: Operation, *, too: Collection[tuple[str | None, int]] = ()) -> str:
    """One call as a sentence: who, what, when, and what he was told; `too` are versions that were told before."""
    tickets = join_names([_tickets(line) for line in call.lines], most=len(call.lines))
    return sentence(f"{buyer_label(call)} {_did(call)} {tickets}{_times(call)}: {_answer(call, too)}")


def facts(scene: Evidence, calls: Iterable[Operation]) -> Iterator[str]:
    """What these calls were told, and what the ledger has."""
    told: set[tuple[str | None, int]] = set()
    calls = list(calls)
    for call in calls:
        yield describe(call, too=told)
        told |= {(line.event, line.version) for line in call.lines if line.version is not None}
    yield from _in_the_ledger(scene, calls)
    for books in scene.books:
        yield _event(books)
    for held in scene.held:
        yield _owns(held)


def crash_after(scene: Evidence, call: Operation) -> int | None:
    """The first crash after a call was answered, in ns since the start."""
    if call.completed_ns is None:
        return None
    return next((at for at in scene.crashes_ns if at >= call.completed_ns), None)


def _tickets(line: Line) -> str:
    tickets = "tickets" if line.quantity is None else pluralize(line.quantity, "ticket")
    return tickets + of_event(line.event)


def _did(call: Operation) -> str:
    if call.refund:
        return "gave back" if call.outcome is Outcome.REFUNDED and not call.again else "wanted to give back"
    if call.outcome is Outcome.SOLD:
        return "asked once more for" if call.again else "bought"
    return "asked for"


def _times(call: Operation) -> str:
    if call.invoked_ns is None:
        return ""
    if call.completed_ns is None:
        return f" (called {milliseconds(call.invoked_ns)} after the start)"
    ended = "cut off" if call.outcome is Outcome.UNKNOWN else "answered"
    return f" (called {milliseconds(call.invoked_ns)}, {ended} {milliseconds(call.completed_ns)} after the start)"


def _answer(call: Operation, too: Collection[tuple[str | None, int]]) -> str:
    if call.again and call.outcome in (Outcome.SOLD, Outcome.REFUNDED):
        return f"he was told that {'there was nothing to give back' if call.refund else 'he had bought it before'}"
    done = "given back" if call.refund else "sold"
    answers = {
        Outcome.SOLD: f"he was told {_seen(call, too) or 'sold'}",
        Outcome.REFUNDED: f"he was told {_seen(call, too) or 'given back'}",
        Outcome.SOLD_OUT: f"he was told sold out{_seen_at(call)}",
        Outcome.UNKNOWN: f"he was not told whether {'they were given back' if call.refund else 'they are his'}",
        Outcome.UNAVAILABLE: "he got no connection, and nothing was sent",
        Outcome.CONFLICT: f"he was told that nothing was {done}{_why_not(call)}",
        Outcome.FAILED: f"he was told that nothing was {done}{_why_not(call)}",
    }
    return answers[call.outcome] if call.outcome else "what he was told is not known"


def _seen(call: Operation, too: Collection[tuple[str | None, int]]) -> str:
    """The version of each event that he was told to have made, and its stock."""
    parts = []
    for line in call.lines:
        if line.version is None:
            continue
        also = " too" if (line.event, line.version) in too else ""
        stock = "" if line.available is None else f", {left(line.available)}"
        event = of_event(line.event) if len(call.lines) > 1 else ""
        parts.append(f"version {number(line.version)}{also}{stock}{event}")
    return "; ".join(parts)


def _seen_at(call: Operation) -> str:
    """The version and the stock that he was sent away with."""
    parts = []
    for line in call.lines:
        at = "" if line.version is None else f" at version {number(line.version)}"
        stock = "" if line.available is None else f"{',' if at else ''} with {left(line.available)}"
        event = of_event(line.event) if len(call.lines) > 1 and (at or stock) else ""
        parts.append(f"{at}{stock}{event}")
    return ";".join(part for part in parts if part)


def _why_not(call: Operation) -> str:
    attempts = f", after {pluralize(call.attempts, 'attempt')}" if call.attempts and call.attempts > 1 else ""
    cause = f" ({call.cause.replace('_', ' ')})" if call.cause not in (None, Cause.NONE) else ""
    return attempts + cause


def _in_the_ledger(scene: Evidence, calls: Iterable[Operation]) -> Iterator[str]:
    """What the ledger has of each purchase, where the evidence says so."""
    purchases: dict[str | None, dict[str | None, Line]] = {}
    crashes: dict[str | None, int | None] = {}
    for call in calls:
        for line in call.lines:
            if line.tickets is not None:
                purchases.setdefault(call.purchase_id, {}).setdefault(line.event, line)
                crashes[call.purchase_id] = crash_after(scene, call)
    for purchase_id, lines in purchases.items():
        crash = crashes[purchase_id]
        after = "" if crash is None else f"after the crash, {milliseconds(crash)} after the start, "
        name = "this purchase" if len(purchases) == 1 else short(purchase_id)
        yield sentence(f"{after}{name} has {_kept(lines.values())} in the ledger")


def _kept(lines: Iterable[Line]) -> str:
    """Tickets by event, as far as they are there."""
    lines = list(lines)
    if not any(line.tickets for line in lines):
        return f"no ticket{of_event(lines[0].event) if len(lines) == 1 else ''}"
    parts = [f"{pluralize(line.tickets, 'ticket') if line.tickets else 'none'}{of_event(line.event)}" for line in lines]
    return join_names(parts, most=len(parts))


def _event(books: EventState) -> str:
    event = "an event" if books.event is None else f"event {books.event}"
    when = "" if books.at_ns is None else f"{milliseconds(books.at_ns)} after the start "
    has, says = ("has", "says") if books.at_ns is None else ("had", "said")
    parts = [f"{when}{event} {has} {pluralize(books.total, 'seat')}"]
    if books.tickets is not None:
        parts.append(f"the ledger {has} {pluralize(books.tickets, 'ticket')} for them")
    if books.available is not None:
        at = "" if books.version is None else f" at version {number(books.version)}"
        parts.append(f"its stock {says} {left(books.available)}{at}")
    return sentence(join_names(parts))


def _owns(held: Holding) -> str:
    return sentence(
        f"the ledger has {pluralize(held.tickets, 'ticket')}{of_event(held.event)} for {short(held.purchase_id)}"
    )
