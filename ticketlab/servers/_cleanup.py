"""`cleanup_guard`: removes a resource at the end of a block, or by a watcher process if this process dies.

Starts the watcher and sends it orders; how a resource is removed is in `reaper`.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from ticketlab.errors import ServerError
from ticketlab.servers import _reaper

ENDING_TIMEOUT_S = 10


@contextlib.contextmanager
def cleanup_guard(kind: str, **facts: str) -> Iterator[None]:
    """Remove a folder, a container or a database at the end of the block, or at the end of this process.

    Enter it before the resource is created, so that a kill -9 at any moment leaves nothing behind.

    Raises:
        ServerError: it could not be removed. The watcher tries again when this process has ended.
    """
    # One watcher per process: a forked child inherits its parent's, and must not use it.
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
        _reaper.remove(remains)
    except Exception as error:
        raise ServerError(
            f"Could not remove {_reaper.described(remains)}: {error}. This is retried when the process ends."
        ) from error


class _Watcher:
    """The watcher process: started for the first resource, ended after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: list[dict[str, str]] = []

    def watch(self, remains: dict[str, str]) -> None:
        with self._lock:
            self._watched.append(remains)
            if self._process and self._process.poll() is None:
                _send(self._process, watch=remains)
                return
            # The first resource, or the watcher was killed: start one and send everything.
            self._process = _start()
            _send(self._process, path=[entry for entry in sys.path if entry])
            for each in self._watched:
                _send(self._process, watch=each)

    def forget(self, remains: dict[str, str]) -> None:
        with self._lock:
            self._watched.remove(remains)
            assert self._process is not None
            with contextlib.suppress(BrokenPipeError):  # the watcher was killed
                _send(self._process, forget=remains)
            if not self._watched:
                # An explicit order, because a forked child may hold the pipe open when it is closed here.
                self._process.communicate(b'{"end": true}\n', timeout=ENDING_TIMEOUT_S)
                self._process = None


def _start() -> subprocess.Popen[bytes]:
    """Start a watcher, without environment and site packages for speed; `sys.path` is sent later."""
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-I", "-S", _reaper.__file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        bufsize=0,  # an order that was sent arrives, even if this process dies
        cwd="/",
        start_new_session=True,  # not reached by the terminal's Ctrl-C
    )


def _send(watcher: subprocess.Popen[bytes], **order: object) -> None:
    """Send an order through the pipe, not as an argument, because it may contain a URL with a password."""
    assert watcher.stdin is not None
    watcher.stdin.write(json.dumps(order).encode() + b"\n")


_watchers: dict[int, _Watcher] = {}
