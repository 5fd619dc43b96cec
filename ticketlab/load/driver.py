"""Drives a load: one thread per buyer, started together, watched, and ended in time. Judges nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

import pandas as pd

from ticketlab.errors import OwnCodeError, TerminatedError, TicketlabError
from ticketlab.faults.schedule import Actions, Fault, FaultKind, FaultTrigger, InjectedFault
from ticketlab.history import recording
from ticketlab.history.recording import LiveCounter, LiveCounts, Recorder
from ticketlab.load import _buyers
from ticketlab.load.plan import Offers, Plan
from ticketlab.tickets.user_code import Place, place_of

if TYPE_CHECKING:
    from ticketlab.tickets import EventRepository

_HEAD_START_NS = 5_000_000
"""From agreeing on the start to the start: long enough for every thread to be waiting for it."""
_TICK_S = 0.1
_ARMED_TICK_S = 0.005
"""While faults are pending: each is injected within this time of the purchase that it waits for."""
GRACE_S = 15.0
"""How long a purchase may still take when its trial is over; then its connection is cut, and its outcome says so."""
CUT_S = 5.0
"""How long a purchase may still take when its connection is cut. A function that waits in its own code after two cuts
is given up."""
LAST_MOMENT_S = 2.0
"""The same after a second Ctrl-C or SIGTERM, which ends everything at once."""
LONGEST_S = 75.0
"""How long the lab waits in all for purchases that wait outside the user's code: for a connection, they wait 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The result of a load. Faults and operations share one clock: ns since the trial's start."""

    history: pd.DataFrame
    """All operations of all buyers; see `ticketlab.history.recording`."""
    interrupted: bool
    """Ctrl-C ended it early; the buyers finished the purchase they were in."""
    faults: Sequence[InjectedFault] = ()
    """The faults that were injected, in order."""
    said: Mapping[str, str] = field(default_factory=dict)
    """The first message of the database or the pool for each kind of operation that ended without an answer."""
    cut: bool = False
    """Whether purchases that took too long lost their connections at the end."""
    at_once: bool = False
    """Whether a second Ctrl-C or SIGTERM ended it; then nothing else may be waited for either."""
    stuck: TicketlabError | None = None
    """The error of purchases that never returned, with the stack of one of them. They are recorded as unknown."""
    start_ns: int = 0
    """When the trial started, by `time.perf_counter_ns`."""
    warm_up_deadlocks: int = 0
    """Deadlocks that purchases of the warm-up reported, which are in no history."""

    @property
    def crashes_ns(self) -> tuple[int, ...]:
        """The instants by which the server was dead."""
        return tuple(fault.effect_ns for fault in self.faults_of(FaultKind.CRASH))

    @property
    def ended_early(self) -> bool:
        """Whether it ended before its planned end."""
        return self.interrupted or self.stuck is not None

    def faults_of(self, kind: FaultKind) -> list[InjectedFault]:
        """The injected faults of a kind, in order."""
        return [fault for fault in self.faults if fault.kind is kind]


def run_load(
    repository: EventRepository,
    plan: Plan,
    events: Sequence[UUID],
    *,
    warm_up_event: UUID,
    faults: Sequence[Fault] = (),
    actions: Actions = MappingProxyType({}),
    on_tick: Callable[[LiveCounts], None] = lambda _so_far: None,
    before_cut: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Let the plan's buyers buy from `events`, and return what they saw.

    Each of the `faults` is injected meanwhile by the action of its kind; one whose number of purchases is not reached
    is never injected.

    `on_tick` is called several times a second with the counts so far. Ctrl-C ends the trial early; a second one, or
    SIGTERM, ends it at once: purchases in progress lose their connections. So do those that take longer than GRACE_S
    after the end; `before_cut` is called before. Purchases that do not return even then are given up, and recorded as
    unknown. An exception of a purchase, which only a defect in a strategy raises, stops the others and is raised here.
    """
    stop = threading.Event()
    start = _Start(plan)
    recorders = [Recorder(buyer) for buyer in range(plan.buyers)]
    offers = Offers()
    counter = LiveCounter(recorders)
    trigger = FaultTrigger(faults, actions)
    warm_up_deadlocks: list[int] = []

    def run_buyer(recorder: Recorder) -> None:
        pin_to_one_cpu()
        try:
            deadlocks = _buyers.warm_up(repository, plan, recorder.buyer, warm_up_event, stopped=stop.is_set)
            warm_up_deadlocks.append(deadlocks)
            until_ns = start.wait_for_start() + int(plan.seconds * 1e9)
            _buyers.buy(repository, plan, recorder, events, until_ns=until_ns, stopped=stop.is_set, offers=offers)
        except BaseException:
            stop.set()
            raise

    threads: list[BuyerThread] = []
    ending = _Ending()
    try:
        _start_all(run_buyer, recorders, threads)
        _monitor(
            threads,
            stop,
            start.is_overdue,
            trigger=trigger,
            purchases=lambda: sum(map(len, recorders)),
            on_tick=lambda: on_tick(counter.read(start.elapsed_s())),
        )
    except KeyboardInterrupt as error:
        ending.interrupt(error)
    finally:
        # In any case no buyer begins another purchase, or waits for a buyer that will not come.
        stop.set()
        start.abort()
        ending.wait_for(threads, repository.database.terminate_connections, before_cut, overdue=start.is_overdue())
    _raise_first(threads)
    stuck = [thread for thread in threads if not thread.done()]
    return LoadResult(
        history=recording.collect(_recorded(recorders, stuck), start_ns=start.instant_ns),
        interrupted=ending.interrupted,
        faults=[fault.since(start.instant_ns) for fault in trigger.injected],
        said=ChainMap(*(recorder.said for recorder in recorders)),
        cut=ending.cut,
        at_once=ending.at_once,
        stuck=_stuck_error(stuck) if stuck else None,
        start_ns=start.instant_ns,
        warm_up_deadlocks=sum(warm_up_deadlocks),
    )


def pin_to_one_cpu() -> bool:
    """Keep the calling thread on the processor that all buyers of this process share; False where that is impossible.

    Python runs one thread at a time. Threads that wake one another across several processors spend more time on
    passing the interpreter's lock than on purchases; and the other processors are left to PostgreSQL.
    """
    is_gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)  # since Python 3.13
    if not hasattr(os, "sched_setaffinity") or not is_gil_enabled():
        return False
    allowed = sorted(os.sched_getaffinity(0))
    with suppress(OSError):  # not permitted here: the threads run on any processor
        os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})  # of this thread only
        return True
    return False


class BuyerThread(Future[None]):
    """One buyer in a thread of its own, and its result. A daemon: a thread that never ends keeps no process alive."""

    def __init__(self, run_buyer: Callable[[Recorder], None], recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.began_ns = time.perf_counter_ns()
        self.thread = threading.Thread(target=self._run, args=(run_buyer,), name=f"buyer_{recorder.buyer}", daemon=True)

    def _run(self, run_buyer: Callable[[Recorder], None]) -> None:
        try:
            run_buyer(self.recorder)
        except BaseException as error:  # raised by _raise_first
            self.set_exception(error)
        else:
            self.set_result(None)

    def place(self) -> Place | None:
        """The line that its thread executes; None where it has ended."""
        frame = sys._current_frames().get(self.thread.ident or 0)  # noqa: SLF001 - its documented name
        return place_of(frame) if frame else None


def _recorded(recorders: Sequence[Recorder], stuck: Sequence[BuyerThread]) -> list[Recorder]:
    """What all buyers recorded; the operation that a stuck buyer is in has an unknown outcome."""
    now_ns = time.perf_counter_ns()
    numbers = {thread.recorder.buyer for thread in stuck}
    return [recorder.ended(now_ns) if recorder.buyer in numbers else recorder for recorder in recorders]


def _stuck_error(stuck: Sequence[BuyerThread]) -> TicketlabError:
    """Says where the stuck buyers wait, first one that waits in the user's code."""
    placed = [(thread, place) for thread in stuck if (place := thread.place()) is not None]
    if not placed:
        return TicketlabError(f"{len(stuck)} buyers did not return in time.")
    placed.sort(key=lambda pair: not pair[1].is_theirs)
    (thread, place), *others = placed
    under_way = thread.recorder.under_way
    waited_s = (time.perf_counter_ns() - (under_way[-1] if under_way else thread.began_ns)) / 1e9
    more = f", nor did {len(others)} others" if others else ""
    kind = OwnCodeError if place.is_theirs else TicketlabError
    error = kind(
        f"buyer {thread.recorder.buyer} has waited {waited_s:.0f} s in {place.line}: it did not return when its "
        f"connection was cut{more}. These purchases have an unknown outcome, and the run ends here."
    )
    error.add_note(place.stack)
    return error


class _Start:
    """The instant at which all buyers start, chosen when the last of them is ready."""

    def __init__(self, plan: Plan) -> None:
        self.instant_ns = 0
        self._plan = plan
        self._created_ns = time.perf_counter_ns()
        self._barrier = threading.Barrier(plan.buyers, action=self._choose)

    def _choose(self) -> None:
        self.instant_ns = time.perf_counter_ns() + _HEAD_START_NS

    def wait_for_start(self) -> int:
        """Wait for the other buyers, then for the instant; returns it."""
        self._barrier.wait()
        time.sleep(max(0, self.instant_ns - time.perf_counter_ns()) / 1e9)
        return self.instant_ns

    def elapsed_s(self) -> float:
        """Seconds since the instant; 0 before it."""
        return max(0, time.perf_counter_ns() - self.instant_ns) / 1e9 if self.instant_ns else 0.0

    def abort(self) -> None:
        """Release the buyers that wait for the others."""
        self._barrier.abort()

    def is_overdue(self) -> bool:
        """Whether the trial, or before its start the warm-up, is longer over than its purchases may take.

        The warm-up may take longer: it opens the connections, and many buyers may wait for few of them.
        """
        if self.instant_ns:
            return time.perf_counter_ns() > self.instant_ns + int((self._plan.seconds + GRACE_S) * 1e9)
        return time.perf_counter_ns() > self._created_ns + int((self._plan.warm_up_s + 4 * GRACE_S) * 1e9)


def _start_all(
    run_buyer: Callable[[Recorder], None], recorders: Sequence[Recorder], threads: list[BuyerThread]
) -> None:
    """Start every buyer. Appends to `threads`, so that the caller knows the started ones even if a later one fails."""
    for recorder in recorders:
        thread = BuyerThread(run_buyer, recorder)
        try:
            thread.thread.start()
        except RuntimeError as error:
            raise TicketlabError(
                f"Only {len(threads)} of {len(recorders)} buyers could be started: {error}. Use fewer buyers."
            ) from error
        threads.append(thread)


def _monitor(
    threads: Sequence[BuyerThread],
    stop: threading.Event,
    overdue: Callable[[], bool],
    *,
    trigger: FaultTrigger,
    purchases: Callable[[], int],
    on_tick: Callable[[], None],
) -> None:
    """Tick until all buyers are done, one has failed, or they are overdue; then tick once more.

    Injects the faults in between, when the purchases that they wait for were answered.
    """
    ticked_s = time.monotonic()
    while wait(
        threads, timeout=_ARMED_TICK_S if trigger.has_pending else _TICK_S, return_when=FIRST_EXCEPTION
    ).not_done:
        if stop.is_set() or overdue():
            break
        if trigger.has_pending:
            trigger.fire_due(purchases())
            if time.monotonic() < ticked_s + _TICK_S:
                continue  # on_tick is called no more often for it
        on_tick()
        ticked_s = time.monotonic()
    on_tick()


@dataclass(slots=True)
class _Ending:
    """How a load ends, and the wait for its last purchases."""

    interrupted: bool = False
    """By Ctrl-C or SIGTERM."""
    at_once: bool = False
    cut: bool = False

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """The first Ctrl-C ends the trial early; the second, or SIGTERM, ends it at once."""
        self.at_once = self.interrupted or isinstance(error, TerminatedError)
        self.interrupted = True

    def wait_for(
        self,
        threads: Sequence[BuyerThread],
        cut_connections: Callable[[], None],
        before_cut: Callable[[], None],
        *,
        overdue: bool,
    ) -> None:
        """Wait for the purchases in progress; those that take too long lose their connections, then are given up.

        Ctrl-C and SIGTERM cut their connections at once.
        """
        patience_s = 0.0 if overdue or self.at_once else GRACE_S
        began_s, cuts = 0.0, 0
        while True:
            with self._noting_ctrl_c():
                if not wait(threads, timeout=patience_s).not_done:
                    break
            if cuts and self._gives_up(threads, cuts, time.monotonic() - began_s):
                return
            began_s = began_s or time.monotonic()
            with self._noting_ctrl_c():
                if not (self.cut or self.at_once):
                    before_cut()
            with self._noting_ctrl_c():
                self.cut = True
                cut_connections()
            cuts += 1
            patience_s = LAST_MOMENT_S if self.at_once else CUT_S
        for buyer in threads:
            buyer.thread.join()

    def _gives_up(self, threads: Sequence[BuyerThread], cuts: int, cutting_s: float) -> bool:
        """Whether to wait no longer for purchases whose connections are cut."""
        if self.at_once or cutting_s > LONGEST_S:
            return True
        places = [buyer.place() for buyer in threads if not buyer.done()]
        return cuts > 1 and any(place is not None and place.is_theirs for place in places)

    @contextmanager
    def _noting_ctrl_c(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupt(error)


def _raise_first(threads: Sequence[BuyerThread]) -> None:
    """Raise the first buyer's error; a broken barrier only follows from the end of another buyer."""
    for thread in threads:
        error = thread.exception() if thread.done() else None
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
