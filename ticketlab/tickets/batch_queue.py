"""A queue per event, in which purchases wait for the next batch. Knows threads and queues, no SQL.

There is no worker thread and no timer. The first buyer of an event becomes the leader: it gets a connection, takes the
waiting purchases up to a limit, serves them as one batch, and passes the lead to the first purchase that arrived
meanwhile. So a buyer alone never waits, and batches grow with the duration of the previous batch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from operator import call
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from ticketlab.errors import UnavailableError
from ticketlab.tickets.purchase import Basket, PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import CommitUnknownError, Connection, QueueFullError

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database

LARGEST_BATCH: Final = 512
"""The maximum number of purchases in one transaction."""
LONGEST_QUEUE: Final = 10_000
"""The maximum number of waiting purchases of one event; further ones raise QueueFullError."""

_WOKEN_AT_ONCE: Final = 2

Request: TypeAlias = PurchaseRequest | Basket
Answer: TypeAlias = PurchaseResult | Exception
BatchHandler: TypeAlias = Callable[[Connection, Sequence[Request]], Sequence[Answer]]
"""Serves a batch in one transaction. Returns one answer per request, in order; an exception is the answer of all."""


class _Waiter:
    """A purchase in the queue. Its buyer blocks in `wait` until it has an answer or the lead."""

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
        """Wake the next answered waiter of the batch, if this one has to."""
        following, self.following = self.following, None
        if following is not None:
            following.wake()


class BatchQueue:
    """The queues of one database: one for each event that has a leader."""

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
        """Buy in the next batch of the request's event; a basket waits in the queue of its smallest event id.

        Raises:
            QueueFullError: too many purchases wait already; nothing was sent.
            UnavailableError: no connection was available; nothing was sent.
            CommitUnknownError, psycopg.Error: the batch failed, or this purchase in it.
        """
        event_id = request.event_id if isinstance(request, PurchaseRequest) else min(request.quantities)
        waiter = _Waiter(request)
        self._join(event_id, waiter)
        try:
            if not waiter.leads:
                waiter.wait()
                waiter.wake_following()
            if waiter.leads:
                self._serve_batch(event_id, waiter)
        except BaseException:
            self._leave(event_id, waiter)
            self._give_up(waiter)
            raise
        if waiter.answer is None:
            raise CommitUnknownError("the leader of the batch was interrupted while the batch was being served")
        if isinstance(waiter.answer, Exception):
            raise waiter.answer
        return waiter.answer

    def _join(self, event_id: UUID, waiter: _Waiter) -> None:
        """Take the lead if the event has no leader, else append to its queue."""
        with self._mutex:
            queue = self._queues.get(event_id)
            if queue is None:
                self._queues[event_id] = deque()
                waiter.leads = True
            elif len(queue) < self._longest_queue:
                queue.append(waiter)
            else:
                raise QueueFullError(
                    f"{len(queue):,} purchases already wait for event {event_id}: use fewer buyers, or retry later."
                )

    def _serve_batch(self, event_id: UUID, waiter: _Waiter) -> None:
        """Serve this purchase and the waiting ones as one batch, wake their buyers, and pass the lead on."""
        batch = [waiter]
        try:
            # Get the connection first: purchases that arrive during this wait join the batch.
            with self._database.connection() as connection:
                self._gather(event_id, batch, at_most=self._largest_batch)
                self._answer(connection, batch)
        except UnavailableError as error:
            # Answer all of them: otherwise each would lead in turn, and the last would wait for as many timeouts.
            self._gather(event_id, batch, at_most=1 + self._longest_queue)
            for each in batch:
                each.answer = error
        finally:
            try:
                self._wake(batch[1:])
            finally:
                self._leave(event_id, waiter)

    def _gather(self, event_id: UUID, batch: list[_Waiter], *, at_most: int) -> None:
        """Move waiting purchases into the batch, in order of arrival."""
        with self._mutex:
            queue = self._queues[event_id]
            # A single call in C: Ctrl-C cannot interrupt it and lose a waiter that is in neither of the two.
            batch.extend(map(call, repeat(queue.popleft, min(len(queue), at_most - len(batch)))))

    def _answer(self, connection: Connection, batch: Sequence[_Waiter]) -> None:
        """Serve the batch; an exception becomes the answer of all."""
        try:
            answers = self._serve(connection, [each.request for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
        except Exception as error:
            for each in batch:
                each.answer = error

    def _wake(self, members: Sequence[_Waiter]) -> None:
        """Wake the first few members; each of them wakes the next one.

        Waking all at once would make them contend for the interpreter's lock, at twice the processor time.
        """
        with self._mutex:
            waiting = [each for each in members if not each.gone]
            # Single calls in C again, so that Ctrl-C leaves no waiter blocked forever.
            deque(map(setattr, waiting, repeat("following"), waiting[_WOKEN_AT_ONCE:]), maxlen=0)
        deque(map(call, [each.wake for each in waiting[:_WOKEN_AT_ONCE]]), maxlen=0)

    def _give_up(self, waiter: _Waiter) -> None:
        """An interrupted waiter will not wake the next one later: wake it now, and be skipped from now on."""
        with self._mutex:
            waiter.gone = True
        waiter.wake_following()

    def _leave(self, event_id: UUID, waiter: _Waiter) -> None:
        """Pass the lead on if this waiter has it; else remove the waiter from the queue."""
        with self._mutex:
            queue = self._queues.get(event_id)
            if queue is None:
                return
            if not waiter.leads:
                with suppress(ValueError):  # it is already in a batch
                    queue.remove(waiter)
                return
            waiter.leads = False
            if not queue:
                del self._queues[event_id]
                return
            next_leader = queue.popleft()
            next_leader.leads = True
        next_leader.wake()
