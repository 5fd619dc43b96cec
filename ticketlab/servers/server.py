"""The record of a running server, checked settings, and the errors that all kinds of server share.

Does not depend on how a server is started.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ticketlab.errors import InvalidInputError, ServerError

OBSERVED: Final = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "max_connections",
    "shared_buffers",
    "deadlock_timeout",
    "default_transaction_isolation",
)
"""The settings that every `Server` reports, because results are comparable only with them."""

RESERVED: Final = frozenset(
    {
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "listen_addresses",
        "logging_collector",
        "port",
        "unix_socket_directories",
    }
)
"""The settings that the lab chooses itself, to find its server and read its log."""

_SETTING_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashControl:
    """How to crash and restart a server whose processes are the lab's own."""

    crash: Callable[[], None]
    restart: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL."""

    kind: str
    """`embedded`, `container` or `external`."""
    url: str = field(repr=False)
    """postgresql://user:password@host:port/database. Print `address` instead."""
    version: str
    """As in "18.6"."""
    settings: Mapping[str, str]
    """As the running server reports them: `OBSERVED` and the requested ones."""
    log: Callable[[], str] = field(repr=False)
    """Returns the server's log so far."""
    why: str
    """One line: the kind, the version, and why it was chosen."""
    binaries: Path | None = None
    """The folder of the server's programs, if this machine can run them, else None."""
    crash_control: CrashControl | None = field(default=None, repr=False)
    """None if the server cannot be crashed."""

    @property
    def address(self) -> str:
        """The URL without its password."""
        return address_of(self.url)

    @property
    def can_crash(self) -> bool:
        """Whether `crash` and `restart` are possible."""
        return self.crash_control is not None

    def crash(self) -> None:
        """Kill all its processes at once; what they have not passed to the operating system is lost.

        The data directory stays, for `restart`. Does nothing if the server has already crashed.

        Raises:
            InvalidInputError: the server is not of kind embedded.
            ServerError: its processes do not end.
        """
        self._control().crash()

    def restart(self) -> None:
        """Start it again at the same URL, and return when it has recovered and accepts connections.

        Does nothing if the server runs.

        Raises:
            InvalidInputError: the server is not of kind embedded.
            ServerError: it did not start.
        """
        self._control().restart()

    def _control(self) -> CrashControl:
        if self.crash_control is None:
            raise InvalidInputError(
                f"Only a server of kind embedded can be crashed, and this one is of kind {self.kind}: use --server "
                "embedded."
            )
        return self.crash_control

    @classmethod
    def of(
        cls,
        connection: psycopg.Connection,
        *,
        kind: str,
        url: str,
        requested: Iterable[str] = (),
        log: Callable[[], str],
        because: str,
        binaries: Path | None = None,
        crash_control: CrashControl | None = None,
    ) -> Self:
        """Return the record of the server at `connection`, with its version and settings."""
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name",
            [list(dict.fromkeys((*OBSERVED, *requested)))],
        )
        settings: dict[str, str] = dict(rows.fetchall())
        version = (connection.info.parameter_status("server_version") or "unknown").split()[0]
        return cls(
            kind=kind,
            url=url,
            version=version,
            settings=settings,
            log=log,
            why=f"{kind} PostgreSQL {version}: {because}",
            binaries=binaries,
            crash_control=crash_control,
        )


def address_of(url: str) -> str:
    """Return a connection URL without its password.

    Raises:
        InvalidInputError: `url` is not a connection URL. The message does not repeat it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    if not parts or not url.startswith(("postgresql://", "postgres://")):
        # Without libpq's message, which quotes the URL and so the password.
        raise InvalidInputError(
            "The server's URL is invalid. Its form is postgresql://user:password@host:port/database, with any of "
            ": / ? # @ % inside the user or password written as %3A %2F %3F %23 %40 %25."
        )
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{parts.get('dbname') or ''}"


def checked_settings(settings: Mapping[str, str | int] | None) -> dict[str, str]:
    """Return the settings with PostgreSQL's spelling.

    Raises:
        InvalidInputError: an invalid name or value, or a reserved setting.
    """
    checked = {}
    for name, value in (settings or {}).items():
        spelled = name.lower().replace("-", "_")  # as PostgreSQL reads its command line
        if not _SETTING_NAME.fullmatch(spelled) or "\0" in str(value):
            raise InvalidInputError(f"{name!r}={value!r} cannot be a setting of PostgreSQL.")
        if spelled in RESERVED:
            raise InvalidInputError(f"The lab chooses {spelled} itself; omit it from the settings.")
        checked[spelled] = str(value)
    return checked


def arguments_of(settings: Mapping[str, str]) -> list[str]:
    """Return the settings as arguments of `postgres`."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def unreachable(address: str, error: psycopg.Error) -> ServerError:
    """Return the error for a server that refuses connections."""
    return ServerError(
        f"No PostgreSQL can be used at {address} ({' '.join(str(error).split())}). "
        "Check that it is running, and that host, port, user and password are right."
    )


def refusal(log: str, settings: Mapping[str, str]) -> ServerError:
    """Return the error for a server that ended while starting; its log says why."""
    reason = _reason(log) or "its log is empty"
    if settings:
        requested = ", ".join(f"{name}={value}" for name, value in settings.items())
        return ServerError(f"PostgreSQL refused the settings: {reason}. Requested: {requested}.")
    return ServerError(f"PostgreSQL ended while it was starting: {reason}.")


def not_restarted(log: str) -> ServerError:
    """Return the error for a server that did not restart after a crash; its log says why."""
    return ServerError(f"PostgreSQL has crashed, and did not start again: {_reason(log) or 'its log is empty'}.")


def _reason(log: str) -> str:
    """The first fatal line of a log, with its hint, else the last line."""
    fatal = re.search(r"(?:FATAL|PANIC):\s+(.+)(?:\n.*HINT:\s+(.+))?", log)
    if fatal:
        return "; ".join(part.strip().rstrip(".") for part in fatal.groups() if part)
    lines = log.strip().splitlines()
    return lines[-1].removeprefix("postgres: ").rstrip(".") if lines else ""
