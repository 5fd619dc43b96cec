"""Where buyers run: each in a thread of this process, all started at one agreed instant."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from uuid import UUID

import pandas as pd

from ticketlab.evidence import history
from ticketlab.evidence.history import Recorder
from ticketlab.load import buyers
from ticketlab.load.plan import Plan
from ticketlab.tickets import EventRepository

_HEAD_START_NS = 5_000_000
"""From agreeing on the instant to the instant: long enough for every thread to be waiting for it."""
_TICK_S = 0.1


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

    `on_tick` is called several times a second with the number of purchases so far. An exception of a purchase, which
    only a defect in a strategy raises, stops the others and is raised here.
    """
    stop = threading.Event()
    start = _Start(plan.buyers)
    recorders = [Recorder(buyer) for buyer in range(plan.buyers)]

    def live(recorder: Recorder) -> None:
        try:
            buyers.warm_up(repository, plan, recorder.buyer, warm_up_event)
            start_ns = start.agree()
            until_ns = start_ns + int(plan.seconds * 1e9)
            buyers.buy(repository, plan, recorder, events, until_ns=until_ns, stopped=stop.is_set)
        except BaseException:
            start.abort()
            stop.set()
            raise

    with ThreadPoolExecutor(max_workers=plan.buyers, thread_name_prefix="buyer") as threads:
        lives = [threads.submit(live, recorder) for recorder in recorders]
        interrupted = _await(lives, stop, on_tick=lambda: on_tick(sum(map(len, recorders))))
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


def _await(lives: Sequence[Future[None]], stop: threading.Event, *, on_tick: Callable[[], None]) -> bool:
    """Wait for all, ticking; returns whether Ctrl-C came. A second Ctrl-C is not caught."""
    try:
        while wait(lives, timeout=_TICK_S, return_when=FIRST_EXCEPTION).not_done and not stop.is_set():
            on_tick()
    except KeyboardInterrupt:
        stop.set()
        wait(lives)
        return True
    return False


def _raise_first(lives: Sequence[Future[None]]) -> None:
    """Raise what a buyer failed with; a broken barrier is only the echo of another's failure."""
    errors = [error for life in lives if (error := life.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
