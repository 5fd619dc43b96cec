"""One buyer of a load: warms up, buys, refunds, and records every call. Judges nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from ticketlab.errors import InvalidInputError, OwnCodeError
from ticketlab.history.ids import MASK, PRIME, digest
from ticketlab.history.recording import NOTHING_HANDED, Handed, Recorder
from ticketlab.load.plan import Offers, Plan, PurchaseIntent, SecondCall, SecondCalls
from ticketlab.outcomes import Cause, Kind, Outcome
from ticketlab.tickets.purchase import PurchaseResult, SoldTicket, checked_uuid

if TYPE_CHECKING:
    from ticketlab.tickets.repository import EventRepository


Rows: TypeAlias = Sequence[tuple[int, int, int | None, int | None]]
"""An answer, a row per event: the event's number, the tickets, and the version and available tickets reported."""


def rows_of(result: PurchaseResult, asked: Rows, events: Sequence[UUID]) -> Rows:
    """The events and quantities of an answer: those that were `asked` for, or where it reports an earlier sale its own.

    Raises:
        OwnCodeError: the tickets lack a field of `SoldTicket`.
    """
    if result.cause is not Cause.REPEATED or not result.success:
        return asked
    if not result.tickets:
        is_one_event = len(asked) == 1 and result.quantity > 0
        return [(asked[0][0], result.quantity, None, None)] if is_one_event else asked
    numbers = {event_id: number for number, event_id in enumerate(events)}
    quantities = Counter(ticket.event_id for ticket in _checked(result.tickets))
    if not quantities.keys() <= numbers.keys():
        return asked
    return [(numbers[event_id], quantity, None, None) for event_id, quantity in sorted(quantities.items())]


def handed(result: PurchaseResult, purchase_id: UUID, rows: Rows, events: Sequence[UUID]) -> Sequence[Handed]:
    """The tickets in the answer to a purchase, counted and digested for each of its rows.

    In a basket the row of each event has the tickets of that event. Tickets of any other event count in the first row,
    as tickets of something else.

    Raises:
        OwnCodeError: the tickets lack a field of `SoldTicket`.
    """
    tickets = result.tickets
    if not tickets:
        return [NOTHING_HANDED] * len(rows)
    try:
        if len(rows) > 1:
            return _by_event(tickets, purchase_id.int, [events[row[0]] for row in rows])
        # The usual case, written out, as it is executed at each sale. For the sum see `history.ids.digest`.
        owner, event = purchase_id.int, events[rows[0][0]].int
        total = elsewhere = 0
        for ticket_id, event_id, its_purchase_id, _ in tickets:
            rest = ticket_id.int % PRIME
            total += rest * (rest + 1)
            if its_purchase_id.int != owner or event_id.int != event:
                elsewhere += 1
        return ((len(tickets), total & MASK, elsewhere),)
    except (AttributeError, TypeError, ValueError):
        return _by_event(list(_checked(tickets)), purchase_id.int, [events[row[0]] for row in rows])


def _by_event(tickets: Sequence[SoldTicket], owner: int, events: Sequence[UUID]) -> list[Handed]:
    lines = {event.int: line for line, event in enumerate(events)}
    ids: list[list[int]] = [[] for _ in events]
    elsewhere = [0] * len(events)
    for ticket_id, event_id, purchase_id, _ in tickets:
        line = lines.get(event_id.int)
        others = purchase_id.int != owner
        if line is None:
            line, others = 0, True
        ids[line].append(ticket_id.int)
        elsewhere[line] += others
    return [(len(found), digest(found), count) for found, count in zip(ids, elsewhere, strict=True)]


def _checked(tickets: Sequence[SoldTicket]) -> Iterator[SoldTicket]:
    """Convert anything with the fields of a `SoldTicket`: an ORM row, or ids as text."""
    for each in tickets:
        try:
            yield SoldTicket(
                checked_uuid("id", each.id),
                checked_uuid("event_id", each.event_id),
                checked_uuid("purchase_id", each.purchase_id),
                each.purchased_at,
            )
        except (AttributeError, InvalidInputError) as error:
            raise OwnCodeError(
                "The tickets of a PurchaseResult need the fields of ticketlab.tickets.SoldTicket (id, event_id, "
                f"purchase_id, purchased_at), not {each!r}: {error}. Leave `tickets` out if they are not known."
            ) from error


_WARM_UP_QUANTITY = 4
"""The most tickets of a warm-up purchase."""

_UNANSWERED = (Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.UNKNOWN)


def warm_up(repository: EventRepository, plan: Plan, buyer: int, event_id: UUID, *, stopped: Callable[[], bool]) -> int:
    """Buy from an event that is not part of the trial, at least once, with the plan's refunds and baskets.

    Returns the number of deadlocks reported, as they are in no history.
    """
    deadlocks = 0
    end_ns = time.perf_counter_ns() + int(plan.warm_up_s * 1e9)
    stream = plan.buyers + buyer  # a random stream that no buyer of the trial uses
    for intent, refunds in zip(plan.intents(stream, plan.event_numbers), plan.refund_flags(stream), strict=False):
        quantity = min(intent.lines[0][1], _WARM_UP_QUANTITY)
        if plan.sells_baskets:
            result = repository.purchase_basket({event_id: quantity}, intent.purchase_id)
        else:
            result = repository.purchase_tickets(event_id, quantity, intent.purchase_id)
        deadlocks += _deadlocks(result)
        if refunds:
            deadlocks += _deadlocks(repository.cancel_purchase(intent.purchase_id))
        if time.perf_counter_ns() >= end_ns or stopped():
            break
    return deadlocks


def _deadlocks(result: PurchaseResult) -> int:
    """The deadlocks that an answer reports: by the cause of each retry, and of the answer itself if it gave up."""
    return list(result.retries).count(Cause.DEADLOCK) + (not result.success and result.cause is Cause.DEADLOCK)


def buy(
    repository: EventRepository,
    plan: Plan,
    recorder: Recorder,
    events: Sequence[UUID],
    *,
    until_ns: int,
    stopped: Callable[[], bool],
    offers: Offers | None = None,
) -> None:
    """Buy and record until everything is sold out, this buyer's purchases are made, time is up, or `stopped`.

    Once too few tickets of an event are left for the smallest purchase, a buyer no longer asks for it, though some may
    be refunded. A buyer of baskets fills them from the other events, and ends when they are too few for the smallest
    basket. A refund follows its sale at once, also after the last purchase, and is requested once.

    Where the plan has double calls, the buyer also makes second calls, its own and those of others that share its
    `offers`. They are additional to its purchases, which are the same without them; their answers decide nothing.
    """
    left = set(plan.event_numbers)
    most, purchases = plan.purchases_of(recorder.buyer), 0
    purchase = _purchase_basket if plan.sells_baskets else _purchase_one
    seconds = None
    if plan.double_calls:
        may_differ = repository.strategy.derives_ticket_ids
        seconds = SecondCalls(plan, recorder.buyer, offers or Offers(), may_differ=may_differ)

    def over() -> bool:
        return time.perf_counter_ns() >= until_ns or stopped()

    def call_again(calls: Iterable[SecondCall | None]) -> None:
        for call in calls:
            if call is None or over():
                return
            invoked_ns = time.perf_counter_ns()
            recorder.under_way = (Kind.PURCHASE, call.intent.lines, call.intent.purchase_id, invoked_ns)
            result, rows = purchase(repository, events, call.intent)
            is_first_sale = result.success and call.sold.first()
            _record(recorder, call.intent, result, rows, events=events, invoked_ns=invoked_ns, again=not is_first_sale)

    drawn = zip(
        plan.intents(recorder.buyer, left),
        plan.refund_flags(recorder.buyer),
        plan.second_calls(recorder.buyer),
        strict=False,
    )
    for intent, refunds, second in drawn:
        if not left or (most is not None and purchases >= most) or over():
            break
        if intent.lines[0][0] not in left:
            continue  # only requests for one event: see Plan.intents
        call = None
        if seconds is not None:
            call_again(seconds.due())
            if over():
                break
            call = seconds.purchase_starts(intent, second)
        invoked_ns = time.perf_counter_ns()
        recorder.under_way = (Kind.PURCHASE, intent.lines, intent.purchase_id, invoked_ns)
        result, rows = purchase(repository, events, intent)
        purchases += 1
        again = call is not None and (result.cause is Cause.REPEATED or (result.success and not call.sold.first()))
        _record(recorder, intent, result, rows, events=events, invoked_ns=invoked_ns, again=again)
        if result.outcome is Outcome.SOLD_OUT:
            left -= {row[0] for row in rows if _is_exhausted(*row, fewest=plan.quantity[0])}
        if seconds is not None:
            call_again([seconds.purchase_answered(intent, second, call, result.outcome)])
        if refunds and result.success and call is None:
            invoked_ns = time.perf_counter_ns()
            recorder.under_way = (Kind.REFUND, intent.lines, intent.purchase_id, invoked_ns)
            result, rows = _refund(repository, events, intent)
            _record(recorder, intent, result, rows, events=events, invoked_ns=invoked_ns, kind=Kind.REFUND)
    if seconds is not None:
        call_again(seconds.rest())


def _record(
    recorder: Recorder,
    intent: PurchaseIntent,
    result: PurchaseResult,
    rows: Rows,
    *,
    events: Sequence[UUID],
    invoked_ns: int,
    kind: Kind = Kind.PURCHASE,
    again: bool = False,
) -> None:
    completed_ns = time.perf_counter_ns()
    tickets = handed(result, intent.purchase_id, rows, events)
    for line, (event, quantity, version, available) in enumerate(rows):
        recorder.record(
            kind=kind,
            event=event,
            line=line,
            quantity=quantity,
            purchase_id=intent.purchase_id.bytes,
            scheduled_ns=invoked_ns,  # in a closed loop a purchase is due when the buyer is free
            invoked_ns=invoked_ns,
            completed_ns=completed_ns,
            outcome=result.outcome,
            cause=result.cause,
            retries=result.retries,
            version=version,
            available=available,
            handed=tickets[line],
            again=again,
        )
    if result.detail and result.outcome in _UNANSWERED and not again:
        recorder.said.setdefault(f"ended {result.outcome} ({result.cause})", " ".join(result.detail.split()))


def _purchase_one(
    repository: EventRepository, events: Sequence[UUID], intent: PurchaseIntent
) -> tuple[PurchaseResult, Rows]:
    ((event, quantity),) = intent.lines
    result = repository.purchase_tickets(events[event], quantity, intent.purchase_id)
    return result, rows_of(result, ((event, quantity, result.version, result.available_tickets),), events)


def _purchase_basket(
    repository: EventRepository, events: Sequence[UUID], intent: PurchaseIntent
) -> tuple[PurchaseResult, Rows]:
    """A row per event of the basket; of a basket that was sold out only the events that refused it, if named."""
    quantities = {events[event]: quantity for event, quantity in intent.lines}
    result = repository.purchase_basket(quantities, intent.purchase_id)
    reported = {line.event_id: (line.version, line.available_tickets) for line in result.lines}
    only_reported = bool(reported) and result.outcome is Outcome.SOLD_OUT
    asked = [
        (event, quantity, *reported.get(events[event], (None, None)))
        for event, quantity in intent.lines
        if events[event] in reported or not only_reported
    ]
    return result, rows_of(result, asked, events)


def _refund(repository: EventRepository, events: Sequence[UUID], intent: PurchaseIntent) -> tuple[PurchaseResult, Rows]:
    """A row per refunded event; if nothing was refunded, a row per requested event."""
    result = repository.cancel_purchase(intent.purchase_id)
    numbers = {events[event]: event for event, _ in intent.lines}
    refunded: Rows = [
        (numbers[line.event_id], line.quantity, line.version, line.available_tickets)
        for line in result.lines
        if line.event_id in numbers
    ]
    return result, refunded or [(event, quantity, None, None) for event, quantity in intent.lines]


def _is_exhausted(_event: int, quantity: int, _version: int | None, available: int | None, *, fewest: int) -> bool:
    """Whether an event that refused this quantity has fewer tickets than the smallest purchase."""
    return quantity == fewest if available is None else available < fewest
