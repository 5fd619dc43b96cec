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
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

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
