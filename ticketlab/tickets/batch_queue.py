"""Where purchases of one event wait for the next transaction, instead of for its row. Knows queues, no SQL.

There is no thread and no timer in here. A buyer who finds nobody at work on his event leads: once he has a connection
he takes whoever waits, up to a bound, serves all of them at once, and hands the lead to the first of those who came
meanwhile. So a buyer who is alone waits for nobody, and a batch is as large as the time that the last one took.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from operator import call
from typing import Final, TypeAlias
from uuid import UUID

from ticketlab.errors import UnavailableError
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import CommitUnknownError, Connection, QueueFullError

LARGEST_BATCH: Final = 512
"""Purchases in one transaction at most."""
LONGEST_QUEUE: Final = 10_000
"""Purchases of one event that may wait; one more is answered at once that it can not."""

_WOKEN_AT_ONCE: Final = 2

Request: TypeAlias = PurchaseRequest | Basket
Answer: TypeAlias = PurchaseResult | Exception
BatchHandler: TypeAlias = Callable[[Connection, Sequence[Request]], Sequence[Answer]]
"""Serves a batch in one transaction: an answer each, in the same order; what it raises is the answer of all."""


class _Waiter:
    """One purchase in the queue, and where its buyer waits: for an answer, or for the lead."""

    __slots__ = ("answer", "following", "gone", "leads", "request", "wait", "wake")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: Answer | None = None
        self.leads = False
        self.following: _Waiter | None = None
        self.gone = False
        woken = threading.Lock()
        woken.acquire()
        self.wait = woken.acquire
        self.wake = woken.release

    def wake_following(self) -> None:
        """Wake the one who was answered after this one."""
        following, self.following = self.following, None
        if following is not None:
            following.wake()


class BatchQueue:
    """The queues of one database: one for each event on which somebody is at work."""

    def __init__(
        self,
        database: Database,
        serve: BatchHandler,
        *,
        largest_batch: int = LARGEST_BATCH,
        longest_queue: int = LONGEST_QUEUE,
    ) -> None:
        self._database = database
        self._serve = serve
        self._largest_batch = largest_batch
        self._longest_queue = longest_queue
        self._mutex = threading.Lock()
        self._queues: dict[UUID, deque[_Waiter]] = {}

    def purchase(self, request: Request) -> PurchaseResult:
        """Buy in the next transaction on the request's event; a basket waits with the buyers of its first event.

        Raises:
            QueueFullError: too many wait already; nothing was sent.
            UnavailableError: no connection could be had; nothing was sent.
            CommitUnknownError, psycopg.Error: what became of the batch, or of this purchase alone.
        """
        event_id = request.event_id if isinstance(request, PurchaseRequest) else min(request.quantities)
        place = _Waiter(request)
        self._join(event_id, place)
        try:
            if not place.leads:
                place.wait()
                place.wake_following()
            if place.leads:
                self._serve_batch(event_id, place)
        except BaseException:
            self._leave(event_id, place)
            self._give_up(place)
            raise
        if place.answer is None:
            raise CommitUnknownError("the buyer who led the batch was interrupted while it was under way")
        if isinstance(place.answer, Exception):
            raise place.answer
        return place.answer

    def _join(self, event_id: UUID, place: _Waiter) -> None:
        """Take the lead where nobody is at work on the event, else the last place of its queue."""
        with self._mutex:
            queue = self._queues.get(event_id)
            if queue is None:
                self._queues[event_id] = deque()
                place.leads = True
            elif len(queue) < self._longest_queue:
                queue.append(place)
            else:
                raise QueueFullError(
                    f"{len(queue):,} purchases wait for event {event_id} already: let fewer buyers in, or try later."
                )

    def _serve_batch(self, event_id: UUID, place: _Waiter) -> None:
        """Serve this place and all who wait, let them go, and hand over to the first of those who came meanwhile."""
        batch = [place]
        try:
            # First the connection: whoever comes while it is waited for is served with the others.
            with self._database.connection() as connection:
                self._gather(event_id, batch, at_most=self._largest_batch)
                self._answer(connection, batch)
        except UnavailableError as error:
            # Told to all: each of them would lead in his turn, and the last one wait for as many timeouts.
            self._gather(event_id, batch, at_most=1 + self._longest_queue)
            for each in batch:
                each.answer = error
        finally:
            try:
                self._wake(batch[1:])
            finally:
                self._leave(event_id, place)

    def _gather(self, event_id: UUID, batch: list[_Waiter], *, at_most: int) -> None:
        """Add those who wait, in the order in which they came."""
        with self._mutex:
            queue = self._queues[event_id]
            # A single call, written in C: no Ctrl-C comes in between and loses one who is in neither of the two.
            batch.extend(map(call, repeat(queue.popleft, min(len(queue), at_most - len(batch)))))

    def _answer(self, connection: Connection, batch: Sequence[_Waiter]) -> None:
        """Serve the batch; whatever goes wrong, all are told of it."""
        try:
            answers = self._serve(connection, [each.request for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
        except Exception as error:
            for each in batch:
                each.answer = error

    def _wake(self, members: Sequence[_Waiter]) -> None:
        """Wake a few; each of them wakes the next one before he goes.

        Were all woken at once, all would stand in line for the interpreter's lock, and get there one by one all the
        same: that takes twice the processor time.
        """
        with self._mutex:
            there = [each for each in members if not each.gone]
            # Single calls, again, so that no Ctrl-C leaves somebody waiting for ever.
            deque(map(setattr, there, repeat("following"), there[_WOKEN_AT_ONCE:]), maxlen=0)
        deque(map(call, [each.wake for each in there[:_WOKEN_AT_ONCE]]), maxlen=0)

    def _give_up(self, place: _Waiter) -> None:
        """Whoever was interrupted wakes nobody later on: so he does it now, or is passed over."""
        with self._mutex:
            place.gone = True
        place.wake_following()

    def _leave(self, event_id: UUID, place: _Waiter) -> None:
        """Pass the lead on if this place has it; take it out of the queue if it is there."""
        with self._mutex:
            queue = self._queues.get(event_id)
            if queue is None:
                return
            if not place.leads:
                with suppress(ValueError):  # it is in a batch that is under way
                    queue.remove(place)
                return
            place.leads = False
            if not queue:
                del self._queues[event_id]
                return
            following = queue.popleft()
            following.leads = True
        following.wake()
