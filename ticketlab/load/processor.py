"""Which processor the buyers of this process run on."""

import os
import sys
from contextlib import suppress


def share_one() -> bool:
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
