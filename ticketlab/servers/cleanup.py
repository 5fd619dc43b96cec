"""This process's end of the watcher: what is about to be created is named here first, and removed here last.

Knows how the watcher is started and spoken to; how a thing is removed is the business of `reaper`.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from ticketlab.errors import ServerError
from ticketlab.servers import reaper

ENDING_TIMEOUT_S = 10


@contextlib.contextmanager
def cleanup_guard(kind: str, **facts: str) -> Iterator[None]:
    """Remove a folder, a container or a database at the end of the block, or at the end of this process.

    To be entered before the thing is created, so that there is no moment at which a kill -9 would leave it.

    Raises:
        ServerError: it could not be removed. The watcher tries again when this process is gone.
    """
    # One watcher a process: a fork inherits its parent's, and must not speak through it.
    watcher = _watchers.setdefault(os.getpid(), _Watcher())
    remains = {"kind": kind, **facts}
    watcher.watch(remains)
    try:
        yield
    finally:
        _remove(remains)
        watcher.forget(remains)


def _remove(remains: dict[str, str]) -> None:
    try:
        reaper.remove(remains)
    except Exception as error:
        raise ServerError(
            f"Could not remove {reaper.described(remains)}: {error}. It will be tried once more when this process ends."
        ) from error


class _Watcher:
    """The watching process: started for the first thing that it is to watch, ended after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: list[dict[str, str]] = []

    def watch(self, remains: dict[str, str]) -> None:
        with self._lock:
            self._watched.append(remains)
            if self._process and self._process.poll() is None:
                _tell(self._process, watch=remains)
                return
            # The first thing to be watched, or somebody killed the watcher: then it is told everything anew.
            self._process = _start()
            _tell(self._process, path=[entry for entry in sys.path if entry])
            for known in self._watched:
                _tell(self._process, watch=known)

    def forget(self, remains: dict[str, str]) -> None:
        with self._lock:
            self._watched.remove(remains)
            assert self._process is not None
            with contextlib.suppress(BrokenPipeError):  # a watcher that was killed has forgotten already
                _tell(self._process, forget=remains)
            if not self._watched:
                # Said aloud: a forked child may hold the pipe open, and closing it would go unnoticed.
                self._process.communicate(b'{"end": true}\n', timeout=ENDING_TIMEOUT_S)
                self._process = None


def _start() -> subprocess.Popen[bytes]:
    """Start a watcher, isolated from the environment and quick: it is told later where packages are found."""
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-I", "-S", reaper.__file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        bufsize=0,  # an order is with the system when it has been given, whatever becomes of this process
        cwd="/",
        start_new_session=True,  # out of reach of the terminal's Ctrl-C
    )


def _tell(watcher: subprocess.Popen[bytes], **order: object) -> None:
    """Over the pipe and never as an argument: an order may hold a URL with a password."""
    assert watcher.stdin is not None
    watcher.stdin.write(json.dumps(order).encode() + b"\n")


_watchers: dict[int, _Watcher] = {}
