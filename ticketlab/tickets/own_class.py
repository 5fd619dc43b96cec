"""An object of a user's class that a purchase function buys through: made once a trial, and closed in time."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

from ticketlab.errors import OwnCodeError
from ticketlab.tickets.blame import blaming, place_of
from ticketlab.tickets.database import Database

Opens: TypeAlias = Callable[[Database], AbstractContextManager[Any]]
"""Opens what a purchase function buys through."""


def made_once(kind: type) -> Opens:
    """Opens an object of the user's class: one for all buyers of a database, closed with it."""

    def make(database: Database) -> Any:  # noqa: ANN401 - of the user's class
        with blaming(kind.__name__):
            made = kind(database.settings)
        if callable(close := getattr(made, "close", None)):
            database.at_close(lambda: _close(f"{kind.__name__}.close", close, database.patience_s))
        return made

    return lambda database: nullcontext(database.companion(make))


def _close(name: str, close: Callable[[], object], patience_s: float) -> None:
    """Close what is the user's, in a thread of its own: one that does not return keeps nothing from ending."""
    closed: Future[object] = Future()

    def run() -> None:
        try:
            closed.set_result(close())
        except BaseException as error:  # it is raised where it is waited for
            closed.set_exception(error)

    thread = threading.Thread(target=run, name="close", daemon=True)
    thread.start()
    if wait([closed], timeout=patience_s).not_done:
        place = place_of(sys._current_frames()[thread.ident or 0])  # noqa: SLF001 - its documented name
        error = OwnCodeError(f"{name} did not return within {patience_s:g} s: it waits in {place.line}.")
        error.add_note(place.stack)
        raise error
    with blaming(name):
        closed.result()
