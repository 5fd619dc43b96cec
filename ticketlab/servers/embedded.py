"""Runs a server from binaries on this machine, in a private folder that is removed with it.

Prepares, starts, crashes and stops a postmaster. Does not depend on what the server is used for.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from ticketlab.errors import ServerError
from ticketlab.servers import _installation, _reaper
from ticketlab.servers.server import CrashControl, Server, arguments_of, not_restarted, refusal

if TYPE_CHECKING:
    from ticketlab.servers._installation import Installation, OsUser

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
PORT_ATTEMPTS: Final = 5
INITDB_TIMEOUT_S: Final = 120
READY_TIMEOUT_S: Final = 60
RESTART_PATIENCE_S: Final = 15
CONNECT_TIMEOUT_S: Final = 10
POLL_S: Final = 0.005
RESTART_POLL_S: Final = 0.05
STOP_PATIENCE_S: Final = 10
READY_LINE: Final = 7
"""Index of the line of postmaster.pid with the postmaster's status: src/include/utils/pidfile.h"""
NO_PORT: Final = "could not bind"
TEMPORARY: Final = (NO_PORT, "already exists", "pre-existing shared memory block")
"""Errors of a restart that are temporary: the port, lock file or shared memory is not released yet."""


@contextlib.contextmanager
def serve(
    settings: Mapping[str, str], *, major: int | None = None, because: str, tried: Iterable[str] = ()
) -> Iterator[Server]:
    """Start a server with these settings, of this major version if given, and stop it at the end.

    Raises:
        ServerError: there are no such binaries, or PostgreSQL refused the settings.
    """
    owner = _installation.account()
    with _installation.private(_installation.temporary(owner), owner) as folder:
        cache = _installation.cache() or folder
        binaries = _installation.find(owner, cache, major=major, tried=tried)
        postmaster = Postmaster(binaries, owner, folder, settings)
        shutil.copytree(_template(binaries, owner, cache), postmaster.data, symlinks=True)
        owner.chown(postmaster.data)
        try:
            postmaster.start()
            yield _connect_superuser(postmaster, because)
        finally:
            postmaster.stop()


class Postmaster:
    """The process and folder of one server; starts, crashes, restarts and stops it."""

    def __init__(self, binaries: Installation, owner: OsUser, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = settings
        self.port = 0
        self.binaries = binaries.binaries
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self._log_kept: str | None = None

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            ServerError: it ended instead; the message quotes its log.
        """
        for _ in range(PORT_ATTEMPTS):
            self.port = _free_port()
            log = self._try_to_start()
            if log is None:
                return
            if NO_PORT not in log:  # otherwise another process took the port meanwhile
                raise refusal(log, self.settings)
        raise ServerError(
            f"{PORT_ATTEMPTS} free ports of {HOST} were taken by other processes before PostgreSQL could bind them."
        )

    def crash(self) -> None:
        """Kill the postmaster and its children at once, and wait until they have ended.

        Raises:
            ServerError: they do not end.
        """
        process = self._process
        if process is None:
            return
        try:
            _reaper.kill_processes(self.folder, process)
        except TimeoutError as error:
            raise ServerError(f"PostgreSQL could not be crashed: {error}.") from error
        process.wait()  # an unreaped pid would make its lock file look valid

    def restart(self) -> None:
        """Start the server again on its data and port, and wait until it is ready. Does nothing if it runs.

        Raises:
            ServerError: it ended instead.
        """
        # It may still be starting, if an earlier restart was interrupted while waiting.
        if self._process is not None and self._becomes_ready(self._process):
            return
        deadline = time.monotonic() + RESTART_PATIENCE_S
        while (log := self._try_to_start()) is not None:
            if time.monotonic() > deadline or not any(error in log for error in TEMPORARY):
                raise not_restarted(log)
            time.sleep(RESTART_POLL_S)

    def stop(self) -> None:
        """Shut the server down in fast mode; kill it if it does not end."""
        process = self._process
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)  # does nothing if it has ended
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_PATIENCE_S)
                break
        self._log_kept = self.log()

    def log(self) -> str:
        """Return the server's log so far; also works after `stop`."""
        if self._log_kept is not None:
            return self._log_kept
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _try_to_start(self) -> str | None:
        """Return None once the server is ready, or what it wrote to its log if it ended."""
        length_before = len(self.log())
        self._process = self._launch()
        return None if self._becomes_ready(self._process) else self.log()[length_before:]

    def _launch(self) -> subprocess.Popen[bytes]:
        own = {"port": str(self.port), "listen_addresses": HOST, "unix_socket_directories": str(self.folder)}
        own["dynamic_shared_memory_type"] = "mmap"  # segments are files in the folder, and are removed with it
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own path, and settings that were checked
                [self.binaries / "postgres", "-D", self.data, *arguments_of(own), *arguments_of(self.settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment(),
                umask=0o077,
                start_new_session=True,  # a notebook's interrupt must not reach it
                **self._owner.switch,
            )

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            if self._is_ready(process.pid):
                return True
            time.sleep(POLL_S)
        last = self.log().strip().rpartition("\n")[2]
        raise ServerError(f"PostgreSQL was not ready after {READY_TIMEOUT_S} s. Last in its log: {last}")

    def _is_ready(self, pid: int) -> bool:
        """Whether postmaster.pid says so, and is of this process, not left by a crash."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0] == str(pid) and lines[READY_LINE].strip() == "ready"


def _connect_superuser(postmaster: Postmaster, because: str) -> Server:
    """Set the superuser's password through the private socket, and read the server's version and settings."""
    password = secrets.token_urlsafe(24)
    try:
        with psycopg.connect(
            host=str(postmaster.folder),
            port=postmaster.port,
            user=SUPERUSER,
            dbname="postgres",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
        ) as connection:
            # Hashed here, so that a server that logs statements does not log the password.
            verifier = connection.pgconn.encrypt_password(password.encode(), SUPERUSER.encode(), b"scram-sha-256")
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(change.format(sql.Identifier(SUPERUSER), sql.Literal(verifier.decode())))
            return Server.of(
                connection,
                kind="embedded",
                url=f"postgresql://{SUPERUSER}:{password}@{HOST}:{postmaster.port}/postgres",
                requested=postmaster.settings,
                log=postmaster.log,
                because=because,
                binaries=postmaster.binaries,
                crash_control=CrashControl(crash=postmaster.crash, restart=postmaster.restart),
            )
    except psycopg.Error as error:
        raise ServerError(f"PostgreSQL started, but cannot be used: {error}. Its log: {postmaster.log()}") from error


def _template(binaries: Installation, owner: OsUser, cache: Path) -> Path:
    """A fresh data directory. initdb takes a second, so it runs once per version and user, and the result is copied."""
    version = re.sub(r"[^\w.]+", "-", binaries.version).strip("-")
    name = cache / f"template-{version}-{owner.name}"
    if not name.exists():
        with _installation.private(cache, owner) as making:
            _initdb(binaries, owner, making / "data")
            _installation.publish(making / "data", name)
    return name


def _initdb(binaries: Installation, owner: OsUser, data: Path) -> None:
    answer = subprocess.run(  # noqa: S603  # our own paths
        [
            *(binaries.binaries / "initdb", "-D", data, "--username", SUPERUSER, "--no-instructions"),
            # The C locale exists on every system, and keeps the log in English.
            *("--encoding", "UTF8", "--locale", "C"),
            *("--auth-local", "trust", "--auth-host", "scram-sha-256"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INITDB_TIMEOUT_S,
        cwd=data.parent,
        env=_environment(),
        start_new_session=True,
        **owner.switch,
    )
    if answer.returncode:
        raise ServerError(f"initdb could not create a data directory as user {owner.name}: {answer.stderr.strip()}")


def _environment() -> dict[str, str]:
    """This process's environment without the PG… variables, some of which affect a server."""
    # PostgreSQL does not start under a locale that is not installed.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
