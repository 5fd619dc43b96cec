"""What is wrong with the operations of a violation: found once, when the verdict is made. Words are left to its views.

`diagnose` takes an anomaly and its evidence, and finds the reason, the calls that show it and the lines that are wrong.
Evidence that lacks what a diagnosis needs gets a more general one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, auto
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from ticketlab.checks.evidence import BuyerCall, CallLine, EventState, Evidence, lines_of
from ticketlab.checks.verdict import Anomaly
from ticketlab.outcomes import Outcome

_FIRST_VERSION: Final = 2
"""The version that the first change of an event makes."""


class Reason(StrEnum):
    """Why the evidence is a violation."""

    MORE_TICKETS_THAN_SEATS = auto()
    SEATS_SOLD_AGAIN = auto()
    BEYOND_LAST_SEAT = auto()
    SAME_TICKET = auto()
    """One ticket belongs to several sales."""
    STOCK_TOO_LOW = auto()
    STOCK_TOO_HIGH = auto()
    TAKEN_WITHOUT_SALE = auto()
    MADE_TWICE = auto()
    """Several calls made one version."""
    OVERWRITTEN = auto()
    """The stock of a version is higher than the version before and its own tickets make it."""
    TOOK_TOO_MUCH = auto()
    """It is lower."""
    SOLD_WITHOUT_STOCK = auto()
    """The version before had too few tickets."""
    WRONG_FIRST_STOCK = auto()
    DOES_NOT_FOLLOW = auto()
    REFUNDED_BEFORE_SALE = auto()
    ROLLED_BACK = auto()
    """Several calls made one version, and the ledger lacks the tickets of one."""
    READ_OTHER_STOCK = auto()
    """A call saw a version with another stock than the call that made it."""
    NEVER_COMMITTED = auto()
    DID_NOT_LAST = auto()
    REFUND_NOT_MADE = auto()
    REFUND_WITHOUT_PURCHASE = auto()
    NOT_REPORTED_SOLD = auto()
    UNREPORTED_PURCHASE = auto()
    UNREPORTED_CHANGE = auto()
    NEXT_TO_UNREPORTED = auto()
    UNREPORTED_VERSIONS = auto()
    LOST = auto()
    LOST_UNSEEN = auto()
    """No call of the evidence reports what was lost."""
    ENOUGH_REPORTED = auto()
    ENOUGH_FREE = auto()
    ENOUGH_AT_ALL_TIMES = auto()
    ALREADY_REPLACED = auto()
    """A call saw an older version than a call that was answered before it began."""
    NOT_DURING_CALL = auto()
    CYCLE = auto()
    OUTDATED_VERSION = auto()
    NO_SUCH_STATE = auto()
    TOO_MANY_TICKETS = auto()
    SOLD_AGAIN = auto()
    REFUNDED_AGAIN = auto()
    PARTIAL_REFUND = auto()
    PARTIAL_PURCHASE = auto()
    STOCK_AND_TICKETS_APART = auto()
    DEADLOCK = auto()
    CHANGED_SETUP = auto()
    WRONG_TICKETS = auto()
    LEFT_BEHIND = auto()


_SHOWN_BY_ITS_CALLS: Final = {
    Reason.MADE_TWICE, Reason.ROLLED_BACK, Reason.OVERWRITTEN, Reason.TOOK_TOO_MUCH, Reason.SOLD_WITHOUT_STOCK,
    Reason.UNREPORTED_VERSIONS, Reason.ALREADY_REPLACED, Reason.WRONG_TICKETS,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why the evidence is a violation, and which part of it is wrong."""

    reason: Reason
    calls: tuple[BuyerCall, ...] = ()
    """The calls that it names, in version order or in order of invocation."""
    lines: tuple[CallLine, ...] = ()
    """The lines that are wrong."""
    compared: tuple[CallLine, ...] = ()
    """A line of each of the two calls that disagree; the second is wrong."""
    expected: int = 0
    """The stock that the wrong line should have."""
    events: tuple[EventState, ...] = ()
    """The event of the ledger that is wrong."""
    oversold: EventState | None = None
    """The event that has more tickets than seats, if the ledger shows it."""
    purchase_id: str | None = None
    left_behind: Mapping[str, int] = field(default_factory=dict)

    @property
    def shown_by(self) -> tuple[BuyerCall, ...]:
        """The calls that alone show it; none if that takes all of the evidence."""
        return self.calls if self.reason in _SHOWN_BY_ITS_CALLS else ()


def diagnose(anomaly: Anomaly | None, evidence: Evidence) -> Diagnosis | None:
    """What is wrong, as far as the evidence shows it; None without an anomaly."""
    return _DIAGNOSES[anomaly](evidence) if anomaly else None


class _ReportedVersion(NamedTuple):
    """A version in the answer of a call."""

    call: BuyerCall
    line: CallLine

    @property
    def key(self) -> tuple[str, int]:
        """The event and the version; sorts into version order."""
        return self.line.event or "", self.line.version or 0


def _version_writes(evidence: Evidence) -> list[_ReportedVersion]:
    """The versions that the answers report as made, in version order."""
    writes = [
        _ReportedVersion(call, line)
        for call in evidence.calls
        if call.changed
        for line in call.lines
        if line.version is not None
    ]
    return sorted(writes, key=lambda each: (*each.key, each.call.completed_ns or 0))


def _oversell(evidence: Evidence) -> Diagnosis:
    """More tickets than seats, by the ledger, and its cause as far as the calls show it."""
    cause = _same_ticket(evidence) or _made_twice(evidence) or _stock_mismatch(evidence)
    over = next((each for each in evidence.events if (each.tickets or 0) > each.total), None)
    if over is not None:
        return replace(cause or Diagnosis(reason=Reason.MORE_TICKETS_THAN_SEATS), oversold=over)
    beyond = Reason.BEYOND_LAST_SEAT if evidence.calls else Reason.SEATS_SOLD_AGAIN
    return cause or Diagnosis(reason=beyond, calls=evidence.calls, lines=evidence.lines)


def _same_ticket(evidence: Evidence) -> Diagnosis | None:
    lines = tuple(line for line in evidence.lines if line.ticket is not None)
    return Diagnosis(reason=Reason.SAME_TICKET, calls=evidence.calls, lines=lines) if lines else None


def _made_twice(evidence: Evidence) -> Diagnosis | None:
    """The first version of an event that several calls made."""
    groups = (list(group) for _, group in groupby(_version_writes(evidence), key=lambda each: each.key))
    writes = next((group for group in groups if len(group) > 1), None)
    if writes is None:
        return None
    calls, lines = zip(*writes, strict=True)
    return Diagnosis(reason=Reason.MADE_TWICE, calls=calls, lines=lines)


def _stock_mismatch(evidence: Evidence) -> Diagnosis | None:
    """The first version whose stock is not that of the version before it, plus or minus its own tickets."""
    for before, after in pairwise(_version_writes(evidence)):
        follows = after.key == (before.key[0], before.key[1] + 1)
        quantity, had, has = after.line.quantity, before.line.available, after.line.available
        if not follows or quantity is None or had is None or has is None:
            continue
        expected = had + quantity if after.call.is_refund else had - quantity
        if has != expected:
            beyond = Reason.SOLD_WITHOUT_STOCK if expected < 0 else None
            reason = beyond or (Reason.OVERWRITTEN if has > expected else Reason.TOOK_TOO_MUCH)
            return replace(_pair(reason, before, after), expected=expected)
    return None


def _pair(reason: Reason, before: _ReportedVersion, after: _ReportedVersion) -> Diagnosis:
    """Two calls that disagree, of which the second is wrong."""
    compared = before.line, after.line
    return Diagnosis(reason=reason, calls=(before.call, after.call), compared=compared, lines=compared[1:])


def _undersell(evidence: Evidence) -> Diagnosis:
    """Stock that was taken without a ticket."""
    low = next((each for each in evidence.events if each.missing > 0), None)
    if low is not None:
        return Diagnosis(reason=Reason.STOCK_TOO_LOW, events=(low,))
    return _stock_mismatch(evidence) or Diagnosis(reason=Reason.TAKEN_WITHOUT_SALE)


def _lost_update(evidence: Evidence) -> Diagnosis:
    """Two sales computed from one stock."""
    if cause := _made_twice(evidence) or _stock_mismatch(evidence):
        return cause
    high = next((each for each in evidence.events if each.missing < 0), None)
    if high is not None:
        return Diagnosis(reason=Reason.STOCK_TOO_HIGH, events=(high,))
    return _first_change(evidence) or Diagnosis(reason=Reason.DOES_NOT_FOLLOW, lines=evidence.lines)


def _first_change(evidence: Evidence) -> Diagnosis | None:
    """The first version alone: an event starts at version 1 with all its seats."""
    first = next(iter(_version_writes(evidence)), None)
    if first is None or first.key[1] != _FIRST_VERSION or None in (first.line.quantity, first.line.available):
        return None
    return Diagnosis(reason=Reason.WRONG_FIRST_STOCK, lines=(first.line,))


def _dirty_read(evidence: Evidence) -> Diagnosis:
    """A change that did not last, and the call that saw it."""
    if early := _refunded_too_early(evidence):
        return early
    if twice := _made_twice(evidence):
        return replace(twice, reason=Reason.ROLLED_BACK)
    return _different_stock(evidence) or _never_committed(evidence)


def _refunded_too_early(evidence: Evidence) -> Diagnosis | None:
    bought = {call.purchase_id for call in evidence.calls if not call.is_refund}
    early = next((call for call in _refunds(evidence) if call.purchase_id in bought), None)
    if early is None:
        return None
    return Diagnosis(reason=Reason.REFUNDED_BEFORE_SALE, calls=(early,), lines=early.lines)


def _different_stock(evidence: Evidence) -> Diagnosis | None:
    reads = [_ReportedVersion(call, line) for call in evidence.calls for line in call.lines]
    for maker in _version_writes(evidence):
        had = maker.line
        for read in (each for each in reads if each.call is not maker.call):
            seen = read.line
            same = (seen.event, seen.version) == (had.event, had.version)
            if same and None not in (had.available, seen.available) and had.available != seen.available:
                return _pair(Reason.READ_OTHER_STOCK, maker, read)
    return None


def _never_committed(evidence: Evidence) -> Diagnosis:
    seen = [(call, line) for call in evidence.calls for line in call.lines if line.version is not None]
    if not seen:
        return Diagnosis(reason=Reason.DID_NOT_LAST)
    return Diagnosis(reason=Reason.NEVER_COMMITTED, calls=(seen[-1][0],), lines=(seen[-1][1],))


def _phantom_sale(evidence: Evidence) -> Diagnosis:
    """Tickets or a version in the database that no answer reports."""
    recorded = tuple(line for line in evidence.lines if line.tickets)
    if refunds := _refunds(evidence):
        reason = Reason.REFUND_NOT_MADE if recorded else Reason.REFUND_WITHOUT_PURCHASE
        return Diagnosis(reason=reason, calls=refunds, lines=lines_of(refunds))
    if recorded:
        return Diagnosis(reason=Reason.NOT_REPORTED_SOLD, lines=recorded)
    if evidence.holdings:
        return Diagnosis(reason=Reason.UNREPORTED_PURCHASE, purchase_id=evidence.holdings[0].purchase_id)
    if not evidence.lines:
        return Diagnosis(reason=Reason.UNREPORTED_CHANGE)
    return _unreported_versions(evidence) or Diagnosis(reason=Reason.NEXT_TO_UNREPORTED, lines=evidence.lines)


def _unreported_versions(evidence: Evidence) -> Diagnosis | None:
    """The first versions between two others that no answer reports."""
    for before, after in pairwise(_version_writes(evidence)):
        if before.key[0] == after.key[0] and after.key[1] - before.key[1] > 1:
            return _pair(Reason.UNREPORTED_VERSIONS, before, after)
    return None


def _lost_sale(evidence: Evidence) -> Diagnosis:
    """A reported sale or refund that the ledger does not have."""
    reported = [call for call in evidence.calls if call.outcome in (Outcome.SOLD, Outcome.REFUNDED)]
    if not reported:
        return Diagnosis(reason=Reason.LOST_UNSEEN)
    call = reported[-1]
    lost = tuple(line for line in call.lines if _is_lost(call, line))
    return Diagnosis(reason=Reason.LOST, calls=(call,), lines=lost or call.lines)


def _is_lost(call: BuyerCall, line: CallLine) -> bool:
    if call.is_refund:
        return bool(line.tickets)
    return line.quantity is None or (line.tickets or 0) < line.quantity


def _false_sold_out(evidence: Evidence) -> Diagnosis:
    """A refusal although enough seats were available, by the reported stock or throughout the call."""
    refused = tuple(call for call in evidence.calls if call.outcome is Outcome.SOLD_OUT) or evidence.calls
    for line in lines_of(refused):
        for reason, left in ((Reason.ENOUGH_REPORTED, line.available), (Reason.ENOUGH_FREE, line.free)):
            if line.quantity is not None and left is not None and left >= line.quantity:
                return Diagnosis(reason=reason, calls=refused[:1], lines=(line,))
    return Diagnosis(reason=Reason.ENOUGH_AT_ALL_TIMES, calls=refused[:1], lines=lines_of(refused))


def _stale_read(evidence: Evidence) -> Diagnosis:
    """An answer that contradicts the real-time order of the calls."""
    if reversed_ := next(_reversed_versions(evidence), None):
        return reversed_
    if repeated := [call for call in evidence.calls if call.is_repeated]:
        return Diagnosis(reason=Reason.NOT_DURING_CALL, calls=(repeated[-1],), lines=repeated[-1].lines)
    if len(evidence.calls) > 1:
        return Diagnosis(reason=Reason.CYCLE, calls=evidence.calls, lines=evidence.lines)
    has_version = any(line.version is not None for line in evidence.lines)
    outdated = Reason.OUTDATED_VERSION if has_version else Reason.NO_SUCH_STATE
    return Diagnosis(reason=outdated, lines=evidence.lines)


def _reversed_versions(evidence: Evidence) -> Iterator[Diagnosis]:
    """Calls that report an older version than a call that was answered before they began."""
    for later in evidence.calls:
        for before in evidence.calls:
            if later.invoked_ns is None or before.completed_ns is None or before.completed_ns >= later.invoked_ns:
                continue
            for line, known in ((line, known) for line in later.lines for known in before.lines):
                if line.version is None or known.version is None or line.event != known.event:
                    continue
                if line.version < known.version or (line.version == known.version and later.changed):
                    yield _pair(Reason.ALREADY_REPLACED, _ReportedVersion(before, known), _ReportedVersion(later, line))


def _double_sale(evidence: Evidence) -> Diagnosis:
    """One purchase, sold more than once."""
    for line in evidence.lines:
        if line.tickets is not None and line.quantity is not None and line.tickets > line.quantity:
            return Diagnosis(reason=Reason.TOO_MANY_TICKETS, lines=(line,))
    sales = (call for call in evidence.calls if call.outcome is Outcome.SOLD and not call.is_repeated)
    return _more_than_once(Reason.SOLD_AGAIN, sales)


def _double_refund(evidence: Evidence) -> Diagnosis:
    """One purchase, refunded more than once."""
    return _more_than_once(Reason.REFUNDED_AGAIN, _refunds(evidence))


def _refunds(evidence: Evidence) -> tuple[BuyerCall, ...]:
    return tuple(call for call in evidence.calls if call.is_refund and call.changed)


def _more_than_once(reason: Reason, done: Iterable[BuyerCall]) -> Diagnosis:
    calls = tuple(done)
    return Diagnosis(reason=reason, calls=calls, lines=lines_of(calls[1:] or calls))


def _half_purchase(evidence: Evidence) -> Diagnosis:
    """A purchase or a refund of which only a part was made."""
    refunds = _refunds(evidence)
    lines = [line for line in evidence.lines if line.tickets is not None]
    if refunds and not lines:
        return Diagnosis(reason=Reason.PARTIAL_REFUND, lines=lines_of(refunds))
    for state in evidence.events:
        if state.missing and (state.at_ns is not None or not evidence.calls):
            return Diagnosis(reason=Reason.STOCK_AND_TICKETS_APART, events=(state,))
    partial = tuple(line for line in lines if line.quantity is not None and (line.tickets or 0) != line.quantity)
    return Diagnosis(reason=Reason.PARTIAL_PURCHASE, calls=evidence.calls[:1], lines=partial)


def _deadlock(evidence: Evidence) -> Diagnosis:
    """Transactions that waited for each other."""
    met = tuple(call for call in evidence.calls if call.deadlocks) or evidence.calls
    return Diagnosis(reason=Reason.DEADLOCK, calls=met, lines=lines_of(met))


def _wrong_tickets(evidence: Evidence) -> Diagnosis:
    calls = evidence.calls[:1]
    return Diagnosis(reason=Reason.WRONG_TICKETS, calls=calls, lines=lines_of(calls))


_DIAGNOSES: Final[Mapping[Anomaly, Callable[[Evidence], Diagnosis]]] = {
    Anomaly.OVERSELL: _oversell,
    Anomaly.UNDERSELL: _undersell,
    Anomaly.LOST_UPDATE: _lost_update,
    Anomaly.DIRTY_READ: _dirty_read,
    Anomaly.PHANTOM_SALE: _phantom_sale,
    Anomaly.LOST_SALE: _lost_sale,
    Anomaly.FALSE_SOLD_OUT: _false_sold_out,
    Anomaly.STALE_READ: _stale_read,
    Anomaly.DOUBLE_SALE: _double_sale,
    Anomaly.DOUBLE_REFUND: _double_refund,
    Anomaly.HALF_PURCHASE: _half_purchase,
    Anomaly.DEADLOCK: _deadlock,
    Anomaly.CHANGED_SETUP: lambda _evidence: Diagnosis(reason=Reason.CHANGED_SETUP),
    Anomaly.WRONG_TICKETS: _wrong_tickets,
    Anomaly.UNCLEAN_CONNECTION: lambda evidence: Diagnosis(reason=Reason.LEFT_BEHIND, left_behind=evidence.left_behind),
}
"""Of every anomaly."""
