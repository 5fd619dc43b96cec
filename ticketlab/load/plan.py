"""What the buyers of a trial will want, all of it drawn from one seed. Opens nothing, measures nothing."""

import math
import random
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from itertools import repeat
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import MAX_INTEGER

_BLOCK = 1024
"""Wishes drawn at a time: one call of the generator costs as much as drawing many."""
_REFUNDS = 1
"""Tells a buyer's stream of refunds from that of his wishes."""
_SECOND_CALLS = 2
"""Tells the stream of second calls from the others."""
_MOST_BUYERS = 10_000
_MOST_EVENTS = 10_000
"""Far beyond what one process can drive: a slip of the keyboard is told, not tried."""


class PurchaseIntent(NamedTuple):
    """One purchase that a buyer will make."""

    lines: tuple[tuple[int, int], ...]
    """Of each event that it wants the number, from 0, and how many tickets; in the buyer's order."""
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
    """A random number, which decides what else there is to decide."""


_SECONDS: Final = (
    (When.AT_ONCE, False),
    (When.AT_ONCE, False),
    (When.AT_ONCE, True),
    (When.LATER, False),
    (When.LATER_BY_ANOTHER, False),
    (When.LATER_BY_ANOTHER, True),
)
"""The kinds of second calls, each as likely: half of them are made at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The load of one trial, in a closed loop: each buyer makes his next purchase when the last one is answered.

    A trial ends when every buyer was told that everything is sold out, when `purchases` were made, or after
    `seconds`, whichever comes first. Who was told so asks no more, though tickets may come back: so where there are
    refunds, seats that were given back late may be left in the end; and where nearly all is given back nobody is told
    so, and the trial lasts for its `purchases` or `seconds`.

    Raises:
        InvalidInputError: a value can not be used.
    """

    buyers: int = 16
    """How many buy at once."""
    seconds: float = 5.0
    purchases: int | None = None
    """Purchases of all buyers together, shared out evenly; refunds are none."""
    events: int = 1
    """How many events are bought from."""
    stock: int = 1000
    """Seats of each event."""
    quantity: tuple[int, int] = (1, 1)
    """The fewest and the most tickets of an event in a purchase; each number in between is as likely."""
    basket: tuple[int, int] = (1, 1)
    """The fewest and the most events of a purchase; each number in between is as likely."""
    hot: float | None = None
    """The share of purchases that want event 0, as long as they can; without it all events are as likely."""
    refunds: float = 0.0
    """The share of a buyer's sales that he gives back, each right after it was sold to him."""
    double_calls: float = 0.0
    """The share of purchases whose id is called twice; these are not given back. Where it is above 0, a purchase of
    unknown outcome is called again as well, at once and once."""
    warm_up_s: float = 0.3
    """How long buyers buy from another event first, to open connections and prepare statements; not recorded."""
    seed: int = 0
    """Decides what the buyers want."""

    def __post_init__(self) -> None:
        fewest, most = self.quantity
        fewest_events, most_events = self.basket
        faults = {
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
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"This load can not be made: {'; '.join(wrong)}.")

    @property
    def sells_baskets(self) -> bool:
        """Whether a purchase may be of several events; then all of them are made as baskets."""
        return self.basket != (1, 1)

    @property
    def event_numbers(self) -> frozenset[int]:
        """The events that a purchase may want: all, but where `hot` leaves nothing to the first or to the others."""
        if self.events > 1 and self.hot == 0:
            return frozenset(range(1, self.events))
        if self.events > 1 and self.hot == 1 and not self.sells_baskets:
            return frozenset({0})
        return frozenset(range(self.events))

    def purchases_of(self, buyer: int) -> int | None:
        """How many of `purchases` are this buyer's; None where only time and stock end the trial."""
        if self.purchases is None:
            return None
        return self.purchases // self.buyers + (buyer < self.purchases % self.buyers)

    def intents(self, buyer: int, left: AbstractSet[int]) -> Iterator[PurchaseIntent]:
        """What this buyer will want; the same for the same seed.

        Wishes for one event know nothing of `left`, the events that the buyer still asks for, and have no end: he
        passes over those that he can not have. Baskets are drawn from what is `left` at the time, for those that
        would have to be passed over might be nearly all; they end when fewer events are left than a basket needs.
        """
        seed = np.random.SeedSequence(self.seed, spawn_key=(buyer,))
        return self._baskets(seed, left) if self.sells_baskets else self._single_wishes(seed)

    def refund_flags(self, buyer: int) -> Iterator[bool]:
        """Of each of this buyer's wishes whether he gives it back if it is sold to him; the same for the same seed.

        Drawn apart from the wishes: with refunds or without, the same are made. A larger share gives back all that a
        smaller one does, and more.
        """
        if not self.refunds:
            yield from repeat(False)
        generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(buyer, _REFUNDS)))
        while True:
            yield from (generator.random(_BLOCK) < self.refunds).tolist()

    def second_calls(self, buyer: int) -> Iterator[Second | None]:
        """Of each of this buyer's wishes how its id is called a second time, or None; the same for the same seed.

        Drawn apart from the wishes and refunds. A larger share calls all ids twice that a smaller one does, and more.
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

    def second_wish(self, wish: PurchaseIntent, second: Second) -> PurchaseIntent:
        """What a second call asks for: the same, or of a wish for one event another quantity or another event."""
        if not second.differs or self.sells_baskets:
            return wish
        ((event, quantity),) = wish.lines
        others = sorted(self.event_numbers - {event})
        if others and second.number % 2:
            event = others[second.number // 2 % len(others)]
        elif quantity == MAX_INTEGER or (quantity > 1 and second.number // 2 % 2):
            quantity -= 1
        else:
            quantity += 1
        return PurchaseIntent(((event, quantity),), wish.purchase_id)

    def _single_wishes(self, seed: np.random.SeedSequence) -> Iterator[PurchaseIntent]:
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
            if len(available) != len(left):  # events go, none comes back
                available = sorted(left)
            events = self._draw_basket(chance, available)
            lines = tuple((event, chance.randint(*self.quantity)) for event in events)
            yield PurchaseIntent(lines, UUID(int=chance.getrandbits(128), version=4))

    def _draw_basket(self, chance: random.Random, left: Sequence[int]) -> list[int]:
        """Distinct events in random order; the hot one among them in its share, or where there are too few others."""
        size = min(chance.randint(*self.basket), len(left))
        if self.hot is None or left[0] != 0:
            return chance.sample(left, size)
        others = left[1:]
        if size <= len(others) and chance.random() >= self.hot:
            return chance.sample(others, size)
        return chance.sample([0, *chance.sample(others, size - 1)], size)
