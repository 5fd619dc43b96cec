"""A diagnosis in words: the violation in one line, why it is wrong, and a mark for each wrong line. Judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ticketlab.checks.diagnosis import Diagnosis, Reason
from ticketlab.history.text import verb
from ticketlab.outcomes import Outcome
from ticketlab.report.explain._facts import crash_after, label, left, milliseconds, of_event, seats, short_id
from ticketlab.report.phrases import capital, join_names, number, pluralize

if TYPE_CHECKING:
    from ticketlab.checks.evidence import CallLine, EventState


class Explanation(NamedTuple):
    """A diagnosis in words."""

    short: str
    """A few words that continue a title."""
    why: str
    """One or more clauses, read after the facts."""
    marks: str | Sequence[str] = ""
    """What is wrong with each wrong line, in a few words; one text is for all of them."""


def _name(diagnosis: Diagnosis) -> str:
    """The buyer of the first call that the diagnosis names."""
    return label(diagnosis.calls[0]) if diagnosis.calls else "a buyer"


def _version(line: CallLine) -> str:
    return f"version {number(line.version or 0)}"


def _beyond_last_seat(found: Diagnosis) -> Explanation:
    several, stock = len(found.calls) > 1, found.lines[0].available
    order = "of the answers" if any(line.version is None for line in found.lines) else "of the versions"
    whose = "these are sales" if several else f"{_name(found)} made the first sale"
    why = f"In the order {order} every seat had already been sold: {whose} beyond the last seat."
    if not several and stock is not None and stock >= 0:
        why += f" The reported stock, {left(stock)}, was wrong."
    short = "seats were sold twice" if several else f"{_name(found)} was sold a seat that was already sold"
    return Explanation(short, why, "beyond the last seat")


def _same_ticket(found: Diagnosis) -> Explanation:
    owners = list(dict.fromkeys(map(label, found.calls)))
    whose = f"{join_names(owners)} own the same ticket" if len(owners) > 1 else f"{owners[0]} owns one ticket twice"
    why = "The ledger has two tickets with the same id: one seat was sold twice."
    return Explanation(whose, why, "its ticket is in the ledger twice")


def _stock_too_low(found: Diagnosis) -> Explanation:
    (event,) = found.events
    count, are = pluralize(event.missing, "seat"), f"{verb(event.missing, 'is')} neither sold nor in stock"
    return Explanation(f"{count}{of_event(event.event)} {are}", f"{_expected_stock(event)}, so {count} {are}.")


def _stock_too_high(found: Diagnosis) -> Explanation:
    (event,) = found.events
    count = pluralize(-event.missing, "ticket")
    why = (
        f"{_expected_stock(event)}, so it did not fall for {count}. Either another sale overwrote it, or tickets were "
        "inserted twice; these operations do not show which."
    )
    return Explanation(f"the stock{of_event(event.event)} did not fall for {count}", why)


def _stock_and_tickets_apart(found: Diagnosis) -> Explanation:
    (event,) = found.events
    count, moment = abs(event.missing), "" if event.at_ns is None else " for a moment"
    where = "neither sold nor in stock" if event.missing > 0 else "both sold and in stock"
    short = f"{pluralize(count, 'seat')}{of_event(event.event)} {verb(count, 'was')} {where}{moment}"
    return Explanation(short, "The stock and the tickets of a sale or a refund were not committed together.")


def _expected_stock(event: EventState) -> str:
    return f"The stock{of_event(event.event)} should be {seats(event.unsold)}"


def _made_twice(found: Diagnosis) -> Explanation:
    first, pair = found.lines[0], len(found.lines) == 2  # noqa: PLR2004 - two are both
    version = f"{_version(first)}{of_event(first.event)}"
    names = list(dict.fromkeys(map(label, found.calls)))
    if len(names) > 1:
        short = f"{join_names(names)} {'both' if pair else 'all'} made {version}"
    else:
        short = f"{names[0]} made {version} {'twice' if pair else 'more than once'}"
    overwrote = "the later sale overwrote the earlier one" if pair else "the later sales overwrote the first"
    mark = "made twice" if pair else "made more than once"
    return Explanation(short, f"{version} can be made only once: {overwrote}.", mark)


def _rolled_back(found: Diagnosis) -> Explanation:
    twice = _made_twice(found)
    why = (
        f"{twice.short}, but a version is made only once. The ledger does not have both sales: one was reported and "
        "then rolled back."
    )
    return twice._replace(why=why)


def _stock_mismatch(found: Diagnosis) -> Explanation:
    (before, after), (_, call) = found.compared, found.calls
    name, expected = label(call), found.expected
    short, what = {
        Reason.SOLD_WITHOUT_STOCK: (
            f"{name} was sold more than was left{of_event(after.event)}",
            f"{name} was sold seats that were not there, and the reported stock does not show it",
        ),
        Reason.OVERWRITTEN: (
            f"a sale{of_event(after.event)} was overwritten",
            f"{name} did not start from the stock before, so a sale was overwritten",
        ),
        Reason.TOOK_TOO_MUCH: (
            f"the purchase of {name} took more from the stock than its tickets",
            f"more was taken from the stock than {name} bought",
        ),
    }[found.reason]
    change = f"{number(after.quantity or 0)} {'more' if call.is_refund else 'less'}"
    why = (
        f"{_version(before)} had {left(before.available or 0)}, and {change} is {seats(expected)}; {_version(after)} "
        f"has {left(after.available or 0)}: {what}."
    )
    return Explanation(short, why, f"should be {left(expected)}")


def _wrong_first_stock(found: Diagnosis) -> Explanation:
    (line,) = found.lines
    sold = number(line.quantity or 0)
    why = (
        f"{_version(line)} is the first change{of_event(line.event)}, so all seats less {sold} must be left, but "
        f"{seats(line.available or 0)} were reported."
    )
    return Explanation("the first sale reported a wrong stock", why, f"not all seats less {sold}")


def _refunded_before_sale(found: Diagnosis) -> Explanation:
    why = f"In version order the refund of {_name(found)} comes before its purchase."
    return Explanation("a purchase was refunded before it was sold", why, "before its purchase")


def _read_other_stock(found: Diagnosis) -> Explanation:
    (maker, reader), (made, seen) = map(label, found.calls), found.compared
    had = left(made.available or 0)
    why = (
        f"{maker} made {_version(made)}{of_event(made.event)} with {had}, but {reader} read {left(seen.available or 0)}"
        ": a stock that was never committed."
    )
    return Explanation(f"{reader} read a stock that was never committed", why, f"{_version(made)} had {had}")


def _never_committed(found: Diagnosis) -> Explanation:
    (line,) = found.lines
    version = f"{_version(line)}{of_event(line.event)}"
    why = (
        f"No committed sale or refund made {version}: {_name(found)} was answered from a change that was rolled back "
        "or never made."
    )
    return Explanation(f"{version} was never committed", why, "no such version")


def _refund_not_made(found: Diagnosis) -> Explanation:
    why = f"{_name(found)} was told that the refund was made, but the tickets are still in the ledger."
    return Explanation("a refund was reported, but its tickets are still in the ledger", why, "still in the ledger")


def _unreported_purchase(found: Diagnosis) -> Explanation:
    unreported = f"no answer reports {short_id(found.purchase_id)}"
    return Explanation(unreported, unreported)


def _unreported_versions(found: Diagnosis) -> Explanation:
    before, after = (line.version or 0 for line in found.compared)
    first, last = before + 1, after - 1
    versions, was, it = f"versions {number(first)} to {number(last)}", "were", "them"
    if first == last:
        versions, was, it = f"version {number(first)}", "was", "it"
    where = f"{versions}{of_event(found.lines[0].event)}"
    why = f"{where} {was} made between these calls, and no answer reports {it}."
    return Explanation(f"no answer reports {where}", why, f"no answer reports {versions}")


def lost(found: Diagnosis, crashes_ns: Sequence[int]) -> Explanation:
    """The words of `Reason.LOST`; `crashes_ns` are the crashes, in ns since the start of the trial."""
    (call,) = found.calls
    what, name = "refund" if call.is_refund else "sale", label(call)
    crash = crash_after(call, crashes_ns)
    if crash is None:
        short, why = "is not in the ledger", f"The {what} was reported to {name}, so it must be in the ledger."
    else:
        before = milliseconds(crash - (call.completed_ns or 0))
        short = "did not survive the crash"
        why = f"The {what} was reported to {name} {before} before the crash, so it must survive the crash."
    part = "a part of " if not call.is_refund and any(line.tickets for line in call.lines) else ""
    marks = ["tickets still in the ledger" if call.is_refund else _remains(line) for line in found.lines]
    return Explanation(f"{part}the {what} to {name} {short}", why, marks)


def _remains(line: CallLine) -> str:
    return f"only {number(line.tickets)} in the ledger" if line.tickets else "not in the ledger"


def _enough_reported(found: Diagnosis) -> Explanation:
    (line,) = found.lines
    return _refused(found, f"the reported stock was {number(line.available or 0)}.", "enough were left")


def _enough_free(found: Diagnosis) -> Explanation:
    free = found.lines[0].free or 0
    available = f"at least {number(free)} {verb(free, 'was')} available"
    return _refused(found, f"{available} throughout the call.", available)


def _refused(found: Diagnosis, but: str, mark: str) -> Explanation:
    (line,) = found.lines
    request = f"The buyer asked for {pluralize(line.quantity or 0, 'ticket')}{of_event(line.event)}"
    return _enough(found)._replace(why=f"{request} and was told 'sold out', but {but}", marks=mark)


def _enough(found: Diagnosis) -> Explanation:
    short = f"{_name(found)} was told 'sold out' although enough seats were available"
    return Explanation(short, "At every moment of the call enough seats were available.", "enough were available")


def _already_replaced(found: Diagnosis) -> Explanation:
    (before, later), (known, line) = found.calls, found.compared
    waited = milliseconds((later.invoked_ns or 0) - (before.completed_ns or 0))
    newer, older = _version(known), _version(line)
    verb_of_call = "made" if later.changed else "was answered from"
    why = (
        f"{label(later)} called {waited} after {label(before)} had been answered. {capital(newer)}"
        f"{of_event(line.event)} existed by then, but the call {verb_of_call} {older}."
    )
    short = f"{label(later)} was answered from a version that had already been replaced"
    return Explanation(short, why, f"after {newer}")


def _not_during_call(found: Diagnosis) -> Explanation:
    name, (call,) = _name(found), found.calls
    if call.is_refund:
        why = f"{name} was told that the purchase was already refunded, but it existed throughout the call."
    else:
        why = f"{name} was told that the purchase was already sold, but it did not exist during the call."
    return Explanation(f"{name} was told of a state that did not exist during the call", why, "not during the call")


def _cycle(found: Diagnosis) -> Explanation:
    why = (
        "By its answer each of these calls comes before the next, and the last before the first: no order explains all "
        "of them."
    )
    return Explanation(f"{pluralize(len(found.calls), 'call')} whose order is a cycle", why, "in the cycle")


def _too_many_tickets(found: Diagnosis) -> Explanation:
    (line,) = found.lines
    bought, owned = line.quantity or 0, line.tickets or 0
    why = (
        f"The buyer asked for {pluralize(bought, 'ticket')}{of_event(line.event)} and owns {number(owned)} under one "
        f"purchase id: {number(owned - bought)} too many."
    )
    short = f"{pluralize(owned, 'ticket')} for a purchase of {number(bought)}"
    return Explanation(short, why, f"{number(owned)} in the ledger")


def _more_than_once(found: Diagnosis, *, done: str, but: str) -> Explanation:
    name = short_id(found.calls[0].purchase_id) if found.calls else "a purchase"
    count = len(found.calls)
    times = {0: "more than once", 1: "more than once", 2: "twice"}.get(count, f"{count} times")
    made = [number(line.version) for call in found.calls for line in call.lines if line.version is not None]
    at = f", at versions {join_names(made)}" if len(made) > 1 else ""
    short = f"{name} was {done} {times}"
    return Explanation(short, f"{short}{at}: {but}.", f"{done} again")


def _partial_purchase(found: Diagnosis) -> Explanation:
    parts = (f"{line.tickets:,} of {line.quantity:,}" if line.tickets else "none" for line in found.lines)
    why = "The ledger must have all tickets of a purchase or none, but it has a part of them."
    return Explanation(f"a partial purchase of {_name(found)}", why, [f"{part} in the ledger" for part in parts])


def _deadlock(found: Diagnosis) -> Explanation:
    name, count = _name(found), found.calls[0].deadlocks if found.calls else 1
    times = f"{number(count)} deadlocks" if count > 1 else "a deadlock"
    sold = found.calls and found.calls[0].outcome is Outcome.SOLD
    retried = " and the purchase was sold at a later attempt" if sold else ""
    why = (
        f"{name} met {times}: its transaction and another one each waited for a lock that the other held. PostgreSQL "
        f"aborted it{retried}. No ticket is wrong; locking rows in one fixed order prevents deadlocks."
    )
    return Explanation(f"{name} met {times}", why, times)


def _wrong_tickets(found: Diagnosis) -> Explanation:
    to = f" to {_name(found)}" if found.calls else ""
    why = "The tickets in an answer must be those that the database has for this purchase."
    return Explanation(f"the answer{to} has tickets of another purchase", why, "other tickets")


def _left_behind(found: Diagnosis) -> Explanation:
    times = [
        f"{number(count)} times {words}" if count > 1 else f"once {words}" for words, count in found.left_behind.items()
    ]
    why = (
        f"{'; '.join(times) or 'something was left'}. The next purchase on this connection inherits it, and a purchase "
        "that needs the same lock waits for it."
    )
    short = next(iter(found.left_behind), "something was left on a connection or in the server")
    return Explanation(short, why)


WORDS: Final[Mapping[Reason, Callable[[Diagnosis], Explanation] | Explanation]] = {
    Reason.MORE_TICKETS_THAN_SEATS: Explanation("", ""),
    Reason.SEATS_SOLD_AGAIN: Explanation(
        "seats were sold more than once", "More tickets were sold than there are seats."
    ),
    Reason.BEYOND_LAST_SEAT: _beyond_last_seat,
    Reason.SAME_TICKET: _same_ticket,
    Reason.STOCK_TOO_LOW: _stock_too_low,
    Reason.STOCK_TOO_HIGH: _stock_too_high,
    Reason.TAKEN_WITHOUT_SALE: Explanation("stock was reduced without a sale", "Stock was reduced without a sale."),
    Reason.MADE_TWICE: _made_twice,
    Reason.OVERWRITTEN: _stock_mismatch,
    Reason.TOOK_TOO_MUCH: _stock_mismatch,
    Reason.SOLD_WITHOUT_STOCK: _stock_mismatch,
    Reason.WRONG_FIRST_STOCK: _wrong_first_stock,
    Reason.DOES_NOT_FOLLOW: Explanation(
        "a stock that does not follow from the earlier sales",
        "The reported stock does not follow from the earlier sales: one of them was overwritten.",
        "does not follow",
    ),
    Reason.REFUNDED_BEFORE_SALE: _refunded_before_sale,
    Reason.ROLLED_BACK: _rolled_back,
    Reason.READ_OTHER_STOCK: _read_other_stock,
    Reason.NEVER_COMMITTED: _never_committed,
    Reason.DID_NOT_LAST: Explanation("a change that was rolled back", "The answer reports a change that did not last."),
    Reason.REFUND_NOT_MADE: _refund_not_made,
    Reason.REFUND_WITHOUT_PURCHASE: Explanation(
        "a refund of an unreported purchase", "No answer reports the purchase that was refunded here.", "never bought"
    ),
    Reason.NOT_REPORTED_SOLD: Explanation(
        "tickets of a purchase that was not reported as sold",
        "The ledger has tickets that were not reported as sold: the buyer does not know of them, and nobody else can "
        "buy these seats.",
        "in the ledger",
    ),
    Reason.UNREPORTED_PURCHASE: _unreported_purchase,
    Reason.UNREPORTED_CHANGE: Explanation(
        "a change of the stock that no answer reports", "The event has a version that no answer reports."
    ),
    Reason.NEXT_TO_UNREPORTED: Explanation(
        "a change of the stock that no answer reports",
        "No answer reports the version before or after the one shown here.",
        "next to an unreported version",
    ),
    Reason.UNREPORTED_VERSIONS: _unreported_versions,
    Reason.LOST_UNSEEN: Explanation("a sale that is not in the ledger", "A reported sale must be in the ledger."),
    Reason.ENOUGH_REPORTED: _enough_reported,
    Reason.ENOUGH_FREE: _enough_free,
    Reason.ENOUGH_AT_ALL_TIMES: _enough,
    Reason.ALREADY_REPLACED: _already_replaced,
    Reason.NOT_DURING_CALL: _not_during_call,
    Reason.CYCLE: _cycle,
    Reason.OUTDATED_VERSION: Explanation(
        "an outdated answer",
        "The answer came from a version that had already been replaced when the call began.",
        "outdated",
    ),
    Reason.NO_SUCH_STATE: Explanation(
        "an outdated answer", "No state during the call explains the answer.", "outdated"
    ),
    Reason.TOO_MANY_TICKETS: _too_many_tickets,
    Reason.SOLD_AGAIN: partial(_more_than_once, done="sold", but="the buyer requested it once"),
    Reason.REFUNDED_AGAIN: partial(
        _more_than_once, done="refunded", but="its tickets were added to the stock each time"
    ),
    Reason.PARTIAL_REFUND: Explanation(
        "a partial refund",
        "The refund differs from the purchase: a purchase must be refunded completely or not at all.",
        "not what was bought",
    ),
    Reason.PARTIAL_PURCHASE: _partial_purchase,
    Reason.STOCK_AND_TICKETS_APART: _stock_and_tickets_apart,
    Reason.DEADLOCK: _deadlock,
    Reason.CHANGED_SETUP: Explanation(
        "the events or their seats are not those that were put on sale",
        "The seats are set up before the first purchase. A purchase must not change their number: otherwise any number "
        "of tickets would fit.",
    ),
    Reason.WRONG_TICKETS: _wrong_tickets,
    Reason.LEFT_BEHIND: _left_behind,
}
"""Of every reason but LOST, whose words depend on the crashes."""
