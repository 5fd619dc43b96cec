"""Mutations of a small case: each changes one thing that was reported, or that the ledger holds.

What is changed may well leave a case possible. A mutation that finds nothing to change returns the same case.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from small_cases import MOST_OPERATIONS, Event, Line, Operation, SmallCase

from ticketlab.outcomes import Cause, Kind, Outcome

Mutation = Callable[[random.Random, SmallCase], SmallCase]


def mutated(rng: random.Random, case: SmallCase) -> SmallCase:
    """The case with one thing changed; what is changed may well leave it possible."""
    for _ in range(20):
        other = rng.choice(MUTATIONS)(rng, case)
        if other != case:
            return other
    return case


def _with_operation(rng: random.Random, case: SmallCase, change: Callable[[Operation], Operation]) -> SmallCase:
    place = rng.randrange(len(case.operations))
    operations = list(case.operations)
    operations[place] = change(operations[place])
    return replace(case, operations=tuple(operations))


def _with_line(rng: random.Random, case: SmallCase, change: Callable[[Line], Line]) -> SmallCase:
    def changed(operation: Operation) -> Operation:
        lines = list(operation.lines)
        place = rng.randrange(len(lines))
        lines[place] = change(lines[place])
        return replace(operation, lines=tuple(lines))

    return _with_operation(rng, case, changed)


def _with_event(rng: random.Random, case: SmallCase, change: Callable[[Event], Event]) -> SmallCase:
    place = rng.randrange(len(case.events))
    events = list(case.events)
    events[place] = change(events[place])
    return replace(case, events=tuple(events))


def _near(rng: random.Random, number: int, least: int) -> int:
    return max(least, number + rng.choice([-2, -1, -1, 1, 1, 2]))


def report_another_number(rng: random.Random, case: SmallCase) -> SmallCase:
    """A reported version or stock is a little more or less."""
    name, least = rng.choice([("version", 1), ("available", 0)])

    def change(line: Line) -> Line:
        number = getattr(line, name)
        return line if number is None else replace(line, **{name: _near(rng, number, least)})

    return _with_line(rng, case, change)


def report_a_number_or_none(rng: random.Random, case: SmallCase) -> SmallCase:
    """A number that was reported is not, or one that was not reported is."""
    name, least = rng.choice([("version", 1), ("available", 0)])

    def change(line: Line) -> Line:
        return replace(line, **{name: None if getattr(line, name) is not None else rng.randint(least, 5)})

    return _with_line(rng, case, change)


def report_what_another_reported(rng: random.Random, case: SmallCase) -> SmallCase:
    """A line reports the version and the stock of another one."""
    other = rng.choice(rng.choice(case.operations).lines)
    return _with_line(rng, case, lambda line: replace(line, version=other.version, available=other.available))


def end_otherwise(rng: random.Random, case: SmallCase) -> SmallCase:
    """An operation is reported with another outcome."""

    def change(operation: Operation) -> Operation:
        done = Outcome.REFUNDED if operation.kind is Kind.REFUND else Outcome.SOLD
        refused = [] if operation.kind is Kind.REFUND else [(Outcome.SOLD_OUT, Cause.INSUFFICIENT)]
        outcome, cause = rng.choice(
            [
                (done, Cause.NONE),
                (done, Cause.REPEATED),
                (Outcome.UNKNOWN, Cause.CONNECTION),
                (Outcome.FAILED, Cause.TRANSACTION),
                *refused,
            ]
        )
        return replace(operation, outcome=outcome, cause=cause)

    return _with_operation(rng, case, change)


def repeat_or_not(rng: random.Random, case: SmallCase) -> SmallCase:
    """A first answer is reported as a repeated one, or the other way round."""

    def change(operation: Operation) -> Operation:
        if operation.outcome not in {Outcome.SOLD, Outcome.REFUNDED}:
            return operation
        return replace(operation, cause=Cause.NONE if operation.repeated else Cause.REPEATED)

    return _with_operation(rng, case, change)


def want_something_else(rng: random.Random, case: SmallCase) -> SmallCase:
    """A line has another quantity, or is of another event."""
    if rng.random() < 0.6:
        return _with_line(rng, case, lambda line: replace(line, quantity=min(3, _near(rng, line.quantity, 1))))

    def change(operation: Operation) -> Operation:
        if len(operation.lines) > 1:
            return replace(operation, lines=(rng.choice(operation.lines),))
        (line,) = operation.lines
        other = replace(line, event=(line.event + 1) % len(case.events))
        if len(case.events) > 1 and rng.random() < 0.5:
            return replace(operation, lines=(line, other))
        return replace(operation, lines=(other,))

    return _with_operation(rng, case, change)


def use_another_id(rng: random.Random, case: SmallCase) -> SmallCase:
    """An operation is of another purchase id."""
    return _with_operation(rng, case, lambda operation: replace(operation, purchase=rng.randint(1, 4)))


def come_at_another_time(rng: random.Random, case: SmallCase) -> SmallCase:
    """An operation is called earlier or later, or takes the time of another one."""
    shift, width = rng.randint(-8, 8), rng.choice([None, 0, 1, 3])
    other = rng.choice(case.operations)

    def change(operation: Operation) -> Operation:
        if rng.random() < 0.3:
            return replace(operation, invoked=other.invoked, completed=other.completed)
        length = operation.completed - operation.invoked if width is None else width
        invoked = max(0, operation.invoked + shift)
        return replace(operation, invoked=invoked, completed=invoked + length)

    return _with_operation(rng, case, change)


def keep_other_books(rng: random.Random, case: SmallCase) -> SmallCase:
    """The stock, the version or the seats of an event are others; the stock may be below zero."""

    def change(event: Event) -> Event:
        name = rng.choice(["available", "available", "version", "total"])
        number = getattr(event, name)
        if number is None:
            return replace(event, **{name: rng.randint(1, 5)})
        if name == "available" and rng.random() < 0.1:
            return replace(event, available=-2)
        return replace(event, **{name: _near(rng, number, 1 if name == "version" else 0)})

    return _with_event(rng, case, change)


def keep_other_tickets(rng: random.Random, case: SmallCase) -> SmallCase:
    """A ticket is gone, is there once more, or is of another event or id."""
    tickets = list(case.tickets)
    what = rng.choice(["gone", "more", "event", "id"])
    if what == "more":
        owner = rng.choice([each.purchase for each in case.operations] + [5])
        tickets.append((rng.randrange(len(case.events)), owner))
    elif tickets:
        event, owner = tickets.pop(rng.randrange(len(tickets)))
        if what == "event":
            tickets.append(((event + 1) % len(case.events), owner))
        elif what == "id":
            tickets.append((event, rng.randint(1, 4)))
    return replace(case, tickets=tuple(tickets))


def lose_all_tickets(rng: random.Random, case: SmallCase) -> SmallCase:
    """The tickets of one id are gone, and perhaps the stock has them."""
    owner = rng.choice(case.operations).purchase
    lost = [event for event, each in case.tickets if each == owner]
    returned = rng.random() < 0.7
    events = tuple(
        replace(event, available=event.available + lost.count(number))
        if returned and event.available is not None
        else event
        for number, event in enumerate(case.events)
    )
    return replace(case, events=events, tickets=tuple(each for each in case.tickets if each[1] != owner))


def forget(rng: random.Random, case: SmallCase) -> SmallCase:
    """An operation is missing from the history."""
    if len(case.operations) < 3:
        return case
    place = rng.randrange(len(case.operations))
    return replace(case, operations=case.operations[:place] + case.operations[place + 1 :])


def say_twice(rng: random.Random, case: SmallCase) -> SmallCase:
    """An operation is there once more, at the same time or later."""
    if len(case.operations) >= MOST_OPERATIONS:
        return case
    again = rng.choice(case.operations)
    later = rng.choice([0, 0, 1, 5])
    again = replace(again, invoked=again.invoked + later, completed=again.completed + later)
    return replace(case, operations=(*case.operations, again))


def count_stock_elsewhere(rng: random.Random, case: SmallCase) -> SmallCase:
    """Stock is counted apart from the event's row, or no longer is."""
    if rng.random() < 0.8:
        return case
    return replace(case, stock_elsewhere=not case.stock_elsewhere)


MUTATIONS: Final[list[Mutation]] = [
    report_another_number,
    report_another_number,
    report_a_number_or_none,
    report_what_another_reported,
    end_otherwise,
    repeat_or_not,
    want_something_else,
    use_another_id,
    come_at_another_time,
    come_at_another_time,
    keep_other_books,
    keep_other_tickets,
    lose_all_tickets,
    forget,
    say_twice,
    count_stock_elsewhere,
]
