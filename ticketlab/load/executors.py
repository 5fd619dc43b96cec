"""Where buyers run: each in a thread of this process, on one processor, all started at one agreed instant."""

import threading
import time
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

import pandas as pd

from ticketlab.errors import TicketlabError
from ticketlab.evidence import history
from ticketlab.evidence.history import Recorder
from ticketlab.evidence.tally import SoFar, Tally
from ticketlab.load import buyers, processor
from ticketlab.load.faults import Actions, Fault, FaultKind, Trigger
from ticketlab.load.plan import Plan
from ticketlab.load.second_calls import Offers
from ticketlab.tickets import EventRepository

_HEAD_START_NS = 5_000_000
"""From agreeing on the instant to the instant: long enough for every thread to be waiting for it."""
_TICK_S = 0.1
_ARMED_TICK_S = 0.005
"""While faults are to come: each is made within so long of the purchase that it waits for."""
GRACE_S = 15.0
"""How long a purchase may still take when its trial is over; then its connection is cut, and its outcome says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What came of a load."""

    history: pd.DataFrame
    """All operations of all buyers; see `ticketlab.evidence.history`."""
    interrupted: bool
    """Ctrl-C ended it early; the buyers finished the purchase they were in."""
    faults_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """Of each kind of fault the instants at which it came, in ns since the trial's start: the history's clock. A server
    was dead by then, and a connection was cut just after."""
    faults_over_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was over, on the same clock."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What was said where operations ended without an answer: of each kind the first."""

    @property
    def crashes_ns(self) -> tuple[int, ...]:
        """The instants by which the server was dead."""
        return self.faults_ns.get(FaultKind.CRASH, ())


def drive(
    repository: EventRepository,
    plan: Plan,
    events: Sequence[UUID],
    *,
    warm_up_event: UUID,
    faults: Sequence[Fault] = (),
    actions: Actions = MappingProxyType({}),
    on_tick: Callable[[SoFar], None] = lambda _so_far: None,
) -> Driven:
    """Let the plan's buyers buy from `events`, and return what they saw.

    Each of the `faults` is made by the action of its kind while they buy; one whose number of purchases is not
    reached never comes.

    `on_tick` is called several times a second with how the trial stands. Ctrl-C ends the trial early; a
    second one cuts off the purchases that are still under way. An exception of a purchase, which only a defect in a
    strategy raises, stops the others and is raised here.
    """
    stop = threading.Event()
    start = _Start(plan)
    recorders = [Recorder(buyer) for buyer in range(plan.buyers)]
    offers = Offers()
    tally = Tally(recorders)
    trigger = Trigger(faults, actions)

    def live(recorder: Recorder) -> None:
        processor.share_one()
        try:
            buyers.warm_up(repository, plan, recorder.buyer, warm_up_event, stopped=stop.is_set)
            until_ns = start.agree() + int(plan.seconds * 1e9)
            buyers.buy(repository, plan, recorder, events, until_ns=until_ns, stopped=stop.is_set, offers=offers)
        except BaseException:
            stop.set()
            raise

    lives: list[Future[None]] = []
    interrupted = False
    with ThreadPoolExecutor(max_workers=plan.buyers, thread_name_prefix="buyer") as threads:
        try:
            _submit_all(threads, live, recorders, lives)
            _await(
                lives,
                stop,
                start.overdue,
                trigger=trigger,
                purchases=lambda: sum(map(len, recorders)),
                on_tick=lambda: on_tick(tally.read(start.elapsed_s())),
            )
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # Whatever happened: nobody begins another purchase, or waits for a buyer who will not come.
            stop.set()
            start.abort()
            threads.shutdown(wait=False, cancel_futures=True)
            _call_home(lives, repository.database.sever, at_once=start.overdue())
    _raise_first(lives)
    return Driven(
        history=history.collect(recorders, start_ns=start.instant_ns),
        interrupted=interrupted,
        faults_ns={kind: tuple(each - start.instant_ns for each in trigger.instants_ns(kind)) for kind in FaultKind},
        faults_over_ns={kind: tuple(each - start.instant_ns for each in trigger.over_ns(kind)) for kind in FaultKind},
        said=ChainMap(*(each.said for each in recorders)),
    )


class _Start:
    """The instant at which all buyers start, agreed when the last of them is ready."""

    def __init__(self, plan: Plan) -> None:
        self.instant_ns = 0
        self._plan = plan
        self._made_ns = time.perf_counter_ns()
        self._barrier = threading.Barrier(plan.buyers, action=self._choose)

    def _choose(self) -> None:
        self.instant_ns = time.perf_counter_ns() + _HEAD_START_NS

    def agree(self) -> int:
        """Wait for the others, then for the instant, and return it."""
        self._barrier.wait()
        time.sleep(max(0, self.instant_ns - time.perf_counter_ns()) / 1e9)
        return self.instant_ns

    def elapsed_s(self) -> float:
        """Seconds since the instant; 0 before it."""
        return max(0, time.perf_counter_ns() - self.instant_ns) / 1e9 if self.instant_ns else 0.0

    def abort(self) -> None:
        """Let nobody wait for a buyer who will not come."""
        self._barrier.abort()

    def overdue(self) -> bool:
        """Whether purchases should long have been over: those of the trial, or before its start those of the warm-up.

        The warm-up may take longer: it opens the connections, and many buyers may wait for few of them.
        """
        if self.instant_ns:
            return time.perf_counter_ns() > self.instant_ns + int((self._plan.seconds + GRACE_S) * 1e9)
        return time.perf_counter_ns() > self._made_ns + int((self._plan.warm_up_s + 4 * GRACE_S) * 1e9)


def _submit_all(
    threads: ThreadPoolExecutor,
    live: Callable[[Recorder], None],
    recorders: Sequence[Recorder],
    lives: list[Future[None]],
) -> None:
    """Start every buyer, filling `lives`, so that those who were started are known whatever happens to the next."""
    for recorder in recorders:
        try:
            lives.append(threads.submit(live, recorder))
        except RuntimeError as error:
            raise TicketlabError(
                f"Only {len(lives)} of {len(recorders)} buyers could be started: {error}. Let fewer buyers in."
            ) from error


def _await(
    lives: Sequence[Future[None]],
    stop: threading.Event,
    overdue: Callable[[], bool],
    *,
    trigger: Trigger,
    purchases: Callable[[], int],
    on_tick: Callable[[], None],
) -> None:
    """Wait, ticking, until all are over, one has failed, or the time that it may take is over; tick once more then.

    Faults are made in between, when as many purchases as they wait for were answered.
    """
    ticked_s = time.monotonic()
    while wait(lives, timeout=_tick_s(trigger), return_when=FIRST_EXCEPTION).not_done:
        if stop.is_set() or overdue():
            break
        if trigger.is_armed:
            trigger.make_due(purchases())
            if time.monotonic() < ticked_s + _TICK_S:
                continue  # whoever watches is told no more often for it
        on_tick()
        ticked_s = time.monotonic()
    on_tick()


def _tick_s(trigger: Trigger) -> float:
    return _ARMED_TICK_S if trigger.is_armed else _TICK_S


def _call_home(lives: Sequence[Future[None]], sever: Callable[[], None], *, at_once: bool) -> None:
    """Wait for the purchases under way; those that take too long, or too long for Ctrl-C, lose their connection."""
    patience_s = 0.0 if at_once else GRACE_S
    begun = [life for life in lives if not life.cancelled()]  # wait() would wait for the others for ever
    while True:
        try:
            if not wait(begun, timeout=patience_s).not_done:
                return
        except KeyboardInterrupt:
            pass  # once more: not another moment
        sever()
        patience_s = GRACE_S


def _raise_first(lives: Sequence[Future[None]]) -> None:
    """Raise what a buyer failed with; a broken barrier is only the echo of somebody else's end."""
    for life in lives:
        error = None if life.cancelled() else life.exception()
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
