"""Why an answer or a recorded purchase is wrong: missing, unreported, doubled, partial, refused or outdated."""

from collections.abc import Iterator, Sequence

from ticketlab.history.text import verb
from ticketlab.outcomes import Outcome
from ticketlab.report.explain import _stock
from ticketlab.report.explain._evidence import (
    BuyerCall,
    CallLine,
    Evidence,
    Explanation,
    crash_after,
    lines_of,
    marked,
    milliseconds,
    of_event,
    short_id,
)
from ticketlab.report.phrases import join_names, number, pluralize


def phantom_sale(evidence: Evidence) -> Explanation:
    """Tickets or a version in the database that no answer reports."""
    recorded = [line for line in lines_of(evidence.calls) if line.tickets]
    if refunds := _refunds(evidence):
        lines = lines_of(refunds)
        if recorded:
            why = f"{refunds[0].label} was told that the refund was made, but the tickets are still in the ledger."
            short = "a refund was reported, but its tickets are still in the ledger"
            return Explanation(short=short, why=why, marks=marked(lines, "still in the ledger"))
        why = "No answer reports the purchase that was refunded here."
        return Explanation(short="a refund of an unreported purchase", why=why, marks=marked(lines, "never bought"))
    if recorded:
        return Explanation(
            short="tickets of a purchase that was not reported as sold",
            why="The ledger has tickets that were not reported as sold: the buyer does not know of them, and nobody "
            "else can buy these seats.",
            marks=marked(recorded, "in the ledger"),
        )
    if evidence.holdings:
        unreported = f"no answer reports {short_id(evidence.holdings[0].purchase_id)}"
        return Explanation(short=unreported, why=unreported)
    short = "a change of the stock that no answer reports"
    if not lines_of(evidence.calls):
        return Explanation(short=short, why="The event has a version that no answer reports.")
    return _stock.unreported_version(evidence) or Explanation(
        short=short,
        why="No answer reports the version before or after the one shown here.",
        marks=marked(lines_of(evidence.calls), "next to an unreported version"),
    )


def lost_sale(evidence: Evidence) -> Explanation:
    """A reported sale or refund that the ledger does not have."""
    reported = [call for call in evidence.calls if call.outcome in (Outcome.SOLD, Outcome.REFUNDED)]
    if not reported:
        return Explanation(short="a sale that is not in the ledger", why="A reported sale must be in the ledger.")
    call = reported[-1]
    what = "refund" if call.is_refund else "sale"
    crash = crash_after(evidence, call)
    if crash is None:
        short, why = "is not in the ledger", f"The {what} was reported to {call.label}, so it must be in the ledger."
    else:
        before = milliseconds(crash - (call.completed_ns or 0))
        short = "did not survive the crash"
        why = f"The {what} was reported to {call.label} {before} before the crash, so it must survive the crash."
    part = "a part of " if not call.is_refund and any(line.tickets for line in call.lines) else ""
    lines = [line for line in call.lines if _is_lost(call, line)] or call.lines
    marks = {line.place: _loss(call, line) for line in lines}
    return Explanation(short=f"{part}the {what} to {call.label} {short}", why=why, marks=marks)


def _is_lost(call: BuyerCall, line: CallLine) -> bool:
    if call.is_refund:
        return bool(line.tickets)
    return line.quantity is None or (line.tickets or 0) < line.quantity


def _loss(call: BuyerCall, line: CallLine) -> str:
    if call.is_refund:
        return "tickets still in the ledger"
    return f"only {number(line.tickets)} in the ledger" if line.tickets else "not in the ledger"


def false_sold_out(evidence: Evidence) -> Explanation:
    """A refusal although enough seats were available, by the reported stock or throughout the call."""
    refused = [call for call in evidence.calls if call.outcome is Outcome.SOLD_OUT] or evidence.calls
    short = f"{refused[0].label if refused else 'a buyer'} was told 'sold out' although enough seats were available"
    for line in lines_of(refused):
        if line.quantity is None:
            continue
        request = f"The buyer asked for {pluralize(line.quantity, 'ticket')}{of_event(line.event)}"
        request += " and was told 'sold out', but"
        if line.available is not None and line.available >= line.quantity:
            why, mark = f"{request} the reported stock was {number(line.available)}.", "enough were left"
            return Explanation(short=short, why=why, marks=marked([line], mark))
        if line.free is not None and line.free >= line.quantity:
            available = f"at least {number(line.free)} {verb(line.free, 'was')} available"
            why = f"{request} {available} throughout the call."
            return Explanation(short=short, why=why, marks=marked([line], available))
    why = "At every moment of the call enough seats were available."
    return Explanation(short=short, why=why, marks=marked(lines_of(refused), "enough were available"))


def stale_read(evidence: Evidence) -> Explanation:
    """An answer that contradicts the real-time order of the calls."""
    for later, line, before, known in _reversed_versions(evidence):
        return _explain_reversal(later, line, before, known)
    if repeated := [call for call in evidence.calls if call.is_repeated]:
        call = repeated[-1]
        if call.is_refund:
            why = f"{call.label} was told that the purchase was already refunded, but it existed throughout the call."
        else:
            why = f"{call.label} was told that the purchase was already sold, but it did not exist during the call."
        short = f"{call.label} was told of a state that did not exist during the call"
        return Explanation(short=short, why=why, marks=marked(call.lines, "not during the call"))
    if len(evidence.calls) > 1:
        return Explanation(
            short=f"{pluralize(len(evidence.calls), 'call')} whose order is a cycle",
            why="By its answer each of these calls comes before the next, and the last before the first: no order "
            "explains all of them.",
            marks=marked(lines_of(evidence.calls), "in the cycle"),
        )
    has_version = any(line.version is not None for line in lines_of(evidence.calls))
    why = (
        "The answer came from a version that had already been replaced when the call began."
        if has_version
        else "No state during the call explains the answer."
    )
    return Explanation(short="an outdated answer", why=why, marks=marked(lines_of(evidence.calls), "outdated"))


def _reversed_versions(evidence: Evidence) -> Iterator[tuple[BuyerCall, CallLine, BuyerCall, CallLine]]:
    """Calls that report an older version than a call that was answered before they began."""
    for later in evidence.calls:
        for before in evidence.calls:
            if later.invoked_ns is None or before.completed_ns is None or before.completed_ns >= later.invoked_ns:
                continue
            for line, known in ((line, known) for line in later.lines for known in before.lines):
                if line.version is None or known.version is None or line.event != known.event:
                    continue
                if line.version < known.version or (line.version == known.version and later.changed):
                    yield later, line, before, known


def _explain_reversal(later: BuyerCall, line: CallLine, before: BuyerCall, known: CallLine) -> Explanation:
    waited = milliseconds((later.invoked_ns or 0) - (before.completed_ns or 0))
    newer, older = number(known.version or 0), number(line.version or 0)
    verb_of_call = "made" if later.changed else "was answered from"
    return Explanation(
        short=f"{later.label} was answered from a version that had already been replaced",
        why=f"{later.label} called {waited} after {before.label} had been answered. Version {newer}"
        f"{of_event(line.event)} existed by then, but the call {verb_of_call} version {older}.",
        marks=marked([line], f"after version {newer}"),
        calls=(before, later),
    )


def deadlock(evidence: Evidence) -> Explanation:
    """Transactions that waited for each other."""
    met = [call for call in evidence.calls if call.deadlocks] or evidence.calls
    name = met[0].label if met else "a buyer"
    count = met[0].deadlocks if met else 1
    times = f"{number(count)} deadlocks" if count > 1 else "a deadlock"
    retried = " and the purchase was sold at a later attempt" if met and met[0].outcome is Outcome.SOLD else ""
    return Explanation(
        short=f"{name} met {times}",
        why=f"{name} met {times}: its transaction and another one each waited for a lock that the other held. "
        f"PostgreSQL aborted it{retried}. No ticket is wrong; locking rows in one fixed order prevents deadlocks.",
        marks=marked(lines_of(met), times),
    )


def double_sale(evidence: Evidence) -> Explanation:
    """One purchase, sold more than once."""
    for line in lines_of(evidence.calls):
        if line.tickets is not None and line.quantity is not None and line.tickets > line.quantity:
            return Explanation(
                short=f"{pluralize(line.tickets, 'ticket')} for a purchase of {number(line.quantity)}",
                why=f"The buyer asked for {pluralize(line.quantity, 'ticket')}{of_event(line.event)} and owns "
                f"{number(line.tickets)} under one purchase id: {number(line.tickets - line.quantity)} too many.",
                marks=marked([line], f"{number(line.tickets)} in the ledger"),
            )
    sales = [call for call in evidence.calls if call.outcome is Outcome.SOLD and not call.is_repeated]
    return _more_than_once(sales, "sold", "the buyer requested it once")


def double_refund(evidence: Evidence) -> Explanation:
    """One purchase, refunded more than once."""
    return _more_than_once(_refunds(evidence), "refunded", "its tickets were added to the stock each time")


def _refunds(evidence: Evidence) -> list[BuyerCall]:
    return [call for call in evidence.calls if call.is_refund and call.changed]


def _more_than_once(calls: Sequence[BuyerCall], done: str, but: str) -> Explanation:
    name = short_id(calls[0].purchase_id) if calls else "a purchase"
    times = {0: "more than once", 1: "more than once", 2: "twice"}.get(len(calls), f"{len(calls)} times")
    versions = [number(line.version) for line in lines_of(calls) if line.version is not None]
    at = f", at versions {join_names(versions)}" if len(versions) > 1 else ""
    short = f"{name} was {done} {times}"
    return Explanation(
        short=short, why=f"{short}{at}: {but}.", marks=marked(lines_of(calls[1:] or calls), f"{done} again")
    )


def half_purchase(evidence: Evidence) -> Explanation:
    """A purchase or a refund of which only a part was made."""
    refunds = _refunds(evidence)
    lines = [line for line in lines_of(evidence.calls) if line.tickets is not None]
    if refunds and not lines:
        return Explanation(
            short="a partial refund",
            why="The refund differs from the purchase: a purchase must be refunded completely or not at all.",
            marks=marked(lines_of(refunds), "not what was bought"),
        )
    for state in evidence.events:
        if state.missing and (state.at_ns is not None or not evidence.calls):
            count, moment = abs(state.missing), "" if state.at_ns is None else " for a moment"
            where = "neither sold nor in stock" if state.missing > 0 else "both sold and in stock"
            return Explanation(
                short=f"{pluralize(count, 'seat')}{of_event(state.event)} {verb(count, 'was')} {where}{moment}",
                why="The stock and the tickets of a sale or a refund were not committed together.",
            )
    partial = [line for line in lines if line.quantity is not None and (line.tickets or 0) != line.quantity]
    return Explanation(
        short=f"a partial purchase of {evidence.calls[0].label if evidence.calls else 'a buyer'}",
        why="The ledger must have all tickets of a purchase or none, but it has a part of them.",
        marks={
            line.place: f"{number(line.tickets)} of {number(line.quantity or 0)} in the ledger"
            if line.tickets
            else "none in the ledger"
            for line in partial
        },
    )
