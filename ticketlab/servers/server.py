"""The record of a running server, the settings it may be asked for, and what it says of itself.

Knows the words that all kinds of server share; must not know how any of them is brought up.
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
"""The settings that every `Server` reports, because results can not be compared without them."""

OURS: Final = frozenset(
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
"""The settings that the lab needs for itself, to find its server again and to read its log."""

_SETTING_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashControl:
    """How a server is crashed and started again; there is one where its processes are the lab's own."""

    off: Callable[[], None]
    on: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL."""

    kind: str
    """`embedded`, `container` or `external`."""
    url: str = field(repr=False)
    """postgresql://user:password@host:port/database; not to be printed, see `address`."""
    version: str
    """As in "18.6"."""
    settings: Mapping[str, str]
    """As the running server reports them: `OBSERVED`, and whatever was asked for."""
    log: Callable[[], str] = field(repr=False)
    """The server's log so far."""
    why: str
    """One line: which kind this is, and why it was taken."""
    binaries: Path | None = None
    """Where the server's own programs are, as far as this machine can run them; None where they are elsewhere."""
    switch: CrashControl | None = field(default=None, repr=False)
    """None where the server can not be crashed."""

    @property
    def address(self) -> str:
        """The URL without its password."""
        return address_of(self.url)

    @property
    def can_crash(self) -> bool:
        """Whether `crash` and `restart` are possible."""
        return self.switch is not None

    def crash(self) -> None:
        """Kill all its processes at once: what they have not handed to the operating system is lost.

        Its data stay as they lie, for `restart`. Nothing happens to a server that has crashed already.

        Raises:
            InvalidInputError: the server is of another kind than embedded.
            ServerError: its processes do not end.
        """
        self._its_switch().off()

    def restart(self) -> None:
        """Start it again at the same URL, and return when it has recovered and lets connections in.

        Of a server that runs already this only makes sure that it does.

        Raises:
            InvalidInputError: the server is of another kind than embedded.
            ServerError: it did not start.
        """
        self._its_switch().on()

    def _its_switch(self) -> CrashControl:
        if self.switch is None:
            raise InvalidInputError(
                f"Only a server of kind embedded can be crashed, and this one is of kind {self.kind}: take one with "
                "--server embedded."
            )
        return self.switch

    @classmethod
    def of(
        cls,
        connection: psycopg.Connection,
        *,
        kind: str,
        url: str,
        asked: Iterable[str] = (),
        log: Callable[[], str],
        because: str,
        binaries: Path | None = None,
        switch: CrashControl | None = None,
    ) -> Self:
        """The record of the server at the other end of `connection`, which tells its version and settings."""
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name",
            [list(dict.fromkeys((*OBSERVED, *asked)))],
        )
        settings: dict[str, str] = dict(rows.fetchall())
        version = (connection.info.parameter_status("server_version") or "of unknown version").split()[0]
        why = f"{kind} PostgreSQL {version}: {because}"
        return cls(
            kind=kind,
            url=url,
            version=version,
            settings=settings,
            log=log,
            why=why,
            binaries=binaries,
            switch=switch,
        )


def address_of(url: str) -> str:
    """A connection URL without its password.

    Raises:
        InvalidInputError: `url` is not a connection URL. The message does not repeat it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    if not parts or not url.startswith(("postgresql://", "postgres://")):
        # Libpq's own message is left out: it quotes the URL, and with it the password.
        raise InvalidInputError(
            "The server's URL can not be read. Its form is postgresql://user:password@host:port/database, "
            "with any of : / ? # @ % inside the user or password written as %3A %2F %3F %23 %40 %25."
        )
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{parts.get('dbname') or ''}"


def checked_settings(settings: Mapping[str, str | int] | None) -> dict[str, str]:
    """Settings as PostgreSQL spells them.

    Raises:
        InvalidInputError: a name that no setting can have, or of a setting that the lab needs for itself.
    """
    checked = {}
    for name, value in (settings or {}).items():
        spelled = name.lower().replace("-", "_")  # as PostgreSQL reads its command line
        if not _SETTING_NAME.fullmatch(spelled) or "\0" in str(value):
            raise InvalidInputError(f"{name!r}={value!r} can not be a setting of PostgreSQL.")
        if spelled in OURS:
            raise InvalidInputError(f"The lab chooses {spelled} itself; leave it out of the settings.")
        checked[spelled] = str(value)
    return checked


def arguments_of(settings: Mapping[str, str]) -> list[str]:
    """The settings as arguments of `postgres`."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def unreachable(address: str, error: psycopg.Error) -> ServerError:
    """The error for a server that does not let us in."""
    return ServerError(
        f"No PostgreSQL can be used at {address} ({' '.join(str(error).split())}). "
        "See that it is running, that host and port are right, and that user and password are."
    )


def refusal(log: str, settings: Mapping[str, str]) -> ServerError:
    """The error for a server that ended while starting; its log says why."""
    reason = _reason(log) or "its log is empty"
    if settings:
        asked = ", ".join(f"{name}={value}" for name, value in settings.items())
        return ServerError(f"PostgreSQL refused the settings: {reason}. Asked for: {asked}.")
    return ServerError(f"PostgreSQL ended while it was starting: {reason}.")


def not_restarted(log: str) -> ServerError:
    """The error for a server that ended again after a crash; its log says why."""
    return ServerError(f"PostgreSQL has crashed, and did not start again: {_reason(log) or 'its log is empty'}.")


def _reason(log: str) -> str:
    """The first fatal line of a log, with its hint; else the last line, as not every end is a fatal one."""
    fatal = re.search(r"(?:FATAL|PANIC):\s+(.+)(?:\n.*HINT:\s+(.+))?", log)
    if fatal:
        return "; ".join(part.strip().rstrip(".") for part in fatal.groups() if part)
    lines = log.strip().splitlines()
    return lines[-1].removeprefix("postgres: ").rstrip(".") if lines else ""
