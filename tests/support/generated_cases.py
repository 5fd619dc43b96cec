"""Small random cases: a right sequential execution, and in most of them one to three mutations. All from a seed.

The execution is played operation by operation, each at its instant; its call begins before that instant and ends after
it, so calls overlap and ticks are often equal. What is reported depends on the family of the history: all numbers, some
of them, no stock, no version of any sale, or nothing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from small_cases import Event, Line, Operation, SmallCase

from ticketlab.outcomes import Cause, Kind, Outcome

MOST_OPERATIONS: Final = 7
FAILURES: Final = {
    Outcome.FAILED: Cause.TRANSACTION,
    Outcome.CONFLICT: Cause.STALE_VERSION,
    Outcome.UNAVAILABLE: Cause.POOL_TIMEOUT,
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the operations of a history report, as shares of their lines."""

    version: float
    """Of the lines of sales, those that carry a version."""
    available: float
    """Of all lines, those that carry a stock."""
    other_version: float
    """Of the lines of refunds and refusals, those that carry a version."""


FAMILIES: Final = {
    "all": Family(version=1, available=1, other_version=1),
    "mixed": Family(version=0.6, available=0.6, other_version=0.6),
    "versions": Family(version=1, available=0, other_version=1),
    "few": Family(version=0.3, available=0.3, other_version=0.3),
    "versionless": Family(version=0, available=0.7, other_version=0.7),
    "stocks": Family(version=0, available=1, other_version=0),
    "none": Family(version=0, available=0, other_version=0),
}


def generated(seed: int) -> SmallCase:
    """The case of a seed."""
    rng = random.Random(seed)
    case = _Play(rng).case()
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3])):
        case = mutated(rng, case)
    return case


@dataclass
class _Play:
    """A database that is always right, the calls to it, and what they report."""

    rng: random.Random
    operations: list[Operation] = field(default_factory=list)
    owned: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """By purchase id and event: the quantity, and the version that the sale made."""
    last_wanted: dict[int, dict[int, int]] = field(default_factory=dict)

    def case(self) -> SmallCase:
        rng = self.rng
        self.family = FAMILIES[rng.choice([*FAMILIES, "all", "all", "mixed"])]
        self.elsewhere = rng.random() < 0.04
        count = rng.randint(1, 2)
        self.total = [rng.choice([0, 1, 1, 2, 3, 4, 5]) for _ in range(count)]
        self.stock = list(self.total)
        self.version = [1] * count
        self.sales_make_versions = self.family.version > 0 or rng.random() < 0.5
        self.ids = rng.randint(1, 4)
        self.refunds = rng.choice([0, 0.15, 0.3, 0.45])
        self.baskets = rng.choice([0, 0.2, 0.6])
        self.lost = rng.choice([0, 0, 0.15, 0.4])
        self.same_again = rng.choice([0.5, 0.9])
        self.haste = rng.choice([0, 1, 1, 2, 4])
        self.width = rng.choice([0, 1, 2, 4, 8])
        clock = 10
        for _ in range(rng.randint(2, MOST_OPERATIONS)):
            clock += rng.randint(0, self.haste)
            self.operations.append(self._call(clock))
        rng.shuffle(self.operations)
        return SmallCase(
            operations=tuple(self.operations),
            events=self._events(),
            tickets=tuple(
                (event, purchase)
                for purchase, lines in self.owned.items()
                for event, (quantity, _) in lines.items()
                for _ in range(quantity)
            ),
            stock_elsewhere=self.elsewhere,
        )

    def _events(self) -> tuple[Event, ...]:
        known_stock, known_version = self.rng.choice([(1, 1), (1, 1), (1, 0), (0, 1), (0, 0), (0.5, 0.5)])
        return tuple(
            Event(
                total=total,
                available=self._perhaps(known_stock, stock),
                version=self._perhaps(known_version, version),
            )
            for total, stock, version in zip(self.total, self.stock, self.version, strict=True)
        )

    def _perhaps(self, share: float, number: int) -> int | None:
        return number if self.rng.random() < share else None

    def _call(self, instant: int) -> Operation:
        """One call whose effect, if it has any, is at this instant."""
        rng = self.rng
        purchase = rng.randint(1, self.ids)
        invoked, completed = instant - rng.randint(0, self.width), instant + rng.randint(0, self.width)
        kind = Kind.REFUND if rng.random() < self.refunds else Kind.PURCHASE
        lines = self._wanted(purchase)
        fate = "lost" if rng.random() < self.lost else "failed" if rng.random() < 0.08 else "answered"
        if fate == "failed":
            outcome = rng.choice(list(FAILURES))
            reported = self._anything(lines) if rng.random() < 0.5 else _silent(lines)
            cause = FAILURES[outcome]
        elif fate == "lost":
            if rng.random() < 0.6:
                lines = self._effect_of_lost(kind, purchase, lines)
            completed = invoked + rng.randint(0, self.width)
            reported = self._anything(lines) if rng.random() < 0.3 else _silent(lines)
            outcome, cause = Outcome.UNKNOWN, Cause.CONNECTION
        elif kind is Kind.REFUND:
            outcome, cause, reported = self._refund(purchase, lines)
        else:
            outcome, cause, reported = self._purchase(purchase, lines)
        return Operation(
            kind=kind, purchase=purchase, lines=reported, invoked=invoked, completed=completed,
            outcome=outcome, cause=cause,
        )  # fmt: skip

    def _wanted(self, purchase: int) -> dict[int, int]:
        """What a call asks for: often what its id asked for before."""
        rng = self.rng
        if purchase in self.last_wanted and rng.random() < self.same_again:
            return self.last_wanted[purchase]
        events = rng.sample(range(len(self.total)), 2 if len(self.total) > 1 and rng.random() < self.baskets else 1)
        self.last_wanted[purchase] = {event: rng.choice([1, 1, 2, 3]) for event in events}
        return self.last_wanted[purchase]

    def _effect_of_lost(self, kind: Kind, purchase: int, lines: dict[int, int]) -> dict[int, int]:
        """Sell or give back, if that can be, and report nothing; what the call then was about."""
        if kind is Kind.REFUND:
            if purchase not in self.owned:
                return lines
            return self._give_back(purchase)
        if purchase not in self.owned and not self._short(lines):
            self._sell(purchase, lines)
        return lines

    def _purchase(self, purchase: int, lines: dict[int, int]) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        rng = self.rng
        short = self._short(lines)
        if purchase in self.owned:
            return self._again(purchase, lines, short)
        if short:
            return Outcome.SOLD_OUT, Cause.INSUFFICIENT, self._report(short, self.family.other_version)
        self._sell(purchase, lines)
        if rng.random() < 0.08:  # an earlier attempt of this call sold, and this one finds the tickets
            return Outcome.SOLD, Cause.REPEATED, self._anything(lines) if rng.random() < 0.4 else _silent(lines)
        return Outcome.SOLD, Cause.NONE, self._report(lines, self.family.version)

    def _again(
        self, purchase: int, lines: dict[int, int], short: dict[int, int]
    ) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        """A purchase of an id that owns tickets: sold out, sold before, or the first sale confirmed."""
        rng = self.rng
        if short and rng.random() < 0.3:
            return Outcome.SOLD_OUT, Cause.INSUFFICIENT, self._report(short, self.family.other_version)
        owned = self.owned[purchase]
        if rng.random() < 0.5:
            return Outcome.SOLD, Cause.REPEATED, self._anything(lines) if rng.random() < 0.4 else _silent(lines)
        confirmed = tuple(
            Line(
                event=event,
                quantity=quantity,
                version=self._perhaps(self.family.version, version),
                available=self._perhaps(self.family.available / 2, rng.randint(0, 5)),
            )
            for event, (quantity, version) in owned.items()
        )
        return Outcome.SOLD, Cause.NONE, confirmed

    def _refund(self, purchase: int, lines: dict[int, int]) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        if purchase not in self.owned:
            reported = self._anything(lines) if self.rng.random() < 0.3 else _silent(lines)
            return Outcome.REFUNDED, Cause.REPEATED, reported
        return Outcome.REFUNDED, Cause.NONE, self._report(self._give_back(purchase), self.family.other_version)

    def _short(self, lines: dict[int, int]) -> dict[int, int]:
        return {event: quantity for event, quantity in lines.items() if self.stock[event] < quantity}

    def _sell(self, purchase: int, lines: dict[int, int]) -> None:
        for event, quantity in lines.items():
            self.stock[event] -= quantity
            self.version[event] += self.sales_make_versions
        self.owned[purchase] = {event: (quantity, self.version[event]) for event, quantity in lines.items()}

    def _give_back(self, purchase: int) -> dict[int, int]:
        lines = {event: quantity for event, (quantity, _) in self.owned.pop(purchase).items()}
        for event, quantity in lines.items():
            self.stock[event] += quantity
            self.version[event] += 1
        return lines

    def _report(self, lines: dict[int, int], version_share: float) -> tuple[Line, ...]:
        """The numbers of this instant, as many as the family reports; any numbers where stock is elsewhere."""
        if self.elsewhere and self.rng.random() < 0.7:
            return self._anything(lines)
        return tuple(
            Line(
                event=event,
                quantity=quantity,
                version=self._perhaps(version_share, self.version[event]),
                available=self._perhaps(self.family.available, self.stock[event]),
            )
            for event, quantity in lines.items()
        )

    def _anything(self, lines: dict[int, int]) -> tuple[Line, ...]:
        """Numbers that need not be right: those of this instant, or others."""
        rng = self.rng
        return tuple(
            Line(
                event=event,
                quantity=quantity,
                version=rng.choice([None, self.version[event], rng.randint(1, 9)]),
                available=rng.choice([None, self.stock[event], rng.randint(0, 5)]),
            )
            for event, quantity in lines.items()
        )


def _silent(lines: dict[int, int]) -> tuple[Line, ...]:
    return tuple(Line(event=event, quantity=quantity) for event, quantity in lines.items())


# Mutations: each returns another case, or the same one where it finds nothing to change.

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
