"""The operating system user that runs an embedded server, and its folders: the cache, and a private temporary one.

Knows users, permissions and paths, not what is stored there.
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
"""Not in root's home, which the user that runs the server cannot enter."""
ON_DISK: Final = "/var/tmp"  # noqa: S108  # folders there get a random name and mode 0700
RANDOM_BYTES: Final = 6
LONGEST_SOCKET: Final = 103
"""The maximum bytes in the path of a Unix socket on macOS; Linux allows four more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsUser:
    """The operating system user that runs the server."""

    name: str
    uid: int
    gid: int

    @property
    def switch(self) -> dict[str, Any]:
        """The arguments of Popen to run a child as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self._is_another else {}

    def chown(self, path: Path) -> None:
        """Change the owner of a file, or of a folder and its contents, to this user."""
        if self._is_another:
            for each in (path, *path.rglob("*")):
                os.chown(each, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may enter the folder and all its parents."""
        return not self._is_another or all(self._may_pass(each.stat()) for each in (folder, *folder.parents))

    def _may_pass(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == self.gid else stat.S_IXOTH))

    @property
    def _is_another(self) -> bool:
        return self.uid != os.geteuid()


def account() -> OsUser:
    """Return this process's user; for root, which PostgreSQL refuses to run as, an unprivileged user.

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
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody. "
        "Add one (useradd --system postgres), or start ticketlab as another user."
    )


def ourselves() -> OsUser:
    """Return this process's user, even if it is root."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run under a uid without a name
        name = str(os.geteuid())
    return OsUser(name=name, uid=os.geteuid(), gid=os.getegid())


def cache_location() -> Path:
    """Return the path of the cache folder, which may not exist."""
    return CACHE_OF_ROOT if os.geteuid() == 0 else platformdirs.user_cache_path("ticketlab")


def cache() -> Path | None:
    """Return the cache folder, created if needed, or None if it is not writable."""
    folder = cache_location()
    if not folder.is_absolute():
        return None  # a user without a home
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)  # whatever the umask, so that the user that runs the server can enter
    except OSError:
        return None  # no home, or a read-only one: it works without a cache, only slower
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def temporary(owner: OsUser) -> Path:
    """Return the parent of private folders: TMPDIR if it is set and usable, else a folder on disk.

    /tmp is often in memory, where fsync costs nothing and measurements would be too good.

    Raises:
        ServerError: there is no folder that this process can write to and `owner` can enter.
    """
    candidates = [os.environ.get("TMPDIR", ON_DISK), ON_DISK, tempfile.gettempdir()]
    for folder in map(Path, candidates):
        socket = folder.resolve() / _random_name() / ".s.PGSQL.65535"
        short = len(os.fsencode(socket)) <= LONGEST_SOCKET
        if short and os.access(folder, os.W_OK | os.X_OK) and owner.can_enter(folder.resolve()):
            return folder.resolve()
    raise ServerError(
        f"No usable folder for a server's data. Tried: {', '.join(dict.fromkeys(candidates))}. It must be writable by "
        f"this process, accessible to user {owner.name}, and have a path short enough for a socket. Set TMPDIR to one."
    )


@contextlib.contextmanager
def private(parent: Path, owner: OsUser) -> Iterator[Path]:
    """Create a folder that only `owner` and root can enter; at the end, stop the server in it and remove it."""
    folder = parent / _random_name()
    with cleanup_guard("folder", path=str(folder)):
        folder.mkdir(mode=0o700)
        owner.chown(folder)
        yield folder


def publish(finished: Path, path: Path) -> None:
    """Rename a finished folder to its final path, unless another process was faster."""
    try:
        finished.rename(path)
    except OSError:
        if not path.exists():
            raise


def _random_name() -> str:
    return f"ticketlab-{secrets.token_hex(RANDOM_BYTES)}"
