"""The tickets in an answer, counted and digested for the history. Keeps none of them, judges nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias
from uuid import UUID

from ticketlab.errors import InvalidInputError, OwnCodeError
from ticketlab.history.ids import MASK, PRIME, digest
from ticketlab.history.recording import NOTHING_HANDED, Handed, Recorder
from ticketlab.load.plan import Plan, PurchaseIntent
from ticketlab.load.second_calls import Call, Offers, SecondCalls
from ticketlab.outcomes import Cause, Kind, Outcome
from ticketlab.tickets import EventRepository, PurchaseResult, SoldTicket
from ticketlab.tickets.purchase import checked_uuid

Rows: TypeAlias = Sequence[tuple[int, int, int | None, int | None]]
"""What an answer says of each event: the number of the event, the tickets, and the version and the stock seen."""


def rows_of(result: PurchaseResult, asked: Rows, events: Sequence[UUID]) -> Rows:
    """The events and quantities of an answer: those that were asked for.

    An answer that reports an earlier sale has the events and quantities of that sale, which may be others.

    Raises:
        OwnCodeError: the tickets are not as `SoldTicket` says.
    """
    if result.cause is not Cause.REPEATED or not result.success:
        return asked
    if not result.tickets:
        names_one = len(asked) == 1 and result.quantity > 0
        return [(asked[0][0], result.quantity, None, None)] if names_one else asked
    numbers = {event_id: number for number, event_id in enumerate(events)}
    named = Counter(ticket.event_id for ticket in _checked(result.tickets))
    if not named.keys() <= numbers.keys():
        return asked
    return [(numbers[event_id], count, None, None) for event_id, count in sorted(named.items())]


def handed(result: PurchaseResult, purchase_id: UUID, rows: Rows, events: Sequence[UUID]) -> Sequence[Handed]:
    """What the answer to a purchase hands its buyer, for each of its rows.

    In a basket the row of each event has the tickets of that event. Tickets of any other event count in the first row,
    as tickets that name something else.

    Raises:
        OwnCodeError: the tickets are not as `SoldTicket` says.
    """
    tickets = result.tickets
    if not tickets:
        return [NOTHING_HANDED] * len(rows)
    try:
        if len(rows) > 1:
            return _by_event(tickets, purchase_id.int, [events[row[0]] for row in rows])
        # The usual case, written out, for it is met at each sale. For the sum see `digests.digest`.
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
    """The tickets of each event."""
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
    """Convert what has the fields of a `SoldTicket`: a row of an ORM will do, and ids that are text."""
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
"""Tickets of a warm-up purchase at most: a large one would be work for its own sake."""

_UNANSWERED = (Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.UNKNOWN)


def warm_up(repository: EventRepository, plan: Plan, buyer: int, event_id: UUID, *, stopped: Callable[[], bool]) -> int:
    """Buy from an event that is not part of the trial, at least once, and give back; of baskets, as one of them.

    Returns the deadlocks that were reported: they are in no history.
    """
    deadlocks = 0
    end_ns = time.perf_counter_ns() + int(plan.warm_up_s * 1e9)
    stranger = plan.buyers + buyer  # whose stream no buyer of the trial has
    for wish, is_given_back in zip(
        plan.intents(stranger, plan.event_numbers), plan.refund_flags(stranger), strict=False
    ):
        quantity = min(wish.lines[0][1], _WARM_UP_QUANTITY)
        if plan.sells_baskets:
            result = repository.purchase_basket({event_id: quantity}, wish.purchase_id)
        else:
            result = repository.purchase_tickets(event_id, quantity, wish.purchase_id)
        deadlocks += _deadlocks(result)
        if is_given_back:
            deadlocks += _deadlocks(repository.cancel_purchase(wish.purchase_id))
        if time.perf_counter_ns() >= end_ns or stopped():
            break
    return deadlocks


def _deadlocks(result: PurchaseResult) -> int:
    """How many an answer reports: each retry has its cause, and an answer that gave up has its own."""
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

    A buyer who was told that an event can not meet even the smallest purchase asks for it no more, though tickets may
    come back to it. One who buys baskets fills them from the other events, and ends when they are too few for the
    smallest basket. What he gives back he gives back at once, also where it was his last purchase, and asks once.

    Where the plan has double calls, the buyer also makes second calls, its own and those of others that share its
    `offers`. They come on top of its purchases, which are the same without them; what they are answered decides
    nothing.
    """
    left = set(plan.event_numbers)
    most, made = plan.purchases_of(recorder.buyer), 0
    purchase = _purchase_basket if plan.sells_baskets else _purchase_one
    again = _second_calls(repository, plan, recorder.buyer, offers)

    def over() -> bool:
        return time.perf_counter_ns() >= until_ns or stopped()

    def call_again(calls: Iterable[Call | None]) -> None:
        for call in calls:
            if call is None or over():
                return
            invoked_ns = time.perf_counter_ns()
            recorder.under_way = (Kind.PURCHASE, call.wish.lines, call.wish.purchase_id, invoked_ns)
            result, told = purchase(repository, events, call.wish)
            news = result.success and call.told.first()
            _record(recorder, call.wish, result, told, events=events, invoked_ns=invoked_ns, again=not news)

    wishes = zip(
        plan.intents(recorder.buyer, left),
        plan.refund_flags(recorder.buyer),
        plan.second_calls(recorder.buyer),
        strict=False,
    )
    for wish, is_given_back, second in wishes:
        if not left or (most is not None and made >= most) or over():
            break
        if wish.lines[0][0] not in left:
            continue  # only ever a wish for one event: see Plan.wishes
        call = None
        if again is not None:
            call_again(again.due())
            if over():
                break
            call = again.purchase_starts(wish, second)
        invoked_ns = time.perf_counter_ns()
        recorder.under_way = (Kind.PURCHASE, wish.lines, wish.purchase_id, invoked_ns)
        result, told = purchase(repository, events, wish)
        made += 1
        repeats = call is not None and (result.cause is Cause.REPEATED or (result.success and not call.told.first()))
        _record(recorder, wish, result, told, events=events, invoked_ns=invoked_ns, again=repeats)
        if result.outcome is Outcome.SOLD_OUT:
            left -= {each[0] for each in told if _nothing_left(*each, fewest=plan.quantity[0])}
        if again is not None:
            call_again([again.purchase_answered(wish, second, call, result.outcome)])
        if is_given_back and result.success and call is None:
            invoked_ns = time.perf_counter_ns()
            recorder.under_way = (Kind.REFUND, wish.lines, wish.purchase_id, invoked_ns)
            result, told = _refund(repository, events, wish)
            _record(recorder, wish, result, told, events=events, invoked_ns=invoked_ns, kind=Kind.REFUND)
    if again is not None:
        call_again(again.rest())


def _second_calls(repository: EventRepository, plan: Plan, buyer: int, offers: Offers | None) -> SecondCalls | None:
    if not plan.double_calls:
        return None
    return SecondCalls(plan, buyer, offers or Offers(), may_differ=repository.strategy.derives_ticket_ids)


def _record(
    recorder: Recorder,
    wish: PurchaseIntent,
    result: PurchaseResult,
    told: Rows,
    *,
    events: Sequence[UUID],
    invoked_ns: int,
    kind: Kind = Kind.PURCHASE,
    again: bool = False,
) -> None:
    completed_ns = time.perf_counter_ns()
    in_hand = handed(result, wish.purchase_id, told, events)
    for line, (event, quantity, version, available) in enumerate(told):
        recorder.record(
            kind=kind,
            event=event,
            line=line,
            quantity=quantity,
            purchase_id=wish.purchase_id.bytes,
            scheduled_ns=invoked_ns,  # in a closed loop a purchase is due when the buyer is free
            invoked_ns=invoked_ns,
            completed_ns=completed_ns,
            outcome=result.outcome,
            cause=result.cause,
            retries=result.retries,
            version=version,
            available=available,
            handed=in_hand[line],
            again=again,
        )
    if result.detail and result.outcome in _UNANSWERED and not again:
        recorder.said.setdefault(f"ended {result.outcome} ({result.cause})", " ".join(result.detail.split()))


def _purchase_one(
    repository: EventRepository, events: Sequence[UUID], wish: PurchaseIntent
) -> tuple[PurchaseResult, Rows]:
    ((event, quantity),) = wish.lines
    result = repository.purchase_tickets(events[event], quantity, wish.purchase_id)
    return result, rows_of(result, ((event, quantity, result.version, result.available_tickets),), events)


def _purchase_basket(
    repository: EventRepository, events: Sequence[UUID], wish: PurchaseIntent
) -> tuple[PurchaseResult, Rows]:
    """Of a basket that was sold out only those events are told that refused it; of any other one all."""
    quantities = {events[event]: quantity for event, quantity in wish.lines}
    result = repository.purchase_basket(quantities, wish.purchase_id)
    seen = {line.event_id: (line.version, line.available_tickets) for line in result.lines}
    refusing_alone = bool(seen) and result.outcome is Outcome.SOLD_OUT
    asked = [
        (event, quantity, *seen.get(events[event], (None, None)))
        for event, quantity in wish.lines
        if events[event] in seen or not refusing_alone
    ]
    return result, rows_of(result, asked, events)


def _refund(repository: EventRepository, events: Sequence[UUID], wish: PurchaseIntent) -> tuple[PurchaseResult, Rows]:
    """Of what came back each event is told that it came back to; where nothing did, each that was wished for."""
    result = repository.cancel_purchase(wish.purchase_id)
    numbers = {events[event]: event for event, _ in wish.lines}
    back: Rows = [
        (numbers[line.event_id], line.quantity, line.version, line.available_tickets)
        for line in result.lines
        if line.event_id in numbers
    ]
    return result, back or [(event, quantity, None, None) for event, quantity in wish.lines]


def _nothing_left(_event: int, quantity: int, _version: int | None, available: int | None, *, fewest: int) -> bool:
    return quantity == fewest if available is None else available < fewest
