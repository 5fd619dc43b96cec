"""Who runs an embedded server, and in which folders: the cache, and a private one that goes with the server.

Knows users, rights and paths; must not know what is put there.
"""

import contextlib
import os
import pwd
import secrets
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from ticketlab.errors import ServerError
from ticketlab.servers.cleanup import cleanup_guard

CACHE_OF_ROOT: Final = Path("/var/cache/ticketlab")
"""Not in root's home, which is closed to the user that runs the server."""
ON_DISK: Final = "/var/tmp"  # noqa: S108  # what is made there has a random name and mode 0700
RANDOM_BYTES: Final = 6
LONGEST_SOCKET: Final = 103
"""Bytes in the path of a Unix socket; on macOS, and Linux allows four more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsUser:
    """The user of the operating system that runs the server."""

    name: str
    uid: int
    gid: int

    @property
    def switch(self) -> dict[str, Any]:
        """The arguments of Popen that make a child run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self._is_another else {}

    def chown(self, path: Path) -> None:
        """Give a file, or a folder with all that is in it, to this user."""
        if self._is_another:
            for each in (path, *path.rglob("*")):
                os.chown(each, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may reach what is in the folder."""
        return not self._is_another or all(self._may_pass(each.stat()) for each in (folder, *folder.parents))

    def _may_pass(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == self.gid else stat.S_IXOTH))

    @property
    def _is_another(self) -> bool:
        return self.uid != os.geteuid()


def account() -> OsUser:
    """This process's own user; for root, which PostgreSQL refuses to run as, a user without rights.

    Raises:
        ServerError: this is root, and there is no such user.
    """
    if os.geteuid() != 0:
        return ourselves()
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return OsUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServerError(
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody to run it. "
        "Add one (useradd --system postgres), or start ticketlab as another user."
    )


def ourselves() -> OsUser:
    """This process's own user, root too."""
    return OsUser(name=_own_name(), uid=os.geteuid(), gid=os.getegid())


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        return str(os.geteuid())


def cache_location() -> Path:
    """Where the cache is, or would be."""
    return CACHE_OF_ROOT if os.geteuid() == 0 else platformdirs.user_cache_path("ticketlab")


def cache() -> Path | None:
    """The folder for what is slow to make, or None where none can be written."""
    folder = cache_location()
    if not folder.is_absolute():
        return None  # a user without a home
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)  # whatever the umask: the user that runs the server has to get in
    except OSError:
        return None  # no home, or a read-only one: everything works without a cache, only slower
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def temporary(owner: OsUser) -> Path:
    """The folder to make private folders in: TMPDIR where it is set and will do, else one that lies on a disk.

    /tmp is often held in memory. There an fsync costs nothing, and what is measured would be flattered.

    Raises:
        ServerError: there is none that this process can write and `owner` can enter.
    """
    candidates = [os.environ.get("TMPDIR", ON_DISK), ON_DISK, tempfile.gettempdir()]
    for folder in map(Path, candidates):
        socket = folder.resolve() / _random_name() / ".s.PGSQL.65535"
        short = len(os.fsencode(socket)) <= LONGEST_SOCKET
        if short and os.access(folder, os.W_OK | os.X_OK) and owner.can_enter(folder.resolve()):
            return folder.resolve()
    raise ServerError(
        f"There is no folder for a server's data: of {', '.join(dict.fromkeys(candidates))} none can be written by "
        f"this process, entered by user {owner.name}, and has a path short enough for a socket. Set TMPDIR to one."
    )


@contextlib.contextmanager
def private(parent: Path, owner: OsUser) -> Iterator[Path]:
    """A new folder that only `owner` and root can look into; it goes at the end, and whatever runs in it."""
    folder = parent / _random_name()
    with cleanup_guard("folder", path=str(folder)):
        folder.mkdir(mode=0o700)
        owner.chown(folder)
        yield folder


def publish(made: Path, name: Path) -> None:
    """Let a finished folder be found under its name; where another process was quicker, its serves as well."""
    try:
        made.rename(name)
    except OSError:
        if not name.exists():
            raise


def _random_name() -> str:
    return f"ticketlab-{secrets.token_hex(RANDOM_BYTES)}"
