"""Injects connection faults: ends backends, and breaks connections so that requests or replies are lost.

Finds the TCP sockets of this process, including those of a user's own pools, without their owners' help. Each is used
through a copy of its file descriptor, which cannot become another socket meanwhile. Whoever makes a copy closes it; the
owner's descriptor stays open.
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database
    from ticketlab.tickets.strategy import Connection

_DESCRIPTORS: Final = ("/proc/self/fd", "/dev/fd")
"""Folders that list the open file descriptors: of Linux, and of other systems."""
_TCP_INFO: Final = socket.TCP_INFO if sys.platform == "linux" else None
_SEGMENTS: Final = slice(152, 160)
"""The bytes of Linux's `struct tcp_info` that count the segments with data: tcpi_data_segs_in and _out."""
_SENT, _RECEIVED = 44, 52
"""The offsets of the milliseconds since data was last sent and received: tcpi_last_data_sent and _recv."""
_LONG_AGO_MS: Final = 100
"""Longer than a thread that was interrupted while sending is kept waiting."""


def copy_of(descriptor: int) -> socket.socket:
    """A copy of the socket behind a file descriptor.

    Raises:
        OSError: it is closed, or not a socket.
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
    """The open file descriptors; none where the system does not list them."""
    folder = next((each for each in map(Path, _DESCRIPTORS) if each.is_dir()), None)
    names = [] if folder is None else [each.name for each in folder.iterdir()]
    return (int(name) for name in names if name.isdecimal())


def peer_port(copy: socket.socket) -> int | None:
    """The TCP port of the other end; None where it is not TCP, or not connected."""
    try:
        return int(copy.getpeername()[1]) if copy.family in (socket.AF_INET, socket.AF_INET6) else None
    except OSError:
        return None


def local_port(copy: socket.socket) -> int | None:
    """The TCP port of this end; None where it is not TCP."""
    return int(copy.getsockname()[1]) if copy.family in (socket.AF_INET, socket.AF_INET6) else None


def has_unread(copy: socket.socket) -> bool:
    """Whether data has arrived that the owner has not read."""
    count = array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(copy.fileno(), termios.FIONREAD, count)
    return count[0] > 0


def traffic(copy: socket.socket) -> bytes:
    """A value that changes whenever data is sent or received; constant where the system does not count that."""
    return _tcp_info(copy)[_SEGMENTS]


def may_have_sent(copy: socket.socket) -> bool:
    """Whether the owner may just have sent something unanswered that its own state does not show yet.

    The owner's state changes after the system call that sends; a thread that is interrupted in between still looks as
    if it had sent nothing. The clock is coarse: data sent and answered within some milliseconds may count too. Always
    False where the system does not provide `struct tcp_info`.
    """
    info = _tcp_info(copy)
    if len(info) < _RECEIVED + 4:
        return False
    (sent_ms,), (received_ms,) = (struct.unpack_from("=I", info, offset) for offset in (_SENT, _RECEIVED))
    return bool(sent_ms <= received_ms and sent_ms < _LONG_AGO_MS)


def _tcp_info(copy: socket.socket) -> bytes:
    with suppress(OSError):
        if _TCP_INFO is not None:
            return copy.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    return b""


def shut(copy: socket.socket) -> bool:
    """End both directions; data already sent still arrives. False where the connection was lost before."""
    try:
        copy.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


MOMENT_S: Final = 1.0
"""How long a fault waits for a moment at which it loses a commit or a statement."""
FINISH_S: Final = 10.0
"""How long a backend may take to finish what it was working on; then it is ended."""
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
"""The database's backends, except the lab's own and those that this role may not end.

A statement that started with its transaction commits by itself, unless it is a BEGIN.
"""
_STILL_THERE: Final = """
FROM pg_stat_activity
WHERE (pid, backend_start) IN (SELECT * FROM unnest(%s::integer[], %s::timestamptz[]))
"""
_FIND: Final = f"SELECT {_STILL_THERE}"
_ASK_TO_END: Final = f"SELECT pg_terminate_backend(pid) {_STILL_THERE}"
_END: Final = f"SELECT pg_terminate_backend(pid, 1000) {_STILL_THERE}"


class _Backend(NamedTuple):
    """The server's side of a connection, as pg_stat_activity showed it a moment ago."""

    pid: int
    started: datetime
    port: int | None
    """The client's; -1 for a Unix-domain socket."""
    is_active: bool | None
    """Whether it was executing a statement; None where the server does not track activities."""
    commits: bool
    """Whether that was a COMMIT, or a statement that is a transaction of its own."""
    is_between: bool
    """Whether it was idle in a transaction."""
    is_within: bool
    """Whether it was in a transaction of several statements."""


class _Pooled(NamedTuple):
    """A connection of the database's pool."""

    connection: Connection
    pid: int
    copy: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class _Client:
    """This process's side of a connection."""

    copy: socket.socket
    backend: _Backend | None
    """None where the server does not answer."""
    traffic: bytes
    """Read just before the backend's state: that state holds until this changes."""
    connection: Connection | None = None
    """None where it is not of the database's pool."""

    def waits(self) -> bool | None:
        """Whether it waits for an answer that has not arrived; None where that is unknown."""
        if has_unread(self.copy):
            return False
        is_active = self._is_active()
        has_backend = self.backend is not None  # if the server does not answer, only libpq's state is known
        if has_backend and is_active is False and may_have_sent(self.copy) and not self._was_idle():
            return None
        return is_active

    def loses_commit(self) -> bool:
        """Whether breaking it now loses the answer of a commit."""
        return self.backend is not None and self.backend.commits and self._is_unchanged() and self.waits() is True

    def loses_statement(self) -> bool:
        """Whether breaking it now loses the next statement of a transaction."""
        return self.backend is not None and self.backend.is_between and self._is_unchanged() and self.waits() is False

    def _is_active(self) -> bool | None:
        """Whether a statement was sent and not all of its answer read; None where that is unknown."""
        if self.connection is not None:
            return self.connection.pgconn.transaction_status == TransactionStatus.ACTIVE
        return self.backend.is_active if self.backend is not None and self._is_unchanged() else None

    def _was_idle(self) -> bool:
        """Whether libpq and the server both report it idle, and nothing was sent or received since."""
        was_idle = self.backend is not None and self.backend.is_active is False and self._is_unchanged()
        return was_idle and self.connection is not None

    def _is_unchanged(self) -> bool:
        return traffic(self.copy) == self.traffic


def end_backends(database: Database) -> int:
    """End every backend of the database: what they have not committed is rolled back.

    Returns when it began, by `time.perf_counter_ns`.
    """
    with _server(database) as server, _clients(database, server) as (clients, backends):
        began_ns = time.perf_counter_ns()
        with suppress(psycopg.OperationalError):
            if server is not None:
                # Signal all before waiting for any: the server checks only every 100 ms whether one has ended.
                server.execute(_ASK_TO_END, _pairs(backends))
                server.execute(_END, _pairs(backends))
        for client in clients:
            shut(client.copy)
    database.pool.check()  # replaces the idle connections before one is lent
    return began_ns


def lose_requests(database: Database) -> int:
    """Break the connections that do not wait for an answer: the server never gets their next statement.

    Happens when next a transaction is between two statements: at once if no transaction has several, and after
    MOMENT_S at the latest. Returns when it began, by `time.perf_counter_ns`.
    """
    return _break(database, waiting=False)


def lose_replies(database: Database) -> int:
    """Break the connections that wait for an answer, and return when the server has finished what it was working on.

    What it commits takes effect, and the buyer gets no answer. Happens at the next commit, or after MOMENT_S if there
    is none. Returns when it began, by `time.perf_counter_ns`.
    """
    return _break(database, waiting=True)


def _break(database: Database, *, waiting: bool) -> int:
    with _server(database) as server:
        with ExitStack() as held:
            clients = _await_moment(database, server, held, waiting=waiting)
            began_ns = time.perf_counter_ns()
            # Each is tested just before it is shut: a system call lets other threads run, which may change its state.
            broken = [client for client in clients if client.waits() is waiting and shut(client.copy)]
        if server is not None:
            _await_end(server, [client.backend for client in broken if client.backend is not None])
    database.pool.check()  # replaces those that have not been used since
    return began_ns


def _await_moment(database: Database, server: Connection | None, held: ExitStack, *, waiting: bool) -> list[_Client]:
    """Poll the connections until breaking one loses a commit, or a statement; that one comes first."""
    loses = _Client.loses_commit if waiting else _Client.loses_statement
    deadline_s = time.monotonic() + MOMENT_S
    while True:
        with ExitStack() as polled:
            clients, backends = polled.enter_context(_clients(database, server))
            is_over = server is None or time.monotonic() > deadline_s
            if is_over or any(map(loses, clients)) or (not waiting and not any(each.is_within for each in backends)):
                held.push(polled.pop_all())
                return sorted(clients, key=loses, reverse=True)


@contextmanager
def _server(database: Database) -> Iterator[Connection | None]:
    """A connection of the lab's own; None where the server does not answer."""
    with ExitStack() as held:
        server = None
        with suppress(psycopg.OperationalError):
            connection = psycopg.connect(
                database.settings.url, autocommit=True, application_name=_OWN_NAME, connect_timeout=_CONNECT_TIMEOUT_S
            )
            held.callback(connection.close)
            server = connection
        yield server


@contextmanager
def _clients(database: Database, server: Connection | None) -> Iterator[tuple[list[_Client], list[_Backend]]]:
    """The connections to the database: this process's side of its own, and every backend."""
    with ExitStack() as held:
        pooled = _pooled(database)
        others = [] if server is None else _same_peer(server)
        copies = [*(each.copy for each in pooled), *others]
        for copy in copies:
            held.callback(copy.close)
        counts = {copy: traffic(copy) for copy in copies}
        backends = [] if server is None else _backends(server)  # last, as it is soon out of date
        by_pid = {each.pid: each for each in backends}
        pool_ports = {local_port(each.copy) for each in pooled}
        by_port = {each.port: each for each in backends if each.port not in pool_ports}
        clients = [
            _Client(copy=each.copy, backend=by_pid.get(each.pid), traffic=counts[each.copy], connection=each.connection)
            for each in pooled
        ]
        clients += [
            _Client(copy=copy, backend=by_port[port], traffic=counts[copy])
            for copy in others
            if (port := local_port(copy)) in by_port
        ]
        yield clients, backends


def _same_peer(server: Connection) -> list[socket.socket]:
    """Copies of the TCP sockets that are connected to the same port as this connection."""
    with copy_of(server.fileno()) as copy:
        port = peer_port(copy)
    return [] if port is None else connected_to(port)


def _backends(server: Connection) -> list[_Backend]:
    try:
        return [_Backend._make(row) for row in server.execute(_BACKENDS)]
    except psycopg.OperationalError:
        return []


def _pooled(database: Database) -> list[_Pooled]:
    """The connections of the database's own pool, whose state libpq knows."""
    pooled = []
    for each in database.connections():
        with suppress(OSError, psycopg.OperationalError):  # closed meanwhile
            pooled.append(_Pooled(each, each.info.backend_pid, copy_of(each.fileno())))
    return pooled


def _await_end(server: Connection, backends: Sequence[_Backend]) -> None:
    """Wait until these backends have ended, as their clients are gone; end those that take too long."""
    deadline_s = time.monotonic() + FINISH_S
    with suppress(psycopg.OperationalError):  # on a server that is gone no backend runs
        try:
            while server.execute(_FIND, _pairs(backends)).fetchone() is not None and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
        finally:
            server.execute(_END, _pairs(backends))


def _pairs(backends: Sequence[_Backend]) -> list[object]:
    return [[each.pid for each in backends], [each.started for each in backends]]
