"""Where purchases of one event wait for the next transaction, instead of for its row. Knows queues, no SQL.

There is no thread and no timer in here. A buyer who finds nobody at work on his event leads: he takes whoever waits,
up to a bound, serves all of them at once, and hands the lead to the first of those who came meanwhile. So a buyer who
is alone waits for nobody, and a batch is as large as the time that the last one took.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias
from uuid import UUID

from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import CommitUnknownError, Connection, QueueFullError

LARGEST_BATCH: Final = 512
"""Purchases in one transaction at most."""
LONGEST_QUEUE: Final = 10_000
"""Purchases of one event that may wait; one more is answered at once that it can not."""

Request: TypeAlias = PurchaseRequest | Basket
Answer: TypeAlias = PurchaseResult | Exception
Serve: TypeAlias = Callable[[Connection, Sequence[Request]], Sequence[Answer]]
"""Serves a batch in one transaction: an answer each, in the same order; what it raises is the answer of all."""


class _Place:
    """One purchase in the queue, and where its buyer waits: for an answer, or for the lead."""

    __slots__ = ("_woken", "answer", "leads", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: Answer | None = None
        self.leads = False
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        """Wait for `wake`."""
        self._woken.acquire()

    def wake(self) -> None:
        """Let the buyer go on."""
        self._woken.release()


class Gatherer:
    """The queues of one database: one for each event on which somebody is at work."""

    def __init__(
        self,
        database: Database,
        serve: Serve,
        *,
        largest_batch: int = LARGEST_BATCH,
        longest_queue: int = LONGEST_QUEUE,
    ) -> None:
        self._database = database
        self._serve = serve
        self._largest_batch = largest_batch
        self._longest_queue = longest_queue
        self._mutex = threading.Lock()
        self._queues: dict[UUID, deque[_Place]] = {}

    def purchase(self, request: Request) -> PurchaseResult:
        """Buy in the next transaction on the request's event; a basket waits with the buyers of its first event.

        Raises:
            QueueFullError: too many wait already; nothing was sent.
            UnavailableError: no connection could be had; nothing was sent.
            CommitUnknownError, psycopg.Error: what became of the batch, or of this purchase alone.
        """
        event_id = request.event_id if isinstance(request, PurchaseRequest) else min(request.quantities)
        place = _Place(request)
        self._join(event_id, place)
        try:
            if not place.leads:
                place.wait()
            if place.leads:
                self._lead(event_id, place)
        except BaseException:
            self._leave(event_id, place)
            raise
        if isinstance(place.answer, PurchaseResult):
            return place.answer
        assert place.answer is not None
        raise place.answer

    def _join(self, event_id: UUID, place: _Place) -> None:
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

    def _lead(self, event_id: UUID, place: _Place) -> None:
        """Serve this place and everybody who waits; hand over, so that the next batch begins; then let them go."""
        with self._mutex:
            queue = self._queues[event_id]
            batch = [place, *(queue.popleft() for _ in range(min(len(queue), self._largest_batch - 1)))]
        answers: Sequence[Answer] = [CommitUnknownError("the buyer who led the batch was interrupted")] * len(batch)
        try:
            with self._database.connection() as connection:
                answers = self._serve(connection, [each.request for each in batch])
        except Exception as error:  # whatever it is, all are told of it
            answers = [error] * len(batch)
        finally:
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
            self._leave(event_id, place)
            for each in batch[1:]:
                each.wake()

    def _leave(self, event_id: UUID, place: _Place) -> None:
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
