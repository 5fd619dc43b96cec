"""Second calls of a purchase id: what to call, when, and by which buyer. Makes no call itself.

Each buyer has its own `SecondCalls`. All of them share one `Offers`, through which a buyer offers a call to the others:
no buyer waits for a call to be taken, and a buyer makes an offered call itself if no other has.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

from ticketlab.load.plan import Plan, PurchaseIntent, Second, When
from ticketlab.outcomes import Outcome

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
