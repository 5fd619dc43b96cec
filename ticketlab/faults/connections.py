"""The TCP sockets of this process: found, looked at and shut beside the code that owns them. Knows no database.

Each is reached through a copy of its file descriptor, so it cannot become another one meanwhile. A copy is closed by
the caller; the owner's descriptor stays open.
"""

import fcntl
import os
import socket
import stat
import struct
import sys
import termios
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from ticketlab.tickets.database import Database
from ticketlab.tickets.strategy import Connection

_DESCRIPTORS: Final = ("/proc/self/fd", "/dev/fd")
"""Folders that list the open file descriptors: of Linux, and of other systems."""
_TCP_INFO: Final = socket.TCP_INFO if sys.platform == "linux" else None
_SEGMENTS: Final = slice(152, 160)
"""Where Linux's `struct tcp_info` counts the segments with data, received and sent: tcpi_data_segs_in and _out."""
_SENT, _RECEIVED = 44, 52
"""Where it has the milliseconds since the last data was sent and received: tcpi_last_data_sent and _recv."""
_LONG_AGO_MS: Final = 100
"""A thread that was interrupted while it sends is not kept waiting for so long."""


def copy_of(descriptor: int) -> socket.socket:
    """A copy of the socket behind a file descriptor.

    Raises:
        OSError: it is closed, or no socket.
    """
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def connected_to(port: int) -> list[socket.socket]:
    """Copies of the process's TCP sockets whose other end has this port."""
    found = []
    for descriptor in _descriptors():
        with suppress(OSError):  # closed meanwhile
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            copy = copy_of(descriptor)
            if peer_port(copy) == port:
                found.append(copy)
            else:
                copy.close()
    return found


def _descriptors() -> Iterator[int]:
    """The open file descriptors; none where the system lists them nowhere."""
    folder = next((each for each in map(Path, _DESCRIPTORS) if each.is_dir()), None)
    names = [] if folder is None else [each.name for each in folder.iterdir()]
    return (int(name) for name in names if name.isdecimal())


def peer_port(copy: socket.socket) -> int | None:
    """The TCP port of the other end; None of a socket of another kind, and of one that is not connected."""
    try:
        return int(copy.getpeername()[1]) if copy.family in (socket.AF_INET, socket.AF_INET6) else None
    except OSError:
        return None


def local_port(copy: socket.socket) -> int | None:
    """The TCP port of this end; None of a socket of another kind."""
    return int(copy.getsockname()[1]) if copy.family in (socket.AF_INET, socket.AF_INET6) else None


def has_unread(copy: socket.socket) -> bool:
    """Whether something has arrived that the owner has not read."""
    count = array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(copy.fileno(), termios.FIONREAD, count)
    return count[0] > 0


def traffic(copy: socket.socket) -> bytes:
    """A value that changes whenever data is sent or received, where the system counts that; else always the same."""
    return _tcp_info(copy)[_SEGMENTS]


def may_have_sent(copy: socket.socket) -> bool:
    """Whether the owner may just have sent something that is not answered, and not know it yet.

    The owner's own state changes after the system call that sends; a thread that is interrupted in between still looks
    as if it had sent nothing. The clock is coarse: what was sent and answered within some milliseconds may count too.
    Always False where the system does not say.
    """
    told = _tcp_info(copy)
    if len(told) < _RECEIVED + 4:
        return False
    (sent_ms,), (received_ms,) = (struct.unpack_from("=I", told, place) for place in (_SENT, _RECEIVED))
    return bool(sent_ms <= received_ms and sent_ms < _LONG_AGO_MS)


def _tcp_info(copy: socket.socket) -> bytes:
    with suppress(OSError):
        if _TCP_INFO is not None:
            return copy.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    return b""


def shut(copy: socket.socket) -> bool:
    """End both directions; what was sent still reaches the other end. False where the connection was lost before."""
    try:
        copy.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


MOMENT_S: Final = 1.0
"""How long a break waits for a moment at which it loses what it is meant to lose."""
FINISH_S: Final = 10.0
"""How long the server may take to finish what it was working on; then it is ended."""
_POLL_S: Final = 0.005
_CONNECT_TIMEOUT_S: Final = 5
_OWN_NAME: Final = "ticketlab-faults"
_BACKENDS: Final = r"""
SELECT pid, backend_start, client_port, NULLIF(state, 'disabled') = 'active', COALESCE(
    state = 'active' AND (
        query ~* '^\s*(commit|end)\M' OR (xact_start = query_start AND query !~* '^\s*(begin|start)\M')
    ), false), COALESCE(state = 'idle in transaction', false), COALESCE(xact_start <> query_start, false)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND NOT starts_with(application_name, 'ticketlab-') AND pg_has_role(usesysid, 'USAGE')
"""
"""The database's backends, but the lab's own and those that this role may not end.

The first statement of a transaction begins when that does: unless it is a BEGIN it commits by itself.
"""
_STILL_THERE: Final = """
FROM pg_stat_activity
WHERE (pid, backend_start) IN (SELECT * FROM unnest(%s::integer[], %s::timestamptz[]))
"""
_FIND: Final = f"SELECT {_STILL_THERE}"
_ASK_TO_END: Final = f"SELECT pg_terminate_backend(pid) {_STILL_THERE}"
_END: Final = f"SELECT pg_terminate_backend(pid, 1000) {_STILL_THERE}"


class _Backend(NamedTuple):
    """The server's side of a connection, as the server saw it a moment ago."""

    pid: int
    started: datetime
    port: int | None
    """Of the client's end; -1 for a Unix-domain socket."""
    is_active: bool | None
    """Whether it was executing a statement; None where the server does not say."""
    commits: bool
    """Whether that was a COMMIT, or a statement that is a transaction of its own."""
    is_between: bool
    """Whether it was in a transaction and waited for the next statement."""
    is_within: bool
    """Whether it was in a transaction of several statements."""


class _Known(NamedTuple):
    """A connection of the database's pool."""

    connection: Connection
    pid: int
    copy: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """This process's side of a connection."""

    copy: socket.socket
    backend: _Backend | None
    """None where the server does not answer."""
    traffic: bytes
    """Just before the server looked at its side: what that saw holds until this changes."""
    connection: Connection | None = None
    """None of one that is not of the database's pool."""

    def waits(self) -> bool | None:
        """Whether it waits for the server; an answer that has arrived is not waited for any more."""
        if has_unread(self.copy):
            return False
        is_active = self._is_active()
        asked = self.backend is not None  # of a server that does not answer libpq alone can say
        if asked and is_active is False and may_have_sent(self.copy) and not self._was_idle():
            return None
        return is_active

    def loses_commit(self) -> bool:
        """Whether breaking it now loses the answer of something that commits."""
        return self.backend is not None and self.backend.commits and self._is_unchanged() and self.waits() is True

    def loses_statement(self) -> bool:
        """Whether breaking it now loses the next statement of a transaction."""
        return self.backend is not None and self.backend.is_between and self._is_unchanged() and self.waits() is False

    def _is_active(self) -> bool | None:
        """Whether a statement was sent and not all of its answer read; None where nobody can say."""
        if self.connection is not None:
            return self.connection.pgconn.transaction_status == TransactionStatus.ACTIVE
        return self.backend.is_active if self.backend is not None and self._is_unchanged() else None

    def _was_idle(self) -> bool:
        """Whether libpq says so, and the server saw it, and nothing was sent or received since before it looked."""
        seen = self.backend is not None and self.backend.is_active is False and self._is_unchanged()
        return seen and self.connection is not None

    def _is_unchanged(self) -> bool:
        return traffic(self.copy) == self.traffic


def end_backends(database: Database) -> int:
    """End every backend of the database: whatever it has not committed is rolled back.

    Returns:
        When it began, as a reading of `time.perf_counter_ns`.
    """
    with _server(database) as server, _lines(database, server) as (lines, backends):
        began_ns = time.perf_counter_ns()
        with suppress(psycopg.OperationalError):
            if server is not None:
                # All are asked before any is waited for: the server looks only every 100 ms whether one has ended.
                server.execute(_ASK_TO_END, _pairs(backends))
                server.execute(_END, _pairs(backends))
        for each in lines:
            shut(each.copy)
    database.pool.check()  # those that nobody was using are replaced, and not handed to the next buyer
    return began_ns


def lose_requests(database: Database) -> int:
    """Break the connections that do not wait for an answer: the server never gets their next statement.

    Comes at the next moment at which a transaction is between two statements: at once if none has several, and after
    MOMENT_S at the latest.

    Returns:
        When it began, as a reading of `time.perf_counter_ns`.
    """
    return _break(database, waiting=False)


def lose_replies(database: Database) -> int:
    """Break the connections that wait for an answer, and return when the server has finished what it was working on.

    What it commits takes effect, and the buyer is not told. Comes at the next moment at which something commits, or
    after MOMENT_S if there is none.

    Returns:
        When it began, as a reading of `time.perf_counter_ns`.
    """
    return _break(database, waiting=True)


def _break(database: Database, *, waiting: bool) -> int:
    with _server(database) as server:
        with ExitStack() as held:
            lines = _at_moment(database, server, held, waiting=waiting)
            began_ns = time.perf_counter_ns()
            # One after another, as each system call lets other threads run, and the moment of a later one may pass.
            broken = [each for each in lines if each.waits() is waiting and shut(each.copy)]
        if server is not None:
            _await_end(server, [each.backend for each in broken if each.backend is not None])
    database.pool.check()  # those that nobody has used since are replaced
    return began_ns


def _at_moment(database: Database, server: Connection | None, held: ExitStack, *, waiting: bool) -> list[_Line]:
    """The connections, looked at again and again until one of them loses what is meant to be lost; that comes first."""
    meant = _Line.loses_commit if waiting else _Line.loses_statement
    deadline_s = time.monotonic() + MOMENT_S
    while True:
        with ExitStack() as looked:
            lines, backends = looked.enter_context(_lines(database, server))
            is_over = server is None or time.monotonic() > deadline_s
            if is_over or any(map(meant, lines)) or (not waiting and not any(each.is_within for each in backends)):
                held.push(looked.pop_all())
                return sorted(lines, key=meant, reverse=True)


@contextmanager
def _server(database: Database) -> Iterator[Connection | None]:
    """A connection of the lab's own; None where the server does not answer."""
    with ExitStack() as held:
        server = None
        with suppress(psycopg.OperationalError):
            connection = psycopg.connect(
                database.settings.url,
                autocommit=True,
                application_name=_OWN_NAME,
                connect_timeout=_CONNECT_TIMEOUT_S,
            )
            held.callback(connection.close)
            server = connection
        yield server


@contextmanager
def _lines(database: Database, server: Connection | None) -> Iterator[tuple[list[_Line], list[_Backend]]]:
    """The connections to the database: this process's side of each that it has, and every backend."""
    with ExitStack() as held:
        known = _known(database)
        others = [] if server is None else _connected_as(server)
        for copy in (*(each.copy for each in known), *others):
            held.callback(copy.close)
        by_line = {each: traffic(each) for each in (*(each.copy for each in known), *others)}
        backends = [] if server is None else _backends(server)  # last: what it sees is soon out of date
        by_pid = {each.pid: each for each in backends}
        ours = {local_port(each.copy) for each in known}
        by_port = {each.port: each for each in backends if each.port not in ours}
        lines = [
            _Line(copy=each.copy, backend=by_pid.get(each.pid), traffic=by_line[each.copy], connection=each.connection)
            for each in known
        ]
        lines += [
            _Line(copy=copy, backend=by_port[port], traffic=by_line[copy])
            for copy in others
            if (port := local_port(copy)) in by_port
        ]
        yield lines, backends


def _connected_as(server: Connection) -> list[socket.socket]:
    """Copies of the TCP sockets that lead where this connection leads."""
    with copy_of(server.fileno()) as copy:
        port = peer_port(copy)
    return [] if port is None else connected_to(port)


def _backends(server: Connection) -> list[_Backend]:
    try:
        return [_Backend._make(row) for row in server.execute(_BACKENDS)]
    except psycopg.OperationalError:
        return []


def _known(database: Database) -> list[_Known]:
    """The connections of the database's own pool; of these libpq knows what they wait for."""
    found = []
    for each in database.connections():
        with suppress(OSError, psycopg.OperationalError):  # closed meanwhile
            found.append(_Known(each, each.info.backend_pid, copy_of(each.fileno())))
    return found


def _await_end(server: Connection, backends: Sequence[_Backend]) -> None:
    """Wait until these backends have finished and found their client gone; end those that take too long."""
    deadline_s = time.monotonic() + FINISH_S
    with suppress(psycopg.OperationalError):  # a server that is gone runs nothing
        try:
            while server.execute(_FIND, _pairs(backends)).fetchone() is not None and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
        finally:
            server.execute(_END, _pairs(backends))


def _pairs(backends: Sequence[_Backend]) -> list[object]:
    return [[each.pid for each in backends], [each.started for each in backends]]
