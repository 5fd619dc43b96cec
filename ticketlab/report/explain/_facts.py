"""The facts of a violation in sentences: each call with its answer, then what the ledger holds. Judges nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ticketlab.outcomes import Cause, Outcome
from ticketlab.report.phrases import capital, join_names, number, pluralize

if TYPE_CHECKING:
    from ticketlab.checks.evidence import BuyerCall, CallLine, EventState, Evidence

_ID_SHOWN: Final = 8
"""Characters of a long purchase id that a sentence shows; the table of the evidence shows all of them."""
_SHORT_ID: Final = 13


def label(call: BuyerCall) -> str:
    """The buyer, as named within a sentence."""
    return "a buyer" if call.buyer is None else f"buyer {call.buyer}"


def sentence(text: str) -> str:
    """A clause as a sentence."""
    return capital(text if text.endswith((".", "…")) else f"{text}.")


def milliseconds(ns: int) -> str:
    """A time or a duration to 0.01 ms; below 0.1 ms to three digits."""
    ms = ns / 1e6
    return f"{ms:,.2f} ms" if abs(ms) >= 0.1 or ms == 0 else f"{number(ms)} ms"  # noqa: PLR2004 - a tenth


def short_id(purchase_id: str | None) -> str:
    """A purchase, named by the beginning of its id."""
    if purchase_id is None:
        return "an unknown purchase"
    shown = purchase_id if len(purchase_id) <= _SHORT_ID else f"{purchase_id[:_ID_SHOWN]}…"
    return f"purchase {shown}"


def of_event(event: str | None) -> str:
    """The event, as the end of a phrase."""
    return "" if event is None else f" of event {event}"


def seats(available: int) -> str:
    """The number of a stock, which is negative if more was sold than there was."""
    return number(available).replace("-", "\N{MINUS SIGN}")


def left(available: int) -> str:
    """A stock in words, such as "40 left"."""
    return f"{seats(available)} left"


def facts(evidence: Evidence, calls: Sequence[BuyerCall], crashes_ns: Sequence[int]) -> Iterator[str]:
    """One sentence for each of these calls, then what the ledger holds."""
    reported: set[tuple[str | None, int]] = set()
    for call in calls:
        tickets = join_names([_tickets(line) for line in call.lines], most=len(call.lines))
        yield sentence(f"{label(call)} {_request(call)} {tickets}{_times(call)}: {_answer(call, reported)}")
        reported |= {(line.event, line.version) for line in call.lines if line.version is not None}
    yield from _in_the_ledger(calls, crashes_ns)
    yield from map(_event_sentence, evidence.events)
    for held in evidence.holdings:
        tickets = f"{pluralize(held.tickets, 'ticket')}{of_event(held.event)}"
        yield sentence(f"the ledger has {tickets} for {short_id(held.purchase_id)}")


def crash_after(call: BuyerCall, crashes_ns: Sequence[int]) -> int | None:
    """The first crash after a call was answered, in ns since the start of the trial."""
    if call.completed_ns is None:
        return None
    return min((at for at in crashes_ns if at >= call.completed_ns), default=None)


def _tickets(line: CallLine) -> str:
    return ("tickets" if line.quantity is None else pluralize(line.quantity, "ticket")) + of_event(line.event)


def _request(call: BuyerCall) -> str:
    if call.is_refund:
        return "refunded" if call.changed else "asked for a refund of"
    if call.outcome is Outcome.SOLD:
        return "asked again for" if call.is_repeated else "bought"
    return "asked for"


def _times(call: BuyerCall) -> str:
    if call.invoked_ns is None:
        return ""
    if call.completed_ns is None:
        return f" (called {milliseconds(call.invoked_ns)} after the start)"
    ended = "ended without an answer" if call.outcome is Outcome.UNKNOWN else "answered"
    return f" (called {milliseconds(call.invoked_ns)}, {ended} {milliseconds(call.completed_ns)} after the start)"


def _answer(call: BuyerCall, reported: Collection[tuple[str | None, int]]) -> str:
    """What the call returned; `reported` are the versions that earlier calls returned."""
    done = "refunded" if call.is_refund else "sold"
    if call.is_repeated and call.outcome in (Outcome.SOLD, Outcome.REFUNDED):
        return f"the answer was that this purchase was already {done}"
    match call.outcome:
        case None:
            return "the answer is not known"
        case Outcome.UNKNOWN:
            return "the outcome is unknown"
        case Outcome.UNAVAILABLE:
            return "no connection was available, and nothing was sent"
        case Outcome.CONFLICT | Outcome.FAILED:
            attempts = f", after {pluralize(call.attempts, 'attempt')}" if call.attempts and call.attempts > 1 else ""
            cause = f" ({call.cause.replace('_', ' ')})" if call.cause not in (None, Cause.NONE) else ""
            return f"the answer was 'nothing {done}'{attempts}{cause}"
    return f"the answer was '{call.outcome.replace('_', ' ')}'{_reported_state(call, reported)}"


def _reported_state(call: BuyerCall, reported: Collection[tuple[str | None, int]]) -> str:
    """The version and the stock of each event in an answer."""
    parts = []
    for line in call.lines:
        too = " too" if (line.event, line.version) in reported else ""
        version = [] if line.version is None else [f"version {number(line.version)}{too}"]
        stock = [] if line.available is None else [left(line.available)]
        if version or stock:
            parts.append(", ".join(version + stock) + (of_event(line.event) if len(call.lines) > 1 else ""))
    return f", {'; '.join(parts)}" if parts else ""


def _in_the_ledger(calls: Iterable[BuyerCall], crashes_ns: Sequence[int]) -> Iterator[str]:
    """What the ledger holds of each purchase, if the evidence says so."""
    purchases: dict[str | None, dict[str | None, CallLine]] = {}
    crashes: dict[str | None, int | None] = {}
    for call in calls:
        for line in call.lines:
            if line.tickets is not None:
                purchases.setdefault(call.purchase_id, {}).setdefault(line.event, line)
                crashes[call.purchase_id] = crash_after(call, crashes_ns)
    for purchase_id, lines in purchases.items():
        crash = crashes[purchase_id]
        after = "" if crash is None else f"after the crash, {milliseconds(crash)} after the start, "
        name = "this purchase" if len(purchases) == 1 else short_id(purchase_id)
        yield sentence(f"{after}{name} has {_recorded_tickets(list(lines.values()))} in the ledger")


def _recorded_tickets(lines: Sequence[CallLine]) -> str:
    if not any(line.tickets for line in lines):
        return f"no ticket{of_event(lines[0].event) if len(lines) == 1 else ''}"
    parts = [f"{pluralize(line.tickets, 'ticket') if line.tickets else 'none'}{of_event(line.event)}" for line in lines]
    return join_names(parts, most=len(parts))


def _event_sentence(state: EventState) -> str:
    when = "" if state.at_ns is None else f"{milliseconds(state.at_ns)} after the start "
    event = "an event" if state.event is None else f"event {state.event}"
    parts = [pluralize(state.total, "seat")]
    if state.tickets is not None:
        parts.append(f"{pluralize(state.tickets, 'ticket')} in the ledger")
    if state.available is not None:
        at = "" if state.version is None else f" at version {number(state.version)}"
        parts.append(f"{left(state.available)} in stock{at}")
    return sentence(f"{when}{event} {'has' if state.at_ns is None else 'had'} {join_names(parts)}")
