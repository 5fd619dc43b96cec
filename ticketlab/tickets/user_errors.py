"""Whose error it is: of an exception that code of the user's raised, the part of its traceback that is his."""

import contextlib
import importlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, NamedTuple

from ticketlab.errors import OwnCodeError, TicketlabError

_HERE: Final = Path(__file__).parent
_CALLERS: Final = frozenset(str(_HERE / name) for name in ("execution.py", "user_code.py", "trial_tables.py"))
"""The files that call what the user wrote."""
_IMPORTING: Final = (importlib.__file__, "<frozen importlib")
"""What lies between them and a module that is imported."""
_LAB: Final = str(_HERE.parent)


def raised_in_user_code(error: Exception) -> bool:
    """Whether it was raised by what the lab called, and not by the lab itself."""
    theirs = _theirs(error.__traceback__)
    return theirs is not None and not theirs.tb_frame.f_code.co_filename.startswith(_LAB)


@contextmanager
def wrap_user_errors(what: str, *, when: Callable[[Exception], bool] = lambda _error: True) -> Iterator[None]:
    """Around a call of what the user wrote: whatever it raises that the lab does not foresee is his.

    Args:
        what: what is called, as he named it.
        when: whether an error is his; by default each is. What is not is raised as it was.

    Raises:
        OwnCodeError: in its place, with his part of the traceback.
    """
    try:
        yield
    except TicketlabError:
        raise
    except Exception as error:
        if when(error):
            raise user_code_error(what, error) from error
        raise


def user_code_error(what: str, error: Exception) -> OwnCodeError:
    """The error to tell a user of whose code `error` came, with his part of the traceback as a note.

    Args:
        what: what was called or imported, as he named it.
        error: as it was caught; its traceback begins in the lab.
    """
    told = "".join(traceback.format_exception(type(error), error, _theirs(error.__traceback__)))
    made = OwnCodeError(f"{what} failed, in code of yours: {type(error).__name__}: {error}")
    made.add_note(told.rstrip())
    return made


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """From the first frame on that the lab called."""
    begins = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file in _CALLERS:
            begins = None
        elif begins is None and not file.startswith(_IMPORTING):
            begins = trace
        trace = trace.tb_next
    return begins


class Place(NamedTuple):
    """Where a thread is."""

    line: str
    """The line of the user's function that it is in, such as "shop.py:12, in buy"; else of the lab's."""
    is_theirs: bool
    """Whether that is code of the user's."""
    stack: str
    """The calls from that line on."""


def place_of(frame: FrameType) -> Place:
    """Where a thread is that is in this frame."""
    calls = traceback.StackSummary.extract(traceback.walk_stack(frame))[::-1]
    called = max((number for number, call in enumerate(calls) if call.filename in _CALLERS), default=-1) + 1
    while called < len(calls) and calls[called].filename == contextlib.__file__:
        called += 1  # the lab opens a connection
    is_theirs = 0 < called < len(calls) and not calls[called].filename.startswith(_LAB)
    ours = (number for number, call in enumerate(calls) if call.filename.startswith(_LAB))
    first = called if is_theirs else max(ours, default=len(calls) - 1)
    at = calls[first]
    stack = "".join(traceback.format_list(calls[first:])).rstrip()
    return Place(f"{Path(at.filename).name}:{at.lineno}, in {at.name}", is_theirs, stack)
