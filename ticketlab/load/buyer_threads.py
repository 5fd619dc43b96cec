"""The threads of the buyers: the processor that they share, and what each of them is doing."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

from ticketlab.errors import OwnCodeError, TicketlabError
from ticketlab.history.recording import Recorder
from ticketlab.tickets.user_errors import Place, place_of


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
