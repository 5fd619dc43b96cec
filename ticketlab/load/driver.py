"""The threads of the buyers: the processor that they share, and what each of them is doing."""

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
from uuid import UUID

import pandas as pd

from ticketlab.errors import OwnCodeError, TerminatedError, TicketlabError
from ticketlab.faults.schedule import Actions, Fault, FaultKind, Trigger
from ticketlab.history import recording
from ticketlab.history.live_counts import LiveCounter, LiveCounts
from ticketlab.history.recording import Recorder
from ticketlab.load import buyers
from ticketlab.load.plan import Plan
from ticketlab.load.second_calls import Offers
from ticketlab.tickets import EventRepository
from ticketlab.tickets.user_code import Place, place_of


def pin_to_one_cpu() -> bool:
    """Keep the calling thread on the one processor that all buyers of this process share; False where it can not be.

    Python runs one thread at a time. Spread over several processors, threads that wake one another spend more time on
    handing over the interpreter's lock than on buying; and what they leave free is PostgreSQL's.
    """
    if not hasattr(os, "sched_setaffinity") or not _has_interpreter_lock():
        return False
    allowed = sorted(os.sched_getaffinity(0))
    with suppress(OSError):  # forbidden here: then they run wherever they may
        os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})  # of this thread only
        return True
    return False


def _has_interpreter_lock() -> bool:
    ask = getattr(sys, "_is_gil_enabled", None)  # since Python 3.13
    return ask is None or bool(ask())


class Life(Future[None]):
    """One buyer in a thread of its own, and what came of it. A thread that never ends keeps no process from ending."""

    def __init__(self, live: Callable[[Recorder], None], recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.began_ns = time.perf_counter_ns()
        self.thread = threading.Thread(target=self._run, args=(live,), name=f"buyer_{recorder.buyer}", daemon=True)

    def _run(self, live: Callable[[Recorder], None]) -> None:
        try:
            live(self.recorder)
        except BaseException as error:  # it is raised where the others are waited for
            self.set_exception(error)
        else:
            self.set_result(None)

    def place(self) -> Place | None:
        """Where its thread is; None where it has ended."""
        frame = sys._current_frames().get(self.thread.ident or 0)  # noqa: SLF001 - its documented name
        return place_of(frame) if frame else None


def is_in_users_code(lives: Sequence[Life]) -> bool:
    """Whether one of those that have not returned waits in code of the user's."""
    places = [each.place() for each in lives if not each.done()]
    return any(each is not None and each.is_theirs for each in places)


def recorded(recorders: Sequence[Recorder], left: Sequence[Life]) -> list[Recorder]:
    """What all buyers recorded; of those that are left the operation under way has an unknown outcome."""
    now_ns = time.perf_counter_ns()
    unended = {each.recorder.buyer for each in left}
    return [each.ended(now_ns) if each.buyer in unended else each for each in recorders]


def error_of(left: Sequence[Life]) -> TicketlabError:
    """Says where the buyers that are left wait, first the one that waits in code of the user's."""
    found = [(each, place) for each in left if (place := each.place()) is not None]
    if not found:
        return TicketlabError(f"{len(left)} buyers did not return in time.")
    found.sort(key=lambda each: not each[1].is_theirs)
    (life, place), *others = found
    under_way = life.recorder.under_way
    waited_s = (time.perf_counter_ns() - (under_way[-1] if under_way else life.began_ns)) / 1e9
    more = f", nor did {len(others)} others" if others else ""
    kind = OwnCodeError if place.is_theirs else TicketlabError
    error = kind(
        f"buyer {life.recorder.buyer} has waited {waited_s:.0f} s in {place.line}: it did not return when its "
        f"connection was cut{more}. These purchases have an unknown outcome, and the run ends here."
    )
    error.add_note(place.stack)
    return error


_HEAD_START_NS = 5_000_000
"""From agreeing on the instant to the instant: long enough for every thread to be waiting for it."""
_TICK_S = 0.1
_ARMED_TICK_S = 0.005
"""While faults are to come: each is made within so long of the purchase that it waits for."""
GRACE_S = 15.0
"""How long a purchase may still take when its trial is over; then its connection is cut, and its outcome says so."""
CUT_S = 5.0
"""How long a purchase may still take when its connection is cut. A function that waits in its own code after two cuts
is not waited for any longer."""
LAST_MOMENT_S = 2.0
"""The same after a second Ctrl-C or SIGTERM, which ends everything at once."""
LONGEST_S = 75.0
"""How long the lab waits in all for purchases that wait in no code of the user's: for a connection, they wait 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What came of a load."""

    history: pd.DataFrame
    """All operations of all buyers; see `ticketlab.history.recording`."""
    interrupted: bool
    """Ctrl-C ended it early; the buyers finished the purchase they were in."""
    faults_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """Of each kind of fault the instants at which it came, in ns since the trial's start: the history's clock. A server
    was dead by then, and a connection was cut just after."""
    faults_began_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was begun, on the same clock."""
    faults_over_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was over, on the same clock."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What was said where operations ended without an answer: of each kind the first."""

    cut: bool = False
    """Whether purchases that took too long lost their connections at the end."""
    at_once: bool = False
    """Whether a second Ctrl-C or SIGTERM ended it; then nothing else is to be waited for either."""
    stuck: TicketlabError | None = None
    """The error of purchases that never returned, with the stack of one of them. They are recorded as unknown."""
    start_ns: int = 0
    """When the trial started, by `time.perf_counter_ns`: the zero of the history's clock."""
    warm_up_deadlocks: int = 0
    """Deadlocks that purchases of the warm-up reported, which are in no history."""

    @property
    def crashes_ns(self) -> tuple[int, ...]:
        """The instants by which the server was dead."""
        return self.faults_ns.get(FaultKind.CRASH, ())

    @property
    def ended_early(self) -> bool:
        """Whether it was not as long as it was planned."""
        return self.interrupted or self.stuck is not None


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

    Each of the `faults` is made by the action of its kind while they buy; one whose number of purchases is not
    reached never comes.

    `on_tick` is called several times a second with how the trial stands. Ctrl-C ends the trial early; a second one, or
    SIGTERM, ends it at once: purchases that are still under way lose their connections. So do those that take longer
    than GRACE_S after the end; `before_cut` is called before. Purchases that do not return even then are not waited for
    any longer, and are recorded as unknown. An exception of a purchase, which only a defect in a strategy raises, stops
    the others and is raised here.
    """
    stop = threading.Event()
    start = _Start(plan)
    recorders = [Recorder(buyer) for buyer in range(plan.buyers)]
    offers = Offers()
    tally = LiveCounter(recorders)
    trigger = Trigger(faults, actions)
    warm_up_deadlocks: list[int] = []

    def live(recorder: Recorder) -> None:
        pin_to_one_cpu()
        try:
            reported = buyers.warm_up(repository, plan, recorder.buyer, warm_up_event, stopped=stop.is_set)
            warm_up_deadlocks.append(reported)
            until_ns = start.wait_for_start() + int(plan.seconds * 1e9)
            buyers.buy(repository, plan, recorder, events, until_ns=until_ns, stopped=stop.is_set, offers=offers)
        except BaseException:
            stop.set()
            raise

    lives: list[Life] = []
    ending = _Ending()
    try:
        _start_all(live, recorders, lives)
        _monitor(
            lives,
            stop,
            start.is_overdue,
            trigger=trigger,
            purchases=lambda: sum(map(len, recorders)),
            on_tick=lambda: on_tick(tally.read(start.elapsed_s())),
        )
    except KeyboardInterrupt as error:
        ending.interrupt(error)
    finally:
        # Whatever happened: nobody begins another purchase, or waits for a buyer who will not come.
        stop.set()
        start.abort()
        ending.wait_for(lives, repository.database.terminate_connections, before_cut, overdue=start.is_overdue())
    _raise_first(lives)
    left = [each for each in lives if not each.done()]
    return LoadResult(
        history=recording.collect(recorded(recorders, left), start_ns=start.instant_ns),
        interrupted=ending.interrupted,
        faults_ns=_by_kind(trigger.instants_ns, start.instant_ns),
        faults_began_ns=_by_kind(trigger.began_ns, start.instant_ns),
        faults_over_ns=_by_kind(trigger.over_ns, start.instant_ns),
        said=ChainMap(*(each.said for each in recorders)),
        cut=ending.cut,
        at_once=ending.at_once,
        stuck=error_of(left) if left else None,
        start_ns=start.instant_ns,
        warm_up_deadlocks=sum(warm_up_deadlocks),
    )


def _by_kind(read: Callable[[FaultKind], tuple[int, ...]], start_ns: int) -> dict[FaultKind, tuple[int, ...]]:
    """Of each kind of fault these times, on the clock of the history."""
    return {kind: tuple(each - start_ns for each in read(kind)) for kind in FaultKind}


class _Start:
    """The instant at which all buyers start, agreed when the last of them is ready."""

    def __init__(self, plan: Plan) -> None:
        self.instant_ns = 0
        self._plan = plan
        self._made_ns = time.perf_counter_ns()
        self._barrier = threading.Barrier(plan.buyers, action=self._choose)

    def _choose(self) -> None:
        self.instant_ns = time.perf_counter_ns() + _HEAD_START_NS

    def wait_for_start(self) -> int:
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

    def is_overdue(self) -> bool:
        """Whether purchases should long have been over: those of the trial, or before its start those of the warm-up.

        The warm-up may take longer: it opens the connections, and many buyers may wait for few of them.
        """
        if self.instant_ns:
            return time.perf_counter_ns() > self.instant_ns + int((self._plan.seconds + GRACE_S) * 1e9)
        return time.perf_counter_ns() > self._made_ns + int((self._plan.warm_up_s + 4 * GRACE_S) * 1e9)


def _start_all(live: Callable[[Recorder], None], recorders: Sequence[Recorder], lives: list[Life]) -> None:
    """Start every buyer, filling `lives`, so that those who were started are known whatever happens to the next."""
    for recorder in recorders:
        life = Life(live, recorder)
        try:
            life.thread.start()
        except RuntimeError as error:
            raise TicketlabError(
                f"Only {len(lives)} of {len(recorders)} buyers could be started: {error}. Let fewer buyers in."
            ) from error
        lives.append(life)


def _monitor(
    lives: Sequence[Life],
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
        if trigger.has_pending:
            trigger.fire_due(purchases())
            if time.monotonic() < ticked_s + _TICK_S:
                continue  # whoever watches is told no more often for it
        on_tick()
        ticked_s = time.monotonic()
    on_tick()


def _tick_s(trigger: Trigger) -> float:
    return _ARMED_TICK_S if trigger.has_pending else _TICK_S


@dataclass(slots=True)
class _Ending:
    """How a load comes to its end."""

    interrupted: bool = False
    """By Ctrl-C or SIGTERM."""
    at_once: bool = False
    cut: bool = False

    def interrupt(self, error: KeyboardInterrupt) -> None:
        """The first Ctrl-C ends the trial early; the second, or SIGTERM, ends it at once."""
        self.at_once = self.interrupted or isinstance(error, TerminatedError)
        self.interrupted = True

    def wait_for(
        self, lives: Sequence[Life], sever: Callable[[], None], before_cut: Callable[[], None], *, overdue: bool
    ) -> None:
        """Wait for the purchases under way; those that take too long lose their connections, then are given up.

        Ctrl-C and SIGTERM cut them now.
        """
        patience_s = 0.0 if overdue or self.at_once else GRACE_S
        began_s, cuts = 0.0, 0
        while True:
            with self._noting_ctrl_c():
                if not wait(lives, timeout=patience_s).not_done:
                    break
            if cuts and self._is_hopeless(lives, cuts, time.monotonic() - began_s):
                return
            began_s = began_s or time.monotonic()
            with self._noting_ctrl_c():
                if not (self.cut or self.at_once):
                    before_cut()
            with self._noting_ctrl_c():
                self.cut = True
                sever()
            cuts += 1
            patience_s = LAST_MOMENT_S if self.at_once else CUT_S
        for each in lives:
            each.thread.join()

    def _is_hopeless(self, lives: Sequence[Life], cuts: int, cutting_s: float) -> bool:
        """Whether waiting longer for those that are left is of no use, though their connections are cut."""
        if self.at_once or cutting_s > LONGEST_S:
            return True
        return cuts > 1 and is_in_users_code(lives)

    @contextmanager
    def _noting_ctrl_c(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupt(error)


def _raise_first(lives: Sequence[Life]) -> None:
    """Raise what a buyer failed with; a broken barrier is only the echo of somebody else's end."""
    for life in lives:
        error = life.exception() if life.done() else None
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
