"""Second calls of a purchase id: what is to be called, when, and by which buyer. Makes no call itself.

Each buyer has its own `SecondCalls`. All of them share one `Offers`, through which a buyer hands a call over to another
one: nobody waits for a call to be taken, and one that nobody took is made by the buyer that offered it.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

from ticketlab.load.plan import Plan, PurchaseIntent, Second, When
from ticketlab.outcomes import Outcome

_LONGEST_DELAY: Final = 8
"""A later call by the same buyer is made after 0 to 7 further purchases of that buyer."""


class Once:
    """True for the first of all threads that ask, False for every later one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def first(self) -> bool:
        """Whether nobody has asked before."""
        return self._lock.acquire(blocking=False)

    @property
    def asked(self) -> bool:
        """Whether anybody has asked."""
        return self._lock.locked()


class Call:
    """One call of an id that is called twice; the calls of an id share `told`."""

    __slots__ = ("buyer", "claim", "told", "wish")

    def __init__(self, wish: PurchaseIntent, *, buyer: int, told: Once) -> None:
        self.wish = wish
        """What it asks for."""
        self.buyer = buyer
        """Who makes the first call of the id."""
        self.told = told
        """Whether a call of the id was answered SOLD before."""
        self.claim = Once()
        """Whoever comes first makes the call."""


class Offers:
    """Calls for any buyer but the one that offers them, the oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()  # appending and popping are atomic

    def put(self, call: Call) -> None:
        """Offer a call."""
        self._calls.append(call)

    def take(self, buyer: int) -> Call | None:
        """The oldest call that another buyer offers and nobody has claimed, or None; claimed for this buyer."""
        own: list[Call] = []
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
    """The second calls that one buyer has to make or to offer."""

    def __init__(self, plan: Plan, buyer: int, offers: Offers, *, may_differ: bool) -> None:
        """For one buyer of the plan.

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
        self._waiting: list[tuple[int, Call]] = []
        """Pairs: after so many answers this buyer makes the call, unless another buyer has made it."""

    def purchase_starts(self, wish: PurchaseIntent, second: Second | None) -> Call | None:
        """Call this just before a purchase. Returns its second call, which is on offer already if it is due at once."""
        if second is None:
            return None
        wanted = self._plan.second_wish(wish, second._replace(differs=second.differs and self._may_differ))
        call = Call(wanted, buyer=self._buyer, told=Once())
        if second.when is When.LATER:
            self._waiting.append((self._answered + 1 + second.number % _LONGEST_DELAY, call))
            return call
        self._waiting.append((self._answered + 2, call))  # another buyer has the time of one more purchase to take it
        if second.when is When.AT_ONCE:
            self._offers.put(call)
        return call

    def purchase_answered(
        self, wish: PurchaseIntent, second: Second | None, call: Call | None, outcome: Outcome
    ) -> Call | None:
        """Call this when the purchase is answered. Returns the call to make at once, where the answer was lost."""
        self._answered += 1
        if call is not None and second is not None and second.when is When.LATER_BY_ANOTHER:
            self._offers.put(call)
        if outcome is not Outcome.UNKNOWN:
            return None
        return Call(wish, buyer=self._buyer, told=call.told if call else Once())

    def due(self) -> Iterator[Call]:
        """Call this before each purchase. Yields the calls to make now, of those on offer at most one."""
        yield from self._claimed(self._answered)
        offered = self._offers.take(self._buyer)
        if offered is not None:
            yield offered

    def rest(self) -> Iterator[Call]:
        """Call this after the last purchase. Yields all that this buyer still has to make, and all that is on offer."""
        yield from self._claimed(self._answered + _LONGEST_DELAY)
        while offered := self._offers.take(self._buyer):
            yield offered

    def _claimed(self, answered: int) -> Iterator[Call]:
        due = [call for at, call in self._waiting if at <= answered]
        if due:
            self._waiting = [(at, call) for at, call in self._waiting if at > answered]
        return (call for call in due if call.claim.first())
