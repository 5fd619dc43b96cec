"""Small random cases, all from a seed: a right execution, or one with a defect, or a right one and then mutations.

An execution is played operation by operation, each at its instant; its call begins before that instant and ends after
it, so calls overlap and ticks are often equal. What is reported depends on the family of the history: all numbers, some
of them, no stock, no version of any sale, or nothing. A defect is a mistake that the database makes now and then while
it sells: all that follows agrees with it, so nothing but the mistake itself is wrong.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mutated_cases import mutated
from small_cases import Event, Line, Operation, SmallCase

from ticketlab.outcomes import Cause, Kind, Outcome

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


class Defect(StrEnum):
    """A mistake that the database makes."""

    OVERSELL = "sells seats that are not there"
    SELL_AGAIN = "sells to an id that owns tickets"
    SELL_NOTHING = "reports a sale that it does not make"
    SELL_A_PART = "sells only one line of a basket, or one ticket less"
    SELL_IN_SILENCE = "sells, and reports a failure"
    REFUSE = "refuses all lines, though there are seats enough for some"
    CONFIRM_OTHER_LINES = "confirms other lines than those that were bought"
    CONFIRM_THE_LATEST = "confirms with the event's version of this instant"
    REPEAT_NOTHING = "reports a purchase as repeated that was never made"
    REFUND_NOTHING = "gives back what is not owned"
    REFUND_A_PART = "gives back another quantity, or only one line"
    REFUND_WITHOUT_SEATS = "gives back, and leaves the stock as it is"
    KEEP_TICKETS = "gives back, and leaves the tickets"
    REPEAT_NO_REFUND = "reports a refund as made before, though the tickets are there"
    MAKE_NO_VERSION = "sells or gives back without a new version"
    SKIP_A_VERSION = "makes two versions at once"
    REPORT_THE_PAST = "reports version and stock from before the change"
    REPORT_EARLIER_REFUNDS = "reports an earlier version of a refund"


def generated(seed: int) -> SmallCase:
    """The case of a seed."""
    rng = random.Random(seed)
    way = rng.random()
    play = _Play(rng, defect=rng.choice(list(Defect)) if way < 0.5 else None)
    case = play.case()
    if way > 0.75 or (play.defect is not None and not play.erred):
        for _ in range(rng.choice([1, 1, 2])):
            case = mutated(rng, case)
    return case


@dataclass
class _Play:
    """A database, the calls to it, and what they report."""

    rng: random.Random
    defect: Defect | None
    """A mistake that the database makes at every second occasion."""
    erred: bool = False
    """Whether it has made it."""
    operations: list[Operation] = field(default_factory=list)
    owned: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """By purchase id and event: the quantity, and the version that the sale made."""
    last_wanted: dict[int, dict[int, int]] = field(default_factory=dict)

    def case(self) -> SmallCase:
        """Play a history, and keep what it leaves."""
        rng = self.rng
        self.family = FAMILIES[rng.choice([*FAMILIES, "all", "all", "mixed", "mixed"])]
        if self.defect is Defect.REPORT_EARLIER_REFUNDS and rng.random() < 0.7:
            self.family = Family(version=0, available=rng.choice([0, 1]), other_version=1)
        self.elsewhere = rng.random() < 0.04
        count = rng.randint(1, 2)
        self.total = [rng.choice([0, 1, 2, 2, 3, 4, 5, 5]) for _ in range(count)]
        self.stock = list(self.total)
        self.version = [1] * count
        self.sales_make_versions = self.family.version > 0 or rng.random() < 0.5
        self.ids = rng.choice([1, 2, 3, 3, 4, 4])
        refunds_err = self.defect is not None and "REFUND" in self.defect.name
        self.refunds = 0.5 if refunds_err else rng.choice([0, 0.2, 0.35, 0.5])
        self.baskets = rng.choice([0, 0.2, 0.6])
        self.lost = 0.4 if self.defect is Defect.SELL_AGAIN else rng.choice([0, 0, 0, 0.15, 0.4])
        self.same_again = rng.choice([0.5, 0.9])
        self.haste = rng.choice([0, 1, 1, 2, 4])
        self.width = rng.choice([0, 1, 2, 4, 8])
        clock = 10
        for _ in range(rng.choice([2, 3, 4, 5, 5, 6, 6, 7, 7])):
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
        """The number or None; a stock below zero is not reported."""
        return number if self.rng.random() < share and number >= 0 else None

    def _errs(self, defect: Defect) -> bool:
        """Whether this is the defect of this history, and happens now."""
        errs = self.defect is defect and self.rng.random() < 0.5
        self.erred = self.erred or errs
        return errs

    # A call.

    def _call(self, instant: int) -> Operation:
        """One call whose effect, if it has any, is at this instant."""
        rng = self.rng
        kind = Kind.REFUND if rng.random() < self.refunds else Kind.PURCHASE
        purchase = rng.randint(1, self.ids)
        if kind is Kind.REFUND and self.owned and rng.random() < 0.8:
            purchase = rng.choice(list(self.owned))
        if kind is Kind.PURCHASE and purchase in self.owned and rng.random() < 0.5:
            purchase = rng.randint(1, self.ids)
        invoked, completed = instant - rng.randint(0, self.width), instant + rng.randint(0, self.width)
        lines = self._wanted(purchase)
        fate = rng.random()
        if fate < self.lost:
            outcome, cause = Outcome.UNKNOWN, Cause.CONNECTION
            reported = self._lose(kind, purchase, lines)
            completed = invoked + rng.randint(0, self.width)
        elif fate > 0.95:
            outcome, cause, reported = self._fail(purchase, lines)
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
        self.last_wanted[purchase] = {event: rng.choice([1, 1, 1, 2, 2, 3]) for event in events}
        return self.last_wanted[purchase]

    def _lose(self, kind: Kind, purchase: int, lines: dict[int, int]) -> tuple[Line, ...]:
        """Sell or give back, perhaps, and answer nothing; what the call was about."""
        if self.rng.random() < 0.6:
            if kind is Kind.REFUND and purchase in self.owned:
                lines = self._give_back(purchase)
            elif kind is Kind.PURCHASE and not self._short(lines) and self._may_sell(purchase):
                self._sell(purchase, lines)
        return self._seldom_anything(lines)

    def _fail(self, purchase: int, lines: dict[int, int]) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        if self._errs(Defect.SELL_IN_SILENCE) and purchase not in self.owned and not self._short(lines):
            self._sell(purchase, lines)
        outcome = self.rng.choice(list(FAILURES))
        return outcome, FAILURES[outcome], self._seldom_anything(lines)

    def _purchase(self, purchase: int, lines: dict[int, int]) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        short = self._short(lines)
        if not self._may_sell(purchase):
            return self._again(purchase, lines, short)
        if self._errs(Defect.REFUSE):
            short = lines
        if short and not self._errs(Defect.OVERSELL):
            return Outcome.SOLD_OUT, Cause.INSUFFICIENT, self._report(short, self.family.other_version)
        if self._errs(Defect.REPEAT_NOTHING):
            return Outcome.SOLD, Cause.REPEATED, self._seldom_anything(lines)
        before = self._before()
        self._sell(purchase, lines)
        if self.rng.random() < 0.08:  # an earlier attempt of this call sold, and this one finds the tickets
            return Outcome.SOLD, Cause.REPEATED, self._seldom_anything(lines)
        return Outcome.SOLD, Cause.NONE, self._report(lines, self.family.version, before)

    def _again(
        self, purchase: int, lines: dict[int, int], short: dict[int, int]
    ) -> tuple[Outcome, Cause, tuple[Line, ...]]:
        """A purchase of an id that owns tickets: sold out, sold before, or the first sale confirmed."""
        rng = self.rng
        if short and rng.random() < 0.3:
            return Outcome.SOLD_OUT, Cause.INSUFFICIENT, self._report(short, self.family.other_version)
        if rng.random() < 0.5:
            return Outcome.SOLD, Cause.REPEATED, self._seldom_anything(lines)
        owned = self.owned[purchase]
        if self._errs(Defect.CONFIRM_OTHER_LINES):
            owned = {event: (quantity, self.version[event]) for event, quantity in lines.items()}
        if self._errs(Defect.CONFIRM_THE_LATEST):
            owned = {event: (quantity, self.version[event]) for event, (quantity, _) in owned.items()}
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
        before = self._before()
        if self._errs(Defect.REFUND_NOTHING) and purchase not in self.owned:
            self._return_seats(lines)
            return Outcome.REFUNDED, Cause.NONE, self._report(lines, self.family.other_version)
        if purchase not in self.owned or self._errs(Defect.REPEAT_NO_REFUND):
            return Outcome.REFUNDED, Cause.REPEATED, self._seldom_anything(lines)
        given_back = self._give_back(purchase)
        if self._errs(Defect.REPORT_EARLIER_REFUNDS):
            before = [(max(1, version - self.rng.randint(0, 3)), stock) for version, stock in self._now()]
            return Outcome.REFUNDED, Cause.NONE, self._report_of(given_back, self.family.other_version, before)
        return Outcome.REFUNDED, Cause.NONE, self._report(given_back, self.family.other_version, before)

    # The database.

    def _may_sell(self, purchase: int) -> bool:
        return purchase not in self.owned or self._errs(Defect.SELL_AGAIN)

    def _short(self, lines: dict[int, int]) -> dict[int, int]:
        return {event: quantity for event, quantity in lines.items() if self.stock[event] < quantity}

    def _sell(self, purchase: int, lines: dict[int, int]) -> None:
        if self._errs(Defect.SELL_NOTHING):
            return
        if self._errs(Defect.SELL_A_PART):
            lines = self._part(lines)
        held = self.owned.setdefault(purchase, {})
        for event, quantity in lines.items():
            self.stock[event] -= quantity
            self.version[event] += self._versions() if self.sales_make_versions else 0
            held[event] = (quantity + held.get(event, (0, 0))[0], self.version[event])
        if not held:
            del self.owned[purchase]

    def _give_back(self, purchase: int) -> dict[int, int]:
        """Give back all that an id owns; what the buyer is answered."""
        lines = {event: quantity for event, (quantity, _) in self.owned[purchase].items()}
        if self._errs(Defect.REFUND_A_PART):
            part = self._part(lines)
            if self.rng.random() < 0.5:
                lines = part
            self._return_seats(part)
        else:
            self._return_seats(lines, seats=not self._errs(Defect.REFUND_WITHOUT_SEATS))
        if not self._errs(Defect.KEEP_TICKETS):
            del self.owned[purchase]
        return lines

    def _return_seats(self, lines: dict[int, int], *, seats: bool = True) -> None:
        for event, quantity in lines.items():
            self.stock[event] += quantity if seats else 0
            self.version[event] += self._versions()

    def _versions(self) -> int:
        """How many versions one change makes."""
        return 0 if self._errs(Defect.MAKE_NO_VERSION) else 2 if self._errs(Defect.SKIP_A_VERSION) else 1

    def _part(self, lines: dict[int, int]) -> dict[int, int]:
        """One line of several, or another quantity of at least one ticket."""
        event = self.rng.choice(list(lines))
        if len(lines) > 1:
            return {event: lines[event]}
        return {event: max(1, lines[event] - 1) if lines[event] > 1 else 2}

    # What is reported.

    def _now(self) -> list[tuple[int, int]]:
        """Of each event its version and its stock."""
        return list(zip(self.version, self.stock, strict=True))

    def _before(self) -> list[tuple[int, int]] | None:
        """What is reported instead of the numbers after the change that comes now, if anything is."""
        return self._now() if self._errs(Defect.REPORT_THE_PAST) else None

    def _report(
        self, lines: dict[int, int], version_share: float, instead: list[tuple[int, int]] | None = None
    ) -> tuple[Line, ...]:
        """The numbers of this instant, as many as the family reports; any numbers where stock is elsewhere."""
        if self.elsewhere and self.rng.random() < 0.7:
            return self._anything(lines)
        return self._report_of(lines, version_share, instead or self._now())

    def _report_of(
        self, lines: dict[int, int], version_share: float, numbers: list[tuple[int, int]]
    ) -> tuple[Line, ...]:
        return tuple(
            Line(
                event=event,
                quantity=quantity,
                version=self._perhaps(version_share, numbers[event][0]),
                available=self._perhaps(self.family.available, numbers[event][1]),
            )
            for event, quantity in lines.items()
        )

    def _seldom_anything(self, lines: dict[int, int]) -> tuple[Line, ...]:
        """What an answer reports that need not report anything: nothing, or numbers that may be wrong."""
        return self._anything(lines) if self.rng.random() < 0.35 else _silent(lines)

    def _anything(self, lines: dict[int, int]) -> tuple[Line, ...]:
        """Numbers that need not be right: those of this instant, or others."""
        rng = self.rng
        return tuple(
            Line(
                event=event,
                quantity=quantity,
                version=rng.choice([None, self.version[event], rng.randint(1, 9)]),
                available=rng.choice([None, max(0, self.stock[event]), rng.randint(0, 5)]),
            )
            for event, quantity in lines.items()
        )


def _silent(lines: dict[int, int]) -> tuple[Line, ...]:
    return tuple(Line(event=event, quantity=quantity) for event, quantity in lines.items())
