"""Where buyers run: each in a thread of this process, all started at one agreed instant."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from uuid import UUID

import pandas as pd

from ticketlab.errors import TicketlabError
from ticketlab.evidence import history
from ticketlab.evidence.history import Recorder
from ticketlab.load import buyers
from ticketlab.load.plan import Plan
from ticketlab.tickets import EventRepository

_HEAD_START_NS = 5_000_000
"""From agreeing on the instant to the instant: long enough for every thread to be waiting for it."""
_TICK_S = 0.1
GRACE_S = 15.0
"""How long a purchase may still take when its trial is over; then its connection is cut, and its outcome says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of a load."""

    history: pd.DataFrame
    interrupted: bool
    """Ctrl-C ended it early; the buyers finished the purchase they were in."""


def drive(
    repository: EventRepository,
    plan: Plan,
    events: Sequence[UUID],
    *,
    warm_up_event: UUID,
    on_tick: Callable[[int], None] = lambda _operations: None,
) -> Driven:
    """Let the plan's buyers buy from `events`, and return what they saw.

    `on_tick` is called several times a second with the number of purchases so far. Ctrl-C ends the trial early; a
    second one cuts off the purchases that are still under way. An exception of a purchase, which only a defect in a
    strategy raises, stops the others and is raised here.
    """
    stop = threading.Event()
    start = _Start(plan.buyers)
    recorders = [Recorder(buyer) for buyer in range(plan.buyers)]

    def live(recorder: Recorder) -> None:
        try:
            buyers.warm_up(repository, plan, recorder.buyer, warm_up_event, stopped=stop.is_set)
            until_ns = start.agree() + int(plan.seconds * 1e9)
            buyers.buy(repository, plan, recorder, events, until_ns=until_ns, stopped=stop.is_set)
        except BaseException:
            start.abort()
            stop.set()
            raise

    lives: list[Future[None]] = []
    interrupted = False
    with ThreadPoolExecutor(max_workers=plan.buyers, thread_name_prefix="buyer") as threads:
        try:
            lives += (threads.submit(live, recorder) for recorder in recorders)
            overdue_s = plan.warm_up_s + plan.seconds + GRACE_S
            if not _await(lives, stop, within_s=overdue_s, on_tick=lambda: on_tick(sum(map(len, recorders)))):
                repository.database.sever()
        except KeyboardInterrupt:
            interrupted = True
        except RuntimeError as error:  # raised by Thread.start alone
            raise TicketlabError(
                f"Only {len(lives)} of {plan.buyers} buyers could be started: {error}. Let fewer buyers in."
            ) from error
        finally:
            # Whatever happened: nobody waits for a buyer who will not come, and nobody begins another purchase.
            stop.set()
            start.abort()
            _call_home(lives, repository.database.sever)
    _raise_first(lives)
    return Driven(history=history.collect(recorders, start_ns=start.instant_ns), interrupted=interrupted)


class _Start:
    """The instant at which all buyers start, agreed when the last of them is ready."""

    def __init__(self, buyers: int) -> None:
        self.instant_ns = 0
        self._barrier = threading.Barrier(buyers, action=self._choose)

    def _choose(self) -> None:
        self.instant_ns = time.perf_counter_ns() + _HEAD_START_NS

    def agree(self) -> int:
        """Wait for the others, then for the instant, and return it."""
        self._barrier.wait()
        time.sleep(max(0, self.instant_ns - time.perf_counter_ns()) / 1e9)
        return self.instant_ns

    def abort(self) -> None:
        """Let nobody wait for a buyer who will not come."""
        self._barrier.abort()


def _await(
    lives: Sequence[Future[None]], stop: threading.Event, *, within_s: float, on_tick: Callable[[], None]
) -> bool:
    """Wait until all are over or one has failed, ticking; False where that takes too long."""
    deadline = time.monotonic() + within_s
    while wait(lives, timeout=_TICK_S, return_when=FIRST_EXCEPTION).not_done and not stop.is_set():
        on_tick()
        if time.monotonic() > deadline:
            return False
    return True


def _call_home(lives: Sequence[Future[None]], sever: Callable[[], None]) -> None:
    """Wait for the purchases under way; those that take too long, or too long for Ctrl-C, lose their connection."""
    while True:
        try:
            if not wait(lives, timeout=GRACE_S).not_done:
                return
        except KeyboardInterrupt:
            pass  # once more: not another moment
        sever()


def _raise_first(lives: Sequence[Future[None]]) -> None:
    """Raise what a buyer failed with; a broken barrier is only the echo of somebody else's end."""
    for life in lives:
        error = life.exception()
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
