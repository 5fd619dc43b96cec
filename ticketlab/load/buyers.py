"""One buyer: makes his purchases one after another and records each. Knows neither threads nor other buyers."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from ticketlab.evidence.history import Recorder
from ticketlab.load.plan import Plan, Wish
from ticketlab.outcomes import Outcome
from ticketlab.tickets import EventRepository, PurchaseResult

_WARM_UP_QUANTITY = 4
"""Tickets of a warm-up purchase at most: a large one would be work for its own sake."""


def warm_up(
    repository: EventRepository, plan: Plan, buyer: int, event_id: UUID, *, stopped: Callable[[], bool]
) -> None:
    """Buy from an event that is not part of the trial, at least once."""
    end_ns = time.perf_counter_ns() + int(plan.warm_up_s * 1e9)
    for wish in plan.wishes(plan.buyers + buyer):  # a stream that no buyer of the trial has
        repository.purchase_tickets(event_id, min(wish.quantity, _WARM_UP_QUANTITY), wish.purchase_id)
        if time.perf_counter_ns() >= end_ns or stopped():
            return


def buy(
    repository: EventRepository,
    plan: Plan,
    recorder: Recorder,
    events: Sequence[UUID],
    *,
    until_ns: int,
    stopped: Callable[[], bool],
) -> None:
    """Buy and record until everything is sold out, this buyer's purchases are made, time is up, or `stopped`.

    A buyer who was told that an event can not meet even the smallest purchase asks for it no more.
    """
    left = set(plan.wanted)
    most = plan.purchases_of(recorder.buyer)
    for wish in plan.wishes(recorder.buyer):
        invoked_ns = time.perf_counter_ns()
        if invoked_ns >= until_ns or not left or (most is not None and len(recorder) >= most) or stopped():
            return
        if wish.event not in left:
            continue
        result = repository.purchase_tickets(events[wish.event], wish.quantity, wish.purchase_id)
        completed_ns = time.perf_counter_ns()
        recorder.record(
            event=wish.event,
            quantity=wish.quantity,
            purchase_id=wish.purchase_id.bytes,
            scheduled_ns=invoked_ns,  # in a closed loop a purchase is due when the buyer is free
            invoked_ns=invoked_ns,
            completed_ns=completed_ns,
            outcome=result.outcome,
            cause=result.cause,
            attempts=result.attempts,
            version=result.version,
            available=result.available_tickets,
        )
        if result.outcome is Outcome.SOLD_OUT and _nothing_left(result, wish, fewest=plan.quantity[0]):
            left.discard(wish.event)


def _nothing_left(result: PurchaseResult, wish: Wish, *, fewest: int) -> bool:
    if result.available_tickets is None:
        return wish.quantity == fewest
    return result.available_tickets < fewest
