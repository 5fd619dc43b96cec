"""A server of the lab's own, from binaries on this machine: started in a tenth of a second, gone without a trace.

Knows how a postmaster is prepared, started, awaited and stopped; must not know what it is used for.
"""

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
from typing import Final

import psycopg
from psycopg import sql

from ticketlab.errors import ServerError
from ticketlab.servers import installation, paths, reaper
from ticketlab.servers.installation import Installation
from ticketlab.servers.paths import OsUser
from ticketlab.servers.server import CrashControl, Server, arguments_of, not_restarted, refusal

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
"""The eighth line of postmaster.pid holds the postmaster's status: src/include/utils/pidfile.h"""
NO_PORT: Final = "could not bind"
PASSING: Final = (NO_PORT, "already exists", "pre-existing shared memory block")
"""What the log of a restart may say that a moment later is so no more: port, lock file and memory come free."""


@contextlib.contextmanager
def serve(
    settings: Mapping[str, str], *, major: int | None = None, because: str, tried: Iterable[str] = ()
) -> Iterator[Server]:
    """Start a server with these settings, of the major version that is asked for, and stop it at the end.

    Raises:
        ServerError: there are no binaries, or none of that version, or PostgreSQL refused the settings.
    """
    owner = paths.account()
    with paths.private(paths.temporary(owner), owner) as folder:
        cache = paths.cache() or folder
        binaries = installation.find(owner, cache, major=major, tried=tried)
        postmaster = Postmaster(binaries, owner, folder, settings)
        shutil.copytree(_template(binaries, owner, cache), postmaster.data, symlinks=True)
        owner.chown(postmaster.data)
        try:
            postmaster.start()
            yield _connect_superuser(postmaster, because)
        finally:
            postmaster.stop()


class Postmaster:
    """One server's process and folder, and so the place where it is crashed and restarted."""

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
            ServerError: it ended instead; the message has the line of its log that says why.
        """
        for _ in range(PORT_ATTEMPTS):
            self.port = _free_port()
            ended_with = self._try_to_start()
            if ended_with is None:
                return
            if NO_PORT not in ended_with:  # else somebody took the port since it was found free
                raise refusal(ended_with, self.settings)
        raise ServerError(f"{PORT_ATTEMPTS} ports of {HOST} were free, and taken before PostgreSQL could bind them.")

    def crash(self) -> None:
        """Kill the postmaster and its children at once, and wait until they are gone.

        Raises:
            ServerError: they are not.
        """
        process = self._process
        if process is None:
            return
        try:
            reaper.kill_processes(self.folder, process)
        except TimeoutError as error:
            raise ServerError(f"PostgreSQL could not be crashed: {error}.") from error
        process.wait()  # a pid that nobody has collected would make its lock file look held

    def restart(self) -> None:
        """Start the server on its data and its port again, and wait until it is ready; one that runs is left alone.

        Raises:
            ServerError: it ended instead.
        """
        # It may be starting still: whoever restarted it may have been interrupted while waiting.
        if self._process is not None and self._becomes_ready(self._process):
            return
        deadline = time.monotonic() + RESTART_PATIENCE_S
        while (ended_with := self._try_to_start()) is not None:
            if time.monotonic() > deadline or not any(words in ended_with for words in PASSING):
                raise not_restarted(ended_with)
            time.sleep(RESTART_POLL_S)

    def stop(self) -> None:
        """Shut the server down: its sessions end, a checkpoint is written. What does not end is killed."""
        process = self._process
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)  # one that has ended is sent nothing
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_PATIENCE_S)
                break
        self._log_kept = self.log()

    def log(self) -> str:
        """The server's log so far, and after its end the whole of it."""
        if self._log_kept is not None:
            return self._log_kept
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _try_to_start(self) -> str | None:
        """None when the server is ready; where it ended instead, what it wrote to its log."""
        known = len(self.log())
        self._process = self._launch()
        return None if self._becomes_ready(self._process) else self.log()[known:]

    def _launch(self) -> subprocess.Popen[bytes]:
        listening = {
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": str(self.folder),
        }
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own path, and settings that were checked
                [self.binaries / "postgres", "-D", self.data, *arguments_of(listening), *arguments_of(self.settings)],
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
        """Whether postmaster.pid says so, and is this process's and not one that a crash has left."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0] == str(pid) and lines[READY_LINE].strip() == "ready"


def _connect_superuser(postmaster: Postmaster, because: str) -> Server:
    """Give the server's role a password, through the socket that only we can reach, and ask it who it is."""
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
            # Already hashed: a server that was asked to log its statements must not log a password.
            verifier = connection.pgconn.encrypt_password(password.encode(), SUPERUSER.encode(), b"scram-sha-256")
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(change.format(sql.Identifier(SUPERUSER), sql.Literal(verifier.decode())))
            return Server.of(
                connection,
                kind="embedded",
                url=f"postgresql://{SUPERUSER}:{password}@{HOST}:{postmaster.port}/postgres",
                asked=postmaster.settings,
                log=postmaster.log,
                because=because,
                binaries=postmaster.binaries,
                switch=CrashControl(off=postmaster.crash, on=postmaster.restart),
            )
    except psycopg.Error as error:
        raise ServerError(f"PostgreSQL started, but can not be used: {error}. Its log: {postmaster.log()}") from error


def _template(binaries: Installation, owner: OsUser, cache: Path) -> Path:
    """A data directory fresh from initdb, which takes a second; made once per version and user, then copied."""
    version = re.sub(r"[^\w.]+", "-", binaries.version).strip("-")
    name = cache / f"template-{version}-{owner.name}"
    if not name.exists():
        with paths.private(cache, owner) as making:
            _initdb(binaries, owner, making / "data")
            paths.publish(making / "data", name)
    return name


def _initdb(binaries: Installation, owner: OsUser, data: Path) -> None:
    answer = subprocess.run(  # noqa: S603  # our own paths
        [
            *(binaries.binaries / "initdb", "-D", data, "--username", SUPERUSER, "--no-instructions"),
            # The C locale is the only one that every system has, and it keeps the log in English.
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
        raise ServerError(f"initdb could not make a data directory as user {owner.name}: {answer.stderr.strip()}")


def _environment() -> dict[str, str]:
    """This process's environment without the PG... variables, some of which a server would follow."""
    # A locale of the environment that is not installed here would keep PostgreSQL from starting.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
