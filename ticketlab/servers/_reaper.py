"""Removes folders, containers and databases. Run as a program, it is the watcher that does so when its parent dies.

The watcher reads orders from stdin: what is about to be created, and what has been removed. When its input ends, it
removes the rest. So this file imports only the standard library at the top, and nothing of the package.

PR_SET_PDEATHSIG would not do: it is sent when the starting *thread* ends, exists only on Linux, and cannot remove a
folder, a container or a database.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PROC = Path("/proc")
QUIT_PATIENCE_S = 7.0
"""In an immediate shutdown the postmaster kills children that have not ended after 5 s."""
KILL_PATIENCE_S = 5.0
FOLDER_PATIENCE_S = 10.0
CONTAINER_PATIENCE_S = 5.0
DATABASE_PATIENCE_S = 5.0
ENGINE_TIMEOUT_S = 30
MEMORY_LINE = 6
IPC_RMID = 0
UNIX = "unix://"
DEFAULT_ENGINE = UNIX + "/var/run/docker.sock"
LOCK_TIMEOUT_S = 30
PARENT_POLL_S = 0.5
POLL_S = 0.01
_NOT_YET = {404, 409}
"""The engine's answers while a container does not exist yet, or is already being removed."""


def remove(remains: Mapping[str, str]) -> None:
    """Remove a folder, a container or a database; does nothing if it does not exist."""
    facts = dict(remains)
    _REMOVERS[facts.pop("kind")](**facts)


def described(remains: Mapping[str, str]) -> str:
    """Return its kind and name, without a URL, which holds a password."""
    return f"the {remains['kind']} {remains.get('path') or remains.get('name')}"


def remove_folder(path: str) -> None:
    """End every PostgreSQL process of the folder, then remove the folder.

    Raises:
        TimeoutError: the folder could not be removed within `FOLDER_PATIENCE_S`.
    """
    folder = Path(path)
    # Repeatedly, because a starting postgres may write to the folder while it is being removed.
    for _ in _attempts(FOLDER_PATIENCE_S):
        _end_processes(folder)
        _free_memory(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() and not processes_of(folder):
            return
    raise TimeoutError(f"{folder} still exists after {FOLDER_PATIENCE_S:.0f} s; remove it by hand")


def kill_processes(folder: Path, postmaster: subprocess.Popen[bytes]) -> None:
    """Kill the server in the folder as a crash would, and wait until its processes have ended.

    Raises:
        TimeoutError: a process still runs after `KILL_PATIENCE_S`.
    """
    pids = processes_of(folder)  # listed first, so that all are killed at nearly the same time
    postmaster.kill()  # before its children, because it would react to the death of one
    deadline = time.monotonic() + KILL_PATIENCE_S
    while pids:
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes {', '.join(map(str, pids))} still run after {KILL_PATIENCE_S:.0f} s")
        time.sleep(POLL_S)
        pids = processes_of(folder)


def _end_processes(folder: Path) -> None:
    """Shut down the server in the folder in immediate mode; kill what remains."""
    for number, patience_s in ((signal.SIGQUIT, QUIT_PATIENCE_S), (signal.SIGKILL, KILL_PATIENCE_S)):
        pids = processes_of(folder)
        for pid in pids:
            _signal(pid, number)
            _signal(pid, signal.SIGCONT)  # a stopped process would not receive the other signal
        deadline = time.monotonic() + patience_s
        while pids and time.monotonic() < deadline:
            time.sleep(POLL_S)
            pids = processes_of(folder)
        if not pids:
            return


def _free_memory(data: Path) -> None:
    """Free the shared memory segment of a killed postmaster, which outlives processes and files.

    Line 7 of postmaster.pid names it: src/include/utils/pidfile.h
    """
    import ctypes  # rarely needed, and the watcher must start fast

    try:
        key, segment = map(int, (data / "postmaster.pid").read_text().splitlines()[MEMORY_LINE].split())
    except (OSError, LookupError, ValueError):
        return  # a postmaster that shuts down removes both
    system = ctypes.CDLL(None)
    if system.shmget(key, 0, 0) == segment:  # otherwise the number is reused by now
        system.shmctl(segment, IPC_RMID, None)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has already ended


def processes_of(folder: Path) -> list[int]:
    """Return the ids of the PostgreSQL processes on `folder`/data: the server's, or initdb's.

    Not by postmaster.pid, which is written late during a start and outlives a crash, when its pid may be reused.
    """
    return _from_proc(folder / "data") if PROC.is_dir() else _from_ps(folder / "data")


def _from_proc(data: Path) -> list[int]:
    pids = []
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                if _works_on(entry, data):
                    pids.append(int(entry.name))
            except OSError:
                continue  # it has ended, or belongs to another user and so not to the lab
    return pids


def _works_on(process: Path, data: Path) -> bool:
    """Whether the process was started with -D `data`, or is a postgres with that working directory."""
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    if _names(arguments, os.fsencode(data)):
        return True
    # The server's children overwrite their command line, but keep their parent's working directory.
    is_postgres = (process / "comm").read_bytes().strip() == b"postgres"
    # A removed directory reads "/the/path (deleted)".
    return is_postgres and str((process / "cwd").readlink()).removesuffix(" (deleted)") == str(data)


def _from_ps(data: Path) -> list[int]:
    """The same without /proc: the processes with -D `data`, and their children."""
    command = ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,command="]
    listing = subprocess.run(command, capture_output=True, check=True)  # noqa: S603  # a fixed command
    rows = [line.split() for line in listing.stdout.splitlines()]
    roots = {int(pid) for pid, _, *arguments in rows if _names(arguments, os.fsencode(data))}
    return [int(pid) for pid, parent, *_ in rows if int(pid) in roots or int(parent) in roots]


def _names(arguments: list[bytes], data: bytes) -> bool:
    return b"-D" in arguments and data in arguments


def remove_container(name: str, engine: str) -> None:
    """Remove the named container and its volumes; `engine` is the DOCKER_HOST, "" for the default."""
    import docker  # type: ignore[import-untyped]  # the docker package has no types

    client = engine_client(engine, timeout_s=ENGINE_TIMEOUT_S)
    try:
        # Repeatedly, because the engine may still be creating it for a killed process.
        for _ in _attempts(CONTAINER_PATIENCE_S):
            try:
                client.api.remove_container(name, force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code not in _NOT_YET:
                    raise
            else:
                return
    finally:
        client.close()


def engine_client(engine: str, *, timeout_s: float) -> Any:  # noqa: ANN401  # the docker package has no types
    """Return a client of the container engine, which has answered. The caller closes it.

    Raises:
        OSError, docker.errors.DockerException: the engine did not answer within `timeout_s`.
    """
    import docker

    address = engine or DEFAULT_ENGINE
    if address.startswith(UNIX):
        # Probe first, because the docker package leaks the socket of a failed attempt.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout_s)
            probe.connect(address.removeprefix(UNIX))
    environment = os.environ | ({"DOCKER_HOST": engine} if engine else {})
    return docker.from_env(timeout=timeout_s, environment=environment)


def drop_database(url: str, name: str) -> None:
    """Drop the database and end its sessions; `url` is that of another database of the server.

    Raises:
        psycopg.Error: the server did not answer, or refused, for `DATABASE_PATIENCE_S`.
    """
    import psycopg  # the watcher needs it only here
    from psycopg import sql

    refused: psycopg.OperationalError | None = None
    # Repeatedly, because the sessions of a killed process may use up all connections for a moment.
    for _ in _attempts(DATABASE_PATIENCE_S):
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
                # Held while the database is created: CREATE DATABASE goes on after its client was killed.
                connection.execute("SELECT pg_advisory_lock(%s)", [creation_lock(name)])
                for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [name]):
                    # A database with prepared transactions cannot be dropped, and they can be ended only inside it.
                    with psycopg.connect(url, dbname=name, autocommit=True, connect_timeout=5) as inside:
                        inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.OperationalError as error:
            refused = error
            continue
        return
    if refused:
        raise refused


def creation_lock(database: str) -> int:
    """Return the key of the advisory lock that is held while this database is being created."""
    return int(database.rpartition("_")[2], 16)


def _attempts(patience_s: float) -> Iterator[None]:
    deadline = time.monotonic() + patience_s
    yield
    while time.monotonic() < deadline:
        time.sleep(0.1)
        yield


_REMOVERS: dict[str, Callable[..., None]] = {
    "folder": remove_folder,
    "container": remove_container,
    "database": drop_database,
}


def _watch(parent: int) -> None:
    """Follow the parent's orders; when they end, remove what is left, newest first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # signals that end the parent must not end its watcher
    left: list[dict[str, str]] = []
    for order in _orders(parent):
        match order:
            case {"path": path}:
                sys.path[:] = path
            case {"watch": remains}:
                left.append(remains)
            case {"forget": remains}:
                left.remove(remains)
            case _:
                break
    for remains in reversed(left):
        try:
            remove(remains)
        except Exception as error:  # one failure must not keep the others from being removed
            sys.stderr.write(f"ticketlab: could not remove {described(remains)}: {error}\n")


def _orders(parent: int) -> Iterator[dict[str, Any]]:
    """Yield one order per line, until the pipe is closed or the parent has ended.

    A forked child of the parent may hold the pipe open after the parent's end.
    """
    buffer = b""
    while True:
        readable, _, _ = select.select([0], [], [], PARENT_POLL_S)
        if readable:
            chunk = os.read(0, 65536)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from map(json.loads, lines)
        elif os.getppid() != parent:
            return


if __name__ == "__main__":
    _watch(parent=int(sys.argv[1]))
