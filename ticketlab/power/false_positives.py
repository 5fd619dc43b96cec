"""Right purchase functions that answer True or False alone, as users write them: nothing reports a version or a stock.

With refunds, cuts and crashes they leave the checks the least to go by, and so are where a false alarm is most likely.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, cycle
from random import Random
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ticketlab.checks.verdict import Status
from ticketlab.load import CUTS, Fault, FaultKind, Plan
from ticketlab.power.detection import TrialOutcome
from ticketlab.power.plan import TrialSpec
from ticketlab.tickets import Strategy
from ticketlab.tickets.orm import Event, Ticket
from ticketlab.tickets.user_code import adopt

_LOCK: Final = "SELECT available_tickets FROM events WHERE id = %s FOR UPDATE"
_LEAVE: Final = "UPDATE events SET available_tickets = %s WHERE id = %s"
_TAKE: Final = "UPDATE events SET available_tickets = available_tickets - %s WHERE id = %s AND available_tickets >= %s"
_ADD: Final = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"


def locks_the_row(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: reads the stock under a row lock, and writes what is left."""
    row = connection.execute(_LOCK, [event_id]).fetchone()
    if row is None or row[0] < quantity:
        return False
    connection.execute(_LEAVE, [row[0] - quantity, event_id])
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    return True


def takes_if_enough(connection: psycopg.Connection[TupleRow], event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: takes the stock under a condition, and commits by itself."""
    if not connection.execute(_TAKE, [quantity, event_id, quantity]).rowcount:
        return False
    connection.execute(_ADD, [event_id, purchase_id, quantity])
    connection.commit()
    return True


def by_the_orm(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Right: locks the event in a session, and writes by the ORM."""
    with session.begin():
        event = session.get(Event, event_id, with_for_update=True)
        if event is None or event.available_tickets < quantity:
            return False
        event.available_tickets -= quantity
        session.execute(insert(Ticket), [{"event_id": event_id, "purchase_id": purchase_id}] * quantity)
        return True


@cache
def strategies() -> tuple[Strategy, ...]:
    """The functions as strategies."""
    return adopt(locks_the_row), adopt(takes_if_enough), adopt(by_the_orm)


BUYERS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
POOL_SIZES: Final = (2, 3, 5, 10, 20)
EVENTS: Final = (1, 1, 2, 3, 5)
STOCK: Final = (0, 1, 2, 10, 40, 100, 300, 100_000)
MOST_TICKETS: Final = (1, 1, 2, 3, 8)
PURCHASES: Final = (10, 40, 100, 200, 400)
REFUNDS: Final = (0.0, 0.0, 0.1, 0.5)
DOUBLE_CALLS: Final = (0.0, 0.05, 0.3)
SURE_REFUNDS: Final = (0.1, 0.3, 0.5)
"""Where there always are some."""
HOT: Final = (None, None, 0.0, 0.5, 0.9, 1.0)
CUT: Final = 0.25
CRASHED: Final = 0.1
"""The shares of trials with connections cut, and with the server crashed where it can be."""
CUT_MORE: Final = 0.6
"""The share of trials with connections cut of functions that answer True or False."""
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTrial:
    """What the checks said of one trial of a safe strategy."""

    number: int
    """From 1; with the seed of the exam it draws the plan."""
    strategy: str
    load: str
    """In words."""
    purchases: int
    seconds: float
    invalid: Mapping[str, str]
    """False alarms: by check, what it said."""
    unknown: Mapping[str, str]
    """Of the checks that decided nothing, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeTrialSpec:
    """One trial to be made."""

    number: int
    strategy: Strategy
    step: TrialSpec
    pool_size: int


def random_trials(
    family: Mapping[str, Strategy], *, trials: int, seed: int, may_crash: bool
) -> Iterator[SafeTrialSpec]:
    """The trials: all safe strategies of a family and the functions in turn, each by a plan of its own."""
    turns = zip(cycle(each for each in family.values() if each.safe), cycle(strategies()), strict=False)
    in_turn = chain.from_iterable(turns)
    for number, strategy in zip(range(1, trials + 1), in_turn, strict=False):
        is_function = strategy.name not in family
        chance = Random(f"{seed} safe {number}")
        yield _drawn(number, strategy, chance, may_crash=may_crash, is_function=is_function)


def _drawn(number: int, strategy: Strategy, chance: Random, *, may_crash: bool, is_function: bool) -> SafeTrialSpec:
    events = chance.choice(EVENTS)
    most_tickets = chance.choice(MOST_TICKETS)
    hot = chance.choice(HOT) if events > 1 else None
    purchases = chance.choice(PURCHASES)
    basket = (1, 1)
    # An event that nobody is to want can be in no basket either.
    if strategy.basket is not None and events - (hot == 0) > 1 and chance.random() < 2 / 3:
        most_events = chance.randint(2, events - (hot == 0))
        basket = (chance.randint(1, most_events), most_events)
    plan = Plan(
        buyers=min(chance.choice(BUYERS), purchases),
        purchases=purchases,
        seconds=_SECONDS,
        warm_up_s=0,
        events=events,
        stock=chance.choice(STOCK),
        quantity=(chance.randint(1, most_tickets), most_tickets),
        basket=basket,
        hot=hot,
        refunds=chance.choice(SURE_REFUNDS if is_function else REFUNDS),
        seed=chance.getrandbits(31),
    )
    cut = CUT_MORE if is_function else CUT
    faults, pool_size = _faults(purchases, chance, cut=cut, may_crash=may_crash), chance.choice(POOL_SIZES)
    if strategy.idempotent:
        plan = replace(plan, double_calls=chance.choice(DOUBLE_CALLS))
    return SafeTrialSpec(
        number=number, strategy=strategy, step=TrialSpec(plan=plan, faults=faults), pool_size=pool_size
    )


def _faults(purchases: int, chance: Random, *, cut: float, may_crash: bool) -> tuple[Fault, ...]:
    drawn = chance.random()
    kind = FaultKind.CRASH if drawn < CRASHED else chance.choice(CUTS) if drawn < CRASHED + cut else None
    after = chance.randint(1, purchases)
    return (Fault(kind=kind, after=after),) if kind and (may_crash or kind is not FaultKind.CRASH) else ()


def judged(made: SafeTrialSpec, seen: TrialOutcome) -> SafeTrial:
    """What was said of a trial that was made."""
    said = {
        status: {each.check: each.summary for each in seen.verdicts if each.status is status}
        for status in (Status.INVALID, Status.UNKNOWN)
    }
    return SafeTrial(
        number=made.number,
        strategy=made.strategy.name,
        load=in_words(made),
        purchases=seen.purchases,
        seconds=seen.seconds,
        invalid=said[Status.INVALID],
        unknown=said[Status.UNKNOWN],
    )


def in_words(made: SafeTrialSpec) -> str:
    """The load of a trial, as a reader needs it to make it again."""
    plan = made.step.plan
    parts = [
        f"{plan.buyers} buyers on a pool of {made.pool_size}",
        f"{plan.purchases:,} purchases",
        f"{plan.events} events of {plan.stock:,} seats",
        f"{_range(plan.quantity)} tickets",
        *([f"baskets of {_range(plan.basket)}"] if plan.sells_baskets else []),
        *([f"{plan.refunds:.0%} given back"] if plan.refunds else []),
        *([f"{plan.double_calls:.0%} called twice"] if plan.double_calls else []),
        *([f"hot {plan.hot:g}"] if plan.hot is not None else []),
        *(each.words for each in made.step.faults),
        f"seed {plan.seed}",
    ]
    return ", ".join(parts)


def _range(numbers: tuple[int, int]) -> str:
    fewest, most = numbers
    return str(fewest) if fewest == most else f"{fewest}–{most}"
