"""The evidence of a verdict as typed calls and ledger states, and one sentence for each. Judges nothing.

Input: rows of evidence. A missing column and an empty cell (NaN) both become None.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeAlias

from ticketlab.outcomes import NOT_SEEN, RETRIES, Cause, Kind, Outcome
from ticketlab.report.phrases import capital, format_id, join_names, number, pluralize

Row: TypeAlias = Mapping[str, Any]

_CALL_COLUMNS: Final = ("outcome", "invoked_ns", "buyer")
"""A row with any of these is a call; every other row describes the ledger."""
_ID_SHOWN: Final = 8
"""Characters of a long purchase id that a sentence shows; the table of the evidence shows all of them."""
_SHORT_ID: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """One event of a call: what was requested, what was answered, and what the ledger holds."""

    place: int
    """Index of the row in the evidence."""
    event: str | None
    quantity: int | None
    version: int | None
    available: int | None
    tickets: int | None
    """Tickets of this purchase in the ledger."""
    free: int | None
    """Seats that were available throughout the call."""
    ticket: int | None
    """The id of a ticket that this purchase shares with another purchase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyerCall:
    """One purchase or refund, with one line per event."""

    buyer: str | None
    kind: Kind
    outcome: Outcome | None
    cause: Cause | None
    purchase_id: str | None
    invoked_ns: int | None
    completed_ns: int | None
    attempts: int | None
    deadlocks: int
    lines: tuple[CallLine, ...]

    @property
    def is_refund(self) -> bool:
        """Whether the call is a refund, whatever its outcome."""
        return self.kind is Kind.REFUND

    @property
    def is_repeated(self) -> bool:
        """Whether the answer was that the same request had been processed before."""
        return self.cause is Cause.REPEATED

    @property
    def changed(self) -> bool:
        """Whether the answer reports a change of the stock."""
        return self.outcome in (Outcome.SOLD, Outcome.REFUNDED) and not self.is_repeated

    @property
    def label(self) -> str:
        """The buyer, as named within a sentence."""
        return "a buyer" if self.buyer is None else f"buyer {self.buyer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The tickets of one purchase in the ledger."""

    event: str | None
    purchase_id: str | None
    tickets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventState:
    """An event as the database has it."""

    event: str | None
    total: int
    tickets: int | None
    available: int | None
    version: int | None
    at_ns: int | None = None
    """When this was observed, in ns since the start of the trial; None for the end of the trial."""

    @property
    def missing(self) -> int:
        """Seats that are neither sold nor in stock; negative if some are both; 0 if unknown."""
        if self.tickets is None or self.available is None:
            return 0
        return self.total - self.tickets - self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All rows of the evidence of one verdict."""

    calls: tuple[BuyerCall, ...]
    """In order of invocation."""
    holdings: tuple[Holding, ...]
    events: tuple[EventState, ...]
    crashes_ns: tuple[int, ...]
    left_behind: Mapping[str, int]
    """What a purchase function left on its connections or in the server, in words, with its count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why the evidence is a violation."""

    short: str
    """A few words that continue a title."""
    why: str
    """One or more sentences, read after the facts."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """What is wrong with a row, in a few words, by the index of the row."""
    calls: Sequence[BuyerCall] = ()
    """The calls that the explanation is about; empty if it is about all of them."""


def parse(rows: Sequence[Row], crashes_ns: Sequence[int] = ()) -> Evidence:
    """Sort the rows of a verdict's evidence into calls, holdings and events."""
    placed = list(enumerate(rows))
    ledger = [row for _, row in placed if not _is_call(row)]
    # The rows of a basket follow one another and form one call.
    groups = groupby(((place, row) for place, row in placed if _is_call(row)), key=_call_key)
    calls = [_call(list(group)) for _, group in groups]
    return Evidence(
        calls=tuple(sorted(calls, key=lambda call: (call.invoked_ns is None, call.invoked_ns or 0))),
        holdings=tuple(_holding(row) for row in ledger if _number(row, "total") is None and "tickets" in row),
        events=tuple(_event_state(row) for row in ledger if _number(row, "total") is not None),
        crashes_ns=tuple(sorted(crashes_ns)),
        left_behind={str(row["left_behind"]): _number(row, "times") or 1 for row in ledger if row.get("left_behind")},
    )


def has_times(row: Row) -> bool:
    """Whether a row has a start and an end, so that it can be drawn."""
    return _number(row, "invoked_ns") is not None and _number(row, "completed_ns") is not None


def marked(lines: Iterable[CallLine], text: str) -> dict[int, str]:
    """The same mark for each of these lines."""
    return dict.fromkeys((line.place for line in lines), text)


def lines_of(calls: Iterable[BuyerCall]) -> list[CallLine]:
    """Every line of these calls."""
    return [line for call in calls for line in call.lines]


def _is_call(row: Row) -> bool:
    return any(_known(row, name) is not None for name in _CALL_COLUMNS)


def _call_key(placed: tuple[int, Row]) -> tuple[object, ...]:
    place, row = placed
    key = tuple(_known(row, name) for name in ("purchase_id", "invoked_ns", "buyer", "kind"))
    return key if None not in key[:2] else (place,)


def _call(placed: Sequence[tuple[int, Row]]) -> BuyerCall:
    row = placed[0][1]
    outcome, cause, kind = (_known(row, name) for name in ("outcome", "cause", "kind"))
    return BuyerCall(
        buyer=_name(row, "buyer"),
        kind=Kind(kind) if kind in set(Kind) else Kind.PURCHASE,
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        cause=Cause(cause) if cause in set(Cause) else None,
        purchase_id=_name(row, "purchase_id"),
        invoked_ns=_number(row, "invoked_ns"),
        completed_ns=_number(row, "completed_ns"),
        attempts=_number(row, "attempts"),
        deadlocks=(_number(row, RETRIES[Cause.DEADLOCK]) or 0) + (cause == Cause.DEADLOCK),
        lines=tuple(_call_line(place, each) for place, each in placed),
    )


def _call_line(place: int, row: Row) -> CallLine:
    answered = {name: _seen(row, name) for name in ("version", "available")}
    numbers = {name: _number(row, name) for name in ("quantity", "tickets", "free", "ticket")}
    return CallLine(place=place, event=_name(row, "event"), **answered, **numbers)


def _holding(row: Row) -> Holding:
    tickets = _number(row, "tickets") or 0
    return Holding(event=_name(row, "event"), purchase_id=_name(row, "purchase_id"), tickets=tickets)


def _event_state(row: Row) -> EventState:
    numbers = {name: _seen(row, name) for name in ("tickets", "available", "version", "at_ns")}
    return EventState(event=_name(row, "event"), total=_number(row, "total") or 0, **numbers)


def _known(row: Row, name: str) -> Any:  # noqa: ANN401 - whatever a cell holds
    """The value of a cell; None for a NaN, which stands where a row had no such column."""
    value = row.get(name)
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not equal to itself


def _name(row: Row, name: str) -> str | None:
    value = _known(row, name)
    return None if value is None else format_id(value)


def _seen(row: Row, name: str) -> int | None:
    value = _number(row, name)
    return None if value == NOT_SEEN else value


def _number(row: Row, name: str) -> int | None:
    value = _known(row, name)
    return int(value) if isinstance(value, int | float) or hasattr(value, "__index__") else None


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


def facts(evidence: Evidence, calls: Iterable[BuyerCall]) -> Iterator[str]:
    """One sentence per call, then what the ledger holds."""
    reported: set[tuple[str | None, int]] = set()
    calls = list(calls)
    for call in calls:
        tickets = join_names([_tickets(line) for line in call.lines], most=len(call.lines))
        yield sentence(f"{call.label} {_request(call)} {tickets}{_times(call)}: {_answer(call, reported)}")
        reported |= {(line.event, line.version) for line in call.lines if line.version is not None}
    yield from _in_the_ledger(evidence, calls)
    yield from map(_event_sentence, evidence.events)
    for held in evidence.holdings:
        tickets = f"{pluralize(held.tickets, 'ticket')}{of_event(held.event)}"
        yield sentence(f"the ledger has {tickets} for {short_id(held.purchase_id)}")


def crash_after(evidence: Evidence, call: BuyerCall) -> int | None:
    """The first crash after a call was answered, in ns since the start of the trial."""
    if call.completed_ns is None:
        return None
    return next((at for at in evidence.crashes_ns if at >= call.completed_ns), None)


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


def _in_the_ledger(evidence: Evidence, calls: Iterable[BuyerCall]) -> Iterator[str]:
    """What the ledger holds of each purchase, if the evidence says so."""
    purchases: dict[str | None, dict[str | None, CallLine]] = {}
    crashes: dict[str | None, int | None] = {}
    for call in calls:
        for line in call.lines:
            if line.tickets is not None:
                purchases.setdefault(call.purchase_id, {}).setdefault(line.event, line)
                crashes[call.purchase_id] = crash_after(evidence, call)
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
