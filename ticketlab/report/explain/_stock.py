"""Why a stock or a version is wrong: oversell, undersell, lost update, dirty read. Evidence in, explanation out."""

from itertools import groupby, pairwise
from typing import Final, NamedTuple

from ticketlab.history.text import plural, verb
from ticketlab.report.explain._evidence import (
    BuyerCall,
    CallLine,
    EventState,
    Evidence,
    Explanation,
    left,
    lines_of,
    marked,
    of_event,
    seats,
    sentence,
)
from ticketlab.report.phrases import join_names, number, pluralize

_FIRST_VERSION: Final = 2
"""The version that the first change of an event makes."""


class VersionWrite(NamedTuple):
    """A version that a call reported to have made."""

    call: BuyerCall
    line: CallLine

    @property
    def key(self) -> tuple[str, int]:
        """The event and the version; sorts into version order."""
        return self.line.event or "", self.line.version or 0

    @property
    def version(self) -> str:
        """The version in words."""
        return f"version {number(self.key[1])}"


def version_writes(evidence: Evidence) -> list[VersionWrite]:
    """The reported versions in version order."""
    writes = [
        VersionWrite(call, line)
        for call in evidence.calls
        if call.changed
        for line in call.lines
        if line.version is not None
    ]
    return sorted(writes, key=lambda each: (*each.key, each.call.completed_ns or 0))


def oversell(evidence: Evidence) -> Explanation:
    """More tickets than seats, by the ledger, and its cause as far as the calls show it."""
    cause = _same_ticket(evidence) or _made_twice(evidence) or _stock_mismatch(evidence)
    over = next((each for each in evidence.events if (each.tickets or 0) > each.total), None)
    if over is None:
        return cause or _beyond_the_last_seat(evidence)
    excess = (over.tickets or 0) - over.total
    why = f"That is {number(excess)} more {plural(excess, 'ticket')} than seats."
    if cause is None:
        return Explanation(short=f"{pluralize(excess, 'ticket')} too many{of_event(over.event)}", why=why)
    return Explanation(short=cause.short, why=f"{why} {sentence(cause.why)}", marks=cause.marks, calls=cause.calls)


def _same_ticket(evidence: Evidence) -> Explanation | None:
    """One ticket id in the ledger for several sales."""
    lines = [line for line in lines_of(evidence.calls) if line.ticket is not None]
    if not lines:
        return None
    owners = list(dict.fromkeys(call.label for call in evidence.calls))
    whose = f"{join_names(owners)} own the same ticket" if len(owners) > 1 else f"{owners[0]} owns one ticket twice"
    why = "The ledger has two tickets with the same id: one seat was sold twice."
    return Explanation(short=whose, why=why, marks=marked(lines, "its ticket is in the ledger twice"))


def _beyond_the_last_seat(evidence: Evidence) -> Explanation:
    if not evidence.calls:
        return Explanation(short="seats were sold more than once", why="More tickets were sold than there are seats.")
    lines, first, several = lines_of(evidence.calls), evidence.calls[0], len(evidence.calls) > 1
    order = "of the answers" if any(line.version is None for line in lines) else "of the versions"
    whose = "these are sales" if several else f"{first.label} made the first sale"
    why = f"In the order {order} every seat had already been sold: {whose} beyond the last seat."
    shown = first.lines[0].available
    if not several and shown is not None and shown >= 0:
        why += f" The reported stock, {left(shown)}, was wrong."
    short = "seats were sold twice" if several else f"{first.label} was sold a seat that was already sold"
    return Explanation(short=short, why=why, marks=marked(lines, "beyond the last seat"))


def undersell(evidence: Evidence) -> Explanation:
    """Stock that was taken without a ticket."""
    for state in evidence.events:
        if state.missing > 0:
            count, are = pluralize(state.missing, "seat"), f"{verb(state.missing, 'is')} neither sold nor in stock"
            why = f"{_expected_stock(state)}, so {count} {are}."
            return Explanation(short=f"{count}{of_event(state.event)} {are}", why=why)
    missing = "stock was reduced without a sale"
    return _stock_mismatch(evidence) or Explanation(short=missing, why=sentence(missing))


def lost_update(evidence: Evidence) -> Explanation:
    """Two sales computed from one stock."""
    if cause := _made_twice(evidence) or _stock_mismatch(evidence):
        return cause
    for state in evidence.events:
        if state.missing < 0:
            count = pluralize(-state.missing, "ticket")
            why = (
                f"{_expected_stock(state)}, so it did not fall for {count}. Either another sale overwrote it, or "
                "tickets were inserted twice; these operations do not show which."
            )
            return Explanation(short=f"the stock{of_event(state.event)} did not fall for {count}", why=why)
    return _first_change(evidence) or Explanation(
        short="a stock that does not follow from the earlier sales",
        why="The reported stock does not follow from the earlier sales: one of them was overwritten.",
        marks=marked(lines_of(evidence.calls), "does not follow"),
    )


def _first_change(evidence: Evidence) -> Explanation | None:
    """The first version alone: an event starts at version 1 with all its seats."""
    first = next(iter(version_writes(evidence)), None)
    if first is None or first.key[1] != _FIRST_VERSION or None in (first.line.quantity, first.line.available):
        return None
    sold = number(first.line.quantity or 0)
    why = (
        f"{first.version} is the first change{of_event(first.line.event)}, so all seats less {sold} must be left, but "
        f"{seats(first.line.available or 0)} were reported."
    )
    mark = marked([first.line], f"not all seats less {sold}")
    return Explanation(short="the first sale reported a wrong stock", why=why, marks=mark)


def _expected_stock(state: EventState) -> str:
    return f"The stock{of_event(state.event)} should be {seats(state.total - (state.tickets or 0))}"


def dirty_read(evidence: Evidence) -> Explanation:
    """A change that did not last, and the call that saw it."""
    return (
        _refunded_too_early(evidence)
        or _rolled_back(evidence)
        or _different_stock(evidence)
        or _never_committed(evidence)
    )


def _refunded_too_early(evidence: Evidence) -> Explanation | None:
    for refund in evidence.calls:
        purchases = (each for each in evidence.calls if not each.is_refund and each.purchase_id == refund.purchase_id)
        if refund.is_refund and refund.changed and next(purchases, None) is not None:
            return Explanation(
                short="a purchase was refunded before it was sold",
                why=f"In version order the refund of {refund.label} comes before its purchase.",
                marks=marked(refund.lines, "before its purchase"),
            )
    return None


def _rolled_back(evidence: Evidence) -> Explanation | None:
    twice = _made_twice(evidence)
    if twice is None:
        return None
    why = (
        f"{twice.short}, but a version is made only once. The ledger does not have both sales: one was reported and "
        "then rolled back."
    )
    return Explanation(short=twice.short, why=why, marks=twice.marks, calls=twice.calls)


def _different_stock(evidence: Evidence) -> Explanation | None:
    """A call that saw a version with another stock than the call that made it."""
    for maker in version_writes(evidence):
        had = maker.line.available
        others = [(call, line) for call in evidence.calls if call is not maker.call for line in call.lines]
        for call, line in others:
            if (line.event, line.version) != (maker.line.event, maker.line.version):
                continue
            if had is None or line.available is None or line.available == had:
                continue
            why = (
                f"{maker.call.label} made {maker.version}{of_event(line.event)} with {left(had)}, but {call.label} "
                f"read {left(line.available)}: a stock that was never committed."
            )
            mark = marked([line], f"{maker.version} had {left(had)}")
            return Explanation(short=f"{call.label} read a stock that was never committed", why=why, marks=mark)
    return None


def _never_committed(evidence: Evidence) -> Explanation:
    seen = [VersionWrite(call, line) for call in evidence.calls for line in call.lines if line.version is not None]
    if not seen:
        return Explanation(short="a change that was rolled back", why="The answer reports a change that did not last.")
    last = seen[-1]
    version = f"{last.version}{of_event(last.line.event)}"
    return Explanation(
        short=f"{version} was never committed",
        why=f"No committed sale or refund made {version}: {last.call.label} was answered from a change that was rolled "
        "back or never made.",
        marks=marked([last.line], "no such version"),
    )


def _made_twice(evidence: Evidence) -> Explanation | None:
    """The first version of an event that several calls made."""
    groups = (list(group) for _, group in groupby(version_writes(evidence), key=lambda each: each.key))
    writes = next((group for group in groups if len(group) > 1), None)
    if writes is None:
        return None
    pair = len(writes) == 2  # noqa: PLR2004 - two are both
    version = f"{writes[0].version}{of_event(writes[0].line.event)}"
    names = list(dict.fromkeys(each.call.label for each in writes))
    if len(names) > 1:
        short = f"{join_names(names)} {'both' if pair else 'all'} made {version}"
    else:
        short = f"{names[0]} made {version} {'twice' if pair else 'more than once'}"
    overwrote = "the later sale overwrote the earlier one" if pair else "the later sales overwrote the first"
    return Explanation(
        short=short,
        why=f"{version} can be made only once: {overwrote}.",
        marks=marked([each.line for each in writes], "made twice" if pair else "made more than once"),
        calls=[each.call for each in writes],
    )


def _stock_mismatch(evidence: Evidence) -> Explanation | None:
    """The first version whose stock is not that of the version before it, plus or minus its own tickets."""
    for before, after in pairwise(version_writes(evidence)):
        follows = after.key == (before.key[0], before.key[1] + 1)
        quantity, had, has = after.line.quantity, before.line.available, after.line.available
        if not follows or quantity is None or had is None or has is None:
            continue
        expected = had + quantity if after.call.is_refund else had - quantity
        if has != expected:
            return _explain_mismatch(before, after, expected)
    return None


def _explain_mismatch(before: VersionWrite, after: VersionWrite, expected: int) -> Explanation:
    name, has, quantity = after.call.label, after.line.available or 0, after.line.quantity or 0
    if expected < 0:
        what = f"{name} was sold seats that were not there, and the reported stock does not show it"
        short = f"{name} was sold more than was left{of_event(after.line.event)}"
    elif has > expected:
        what = f"{name} did not start from the stock before, so a sale was overwritten"
        short = f"a sale{of_event(after.line.event)} was overwritten"
    else:
        what = f"more was taken from the stock than {name} bought"
        short = f"the purchase of {name} took more from the stock than its tickets"
    change = f"{number(quantity)} {'more' if after.call.is_refund else 'less'}"
    why = (
        f"{before.version} had {left(before.line.available or 0)}, and {change} is {seats(expected)}; {after.version} "
        f"has {left(has)}: {what}."
    )
    mark = marked([after.line], f"should be {left(expected)}")
    return Explanation(short=short, why=why, marks=mark, calls=(before.call, after.call))


def unreported_version(evidence: Evidence) -> Explanation | None:
    """A version between two others that no answer reports."""
    for before, after in pairwise(version_writes(evidence)):
        first, last = before.key[1] + 1, after.key[1] - 1
        if before.key[0] != after.key[0] or last < first:
            continue
        versions = f"version {number(first)}" if first == last else f"versions {number(first)} to {number(last)}"
        where = f"{versions}{of_event(after.line.event)}"
        count = 1 if first == last else 2
        return Explanation(
            short=f"no answer reports {where}",
            why=f"{where} {verb(count, 'was')} made between these calls, and no answer reports "
            f"{'it' if count == 1 else 'them'}.",
            marks=marked([after.line], f"no answer reports {versions}"),
            calls=(before.call, after.call),
        )
    return None
