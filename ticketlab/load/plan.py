"""The purchase requests of a trial, all of them drawn from one seed, and the second calls of their purchase ids.

Opens nothing, measures nothing, calls nothing.

Each buyer has its own `SecondCalls`. All of them share one `Offers`, through which a buyer offers a call to the others:
no buyer waits for a call to be taken, and a buyer makes an offered call itself if no other has.
"""

import math
import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from itertools import repeat
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np

from ticketlab.errors import check_values
from ticketlab.outcomes import MAX_INTEGER, Outcome

_BLOCK = 1024
"""Requests drawn at once, because a call of the generator costs much more than one draw."""
_REFUNDS = 1
"""The key of a buyer's random stream of refunds; the stream of its requests has no key."""
_SECOND_CALLS = 2
"""The key of its random stream of second calls."""
_MOST_BUYERS = 10_000
_MOST_EVENTS = 10_000
"""More than one process can drive: a larger number is taken for a typing error."""


class PurchaseIntent(NamedTuple):
    """One purchase that a buyer will make."""

    lines: tuple[tuple[int, int], ...]
    """The number of each event, from 0, and how many tickets of it; in the buyer's order."""
    purchase_id: UUID


class When(Enum):
    """When the second call of a purchase id is made, and by which buyer."""

    AT_ONCE = auto()
    """While the first call is under way, by another buyer."""
    LATER = auto()
    """After the first call was answered, by the same buyer."""
    LATER_BY_ANOTHER = auto()
    """After the first call was answered, by another buyer."""


class Second(NamedTuple):
    """The second call of a purchase id, as it was drawn."""

    when: When
    differs: bool
    """Whether it asks for another quantity or another event."""
    number: int
    """A random number that decides the rest: the delay, the other quantity or event."""


_SECONDS: Final = (
    (When.AT_ONCE, False),
    (When.AT_ONCE, False),
    (When.AT_ONCE, True),
    (When.LATER, False),
    (When.LATER_BY_ANOTHER, False),
    (When.LATER_BY_ANOTHER, True),
)
"""The kinds of second calls, equally likely: half of them are made at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The load of one trial, in a closed loop: each buyer makes its next purchase when the last one is answered.

    A trial ends when everything is sold out for every buyer, when `purchases` were made, or after
    `seconds`, whichever comes first. A buyer stops after its first "sold out" for an event, so seats refunded later
    may stay unsold; where nearly everything is refunded nothing sells out, and the trial lasts for its `purchases` or
    `seconds`.

    Raises:
        InvalidInputError: a value is out of range.
    """

    buyers: int = 16
    """How many buy at once."""
    seconds: float = 5.0
    purchases: int | None = None
    """Purchases of all buyers together, divided evenly; refunds do not count."""
    events: int = 1
    """The number of events on sale."""
    stock: int = 1000
    """Seats of each event."""
    quantity: tuple[int, int] = (1, 1)
    """The fewest and the most tickets of an event in a purchase; uniformly distributed."""
    basket: tuple[int, int] = (1, 1)
    """The fewest and the most events of a purchase; uniformly distributed."""
    hot: float | None = None
    """The share of purchases that ask for event 0, as long as it has tickets; without it all events are equally
    likely."""
    refunds: float = 0.0
    """The share of a buyer's sales that it refunds, each right after the sale."""
    double_calls: float = 0.0
    """The share of purchases whose id is called twice; these are not refunded. Where it is above 0, a purchase of
    unknown outcome is also called again, once and immediately."""
    warm_up_s: float = 0.3
    """How long buyers buy from another event first, to open connections and prepare statements; not recorded."""
    seed: int = 0
    """Reproduces the same purchase requests."""

    def __post_init__(self) -> None:
        fewest, most = self.quantity
        fewest_events, most_events = self.basket
        errors = {
            f"buyers must be from 1 to {_MOST_BUYERS:,}": not 1 <= self.buyers <= _MOST_BUYERS,
            "seconds must be above 0, and finite": not 0 < self.seconds < math.inf,
            "purchases must be at least 1": self.purchases is not None and self.purchases < 1,
            f"events must be from 1 to {_MOST_EVENTS:,}": not 1 <= self.events <= _MOST_EVENTS,
            f"stock must be from 0 to {MAX_INTEGER:,}": not 0 <= self.stock <= MAX_INTEGER,
            f"quantity must be from 1 to {MAX_INTEGER:,}, the fewest first": not 1 <= fewest <= most <= MAX_INTEGER,
            "hot must be a share from 0 to 1": self.hot is not None and not 0 <= self.hot <= 1,
            f"basket must be from 1 to as many events as are sold ({len(self.event_numbers):,}), the fewest first": (
                not 1 <= fewest_events <= most_events <= max(1, len(self.event_numbers))
            ),
            "refunds must be a share from 0 to 1": not 0 <= self.refunds <= 1,
            "double_calls must be a share from 0 to 1": not 0 <= self.double_calls <= 1,
            "warm_up_s must not be negative, and finite": not 0 <= self.warm_up_s < math.inf,
            "seed must not be negative": self.seed < 0,
        }
        check_values("This load is invalid:", errors)

    @property
    def sells_baskets(self) -> bool:
        """Whether a purchase may be of several events; then every purchase is made as a basket."""
        return self.basket != (1, 1)

    @property
    def event_numbers(self) -> frozenset[int]:
        """The events that a purchase may ask for: all, unless `hot` is 0 (never event 0) or 1 (only event 0)."""
        if self.events > 1 and self.hot == 0:
            return frozenset(range(1, self.events))
        if self.events > 1 and self.hot == 1 and not self.sells_baskets:
            return frozenset({0})
        return frozenset(range(self.events))

    def purchases_of(self, buyer: int) -> int | None:
        """This buyer's part of `purchases`; None where only time and stock end the trial."""
        if self.purchases is None:
            return None
        return self.purchases // self.buyers + (buyer < self.purchases % self.buyers)

    def intents(self, buyer: int, left: AbstractSet[int]) -> Iterator[PurchaseIntent]:
        """This buyer's purchase requests; the same for the same seed.

        Requests for one event ignore `left` (the events that the buyer still asks for) and never end: the buyer
        skips those for other events. Baskets are drawn from what is `left` at the time, as nearly all would have to be
        skipped otherwise; they end when fewer events are left than a basket needs.
        """
        seed = np.random.SeedSequence(self.seed, spawn_key=(buyer,))
        return self._baskets(seed, left) if self.sells_baskets else self._single_intents(seed)

    def refund_flags(self, buyer: int) -> Iterator[bool]:
        """For each of this buyer's requests whether a sale is refunded; the same for the same seed.

        Drawn apart from the requests, which are the same with refunds or without. A larger share refunds all that a
        smaller one does, and more.
        """
        if not self.refunds:
            yield from repeat(False)
        generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(buyer, _REFUNDS)))
        while True:
            yield from (generator.random(_BLOCK) < self.refunds).tolist()

    def second_calls(self, buyer: int) -> Iterator[Second | None]:
        """For each of this buyer's requests its second call, or None; the same for the same seed.

        Drawn apart from the requests and refunds. A larger share calls all ids twice that a smaller one does, and
        more.
        """
        if not self.double_calls:
            yield from repeat(None)
        generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(buyer, _SECOND_CALLS)))
        while True:
            doubled = (generator.random(_BLOCK) < self.double_calls).tolist()
            kinds = generator.integers(len(_SECONDS), size=_BLOCK).tolist()
            numbers = generator.integers(MAX_INTEGER, size=_BLOCK).tolist()
            for is_doubled, kind, number in zip(doubled, kinds, numbers, strict=True):
                yield Second(*_SECONDS[kind], number) if is_doubled else None

    def second_intent(self, intent: PurchaseIntent, second: Second) -> PurchaseIntent:
        """The request of a second call: the same; or, if `second.differs`, another quantity or event (no basket)."""
        if not second.differs or self.sells_baskets:
            return intent
        ((event, quantity),) = intent.lines
        others = sorted(self.event_numbers - {event})
        if others and second.number % 2:
            event = others[second.number // 2 % len(others)]
        elif quantity == MAX_INTEGER or (quantity > 1 and second.number // 2 % 2):
            quantity -= 1
        else:
            quantity += 1
        return PurchaseIntent(((event, quantity),), intent.purchase_id)

    def _single_intents(self, seed: np.random.SeedSequence) -> Iterator[PurchaseIntent]:
        generator = np.random.default_rng(seed)
        fewest, most = self.quantity
        while True:
            events = self._draw_events(generator).tolist()
            quantities = generator.integers(fewest, most, size=_BLOCK, endpoint=True).tolist()
            ids = generator.bytes(16 * _BLOCK)
            for place, line in enumerate(zip(events, quantities, strict=True)):
                yield PurchaseIntent((line,), UUID(bytes=ids[16 * place : 16 * (place + 1)], version=4))

    def _draw_events(self, generator: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        if self.hot is None or self.events == 1:
            return generator.integers(0, self.events, size=_BLOCK)
        others = generator.integers(1, self.events, size=_BLOCK)
        return np.where(generator.random(_BLOCK) < self.hot, 0, others)

    def _baskets(self, seed: np.random.SeedSequence, left: AbstractSet[int]) -> Iterator[PurchaseIntent]:
        chance = random.Random(seed.generate_state(4).tobytes())
        available: list[int] = []
        while len(left) >= self.basket[0]:
            if len(available) != len(left):  # events are only ever removed
                available = sorted(left)
            events = self._draw_basket(chance, available)
            lines = tuple((event, chance.randint(*self.quantity)) for event in events)
            yield PurchaseIntent(lines, UUID(int=chance.getrandbits(128), version=4))

    def _draw_basket(self, chance: random.Random, left: Sequence[int]) -> list[int]:
        """Distinct events in random order; event 0 among them in its `hot` share, or where there are too few others."""
        size = min(chance.randint(*self.basket), len(left))
        if self.hot is None or left[0] != 0:
            return chance.sample(left, size)
        others = left[1:]
        if size <= len(others) and chance.random() >= self.hot:
            return chance.sample(others, size)
        return chance.sample([0, *chance.sample(others, size - 1)], size)


_LONGEST_DELAY: Final = 8
"""A later call by the same buyer is made after 0 to 7 more of its purchases."""


class Once:
    """A flag for several threads: `first` returns True to the first thread that calls it, False to every later one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def first(self) -> bool:
        """Whether this is the first call."""
        return self._lock.acquire(blocking=False)

    @property
    def asked(self) -> bool:
        """Whether `first` has been called."""
        return self._lock.locked()


class SecondCall:
    """A second call of a purchase id."""

    __slots__ = ("buyer", "claim", "intent", "sold")

    def __init__(self, intent: PurchaseIntent, *, buyer: int, sold: Once) -> None:
        self.intent = intent
        """The request."""
        self.buyer = buyer
        """The buyer that makes the first call of the id."""
        self.sold = sold
        """Whether a call of the id was answered SOLD before; shared by the calls of an id."""
        self.claim = Once()
        """The buyer that claims the call first makes it."""


class Offers:
    """Calls for any buyer but the one that offers them, the oldest first."""

    def __init__(self) -> None:
        self._calls: deque[SecondCall] = deque()  # appending and popping are atomic

    def put(self, call: SecondCall) -> None:
        """Offer a call."""
        self._calls.append(call)

    def take(self, buyer: int) -> SecondCall | None:
        """Claim the oldest unclaimed call that another buyer offers, or None."""
        own: list[SecondCall] = []
        found = None
        while self._calls and found is None:
            try:
                call = self._calls.popleft()
            except IndexError:  # another buyer was faster
                break
            if call.buyer != buyer:
                found = call if call.claim.first() else None
            elif not call.claim.asked:
                own.append(call)
        self._calls.extend(own)
        return found


class SecondCalls:
    """The second calls that one buyer makes or offers."""

    def __init__(self, plan: Plan, buyer: int, offers: Offers, *, may_differ: bool) -> None:
        """Start without calls.

        Args:
            plan: the load.
            buyer: the buyer's number, from 0.
            offers: what all buyers of the trial share.
            may_differ: whether a second call may ask for another quantity or event.
        """
        self._plan = plan
        self._buyer = buyer
        self._offers = offers
        self._may_differ = may_differ
        self._answered = 0
        self._waiting: list[tuple[int, SecondCall]] = []
        """Pairs of a number and a call: after that many answers the buyer makes the call, unless another buyer did."""

    def purchase_starts(self, intent: PurchaseIntent, second: Second | None) -> SecondCall | None:
        """Call this just before a purchase. Returns its second call, which is offered already if it is due at once."""
        if second is None:
            return None
        wanted = self._plan.second_intent(intent, second._replace(differs=second.differs and self._may_differ))
        call = SecondCall(wanted, buyer=self._buyer, sold=Once())
        if second.when is When.LATER:
            self._waiting.append((self._answered + 1 + second.number % _LONGEST_DELAY, call))
            return call
        self._waiting.append((self._answered + 2, call))  # another buyer has the time of one more purchase to take it
        if second.when is When.AT_ONCE:
            self._offers.put(call)
        return call

    def purchase_answered(
        self, intent: PurchaseIntent, second: Second | None, call: SecondCall | None, outcome: Outcome
    ) -> SecondCall | None:
        """Call this when the purchase is answered. Returns the call to make at once, where the answer was lost."""
        self._answered += 1
        if call is not None and second is not None and second.when is When.LATER_BY_ANOTHER:
            self._offers.put(call)
        if outcome is not Outcome.UNKNOWN:
            return None
        return SecondCall(intent, buyer=self._buyer, sold=call.sold if call else Once())

    def due(self) -> Iterator[SecondCall]:
        """Call this before each purchase. Yields the calls to make now, at most one of them from the offers."""
        yield from self._claimed(self._answered)
        offered = self._offers.take(self._buyer)
        if offered is not None:
            yield offered

    def rest(self) -> Iterator[SecondCall]:
        """Call this after the last purchase. Yields all calls that this buyer still has to make, and all offers."""
        yield from self._claimed(self._answered + _LONGEST_DELAY)
        while offered := self._offers.take(self._buyer):
            yield offered

    def _claimed(self, answered: int) -> Iterator[SecondCall]:
        due = [call for at, call in self._waiting if at <= answered]
        if due:
            self._waiting = [(at, call) for at, call in self._waiting if at > answered]
        return (call for call in due if call.claim.first())
