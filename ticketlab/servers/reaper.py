"""How what a server leaves behind is removed: by the process that made it, or by a watcher when that process dies.

Run as a program this file is the watcher: it is told over its stdin, before anything is created, what is about to
be created, and removes at the end of its input whatever it was not told to forget. It therefore imports nothing
but the standard library at the top, and must not know the rest of the package.

A watcher and not PR_SET_PDEATHSIG: that signal comes when the starting *thread* ends, exists on Linux alone, can
not remove a folder, and reaches neither a container nor a database on somebody else's server.
"""

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
"""The postmaster kills, 5 s into an immediate shutdown, the children that have not answered."""
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
"""What the engine answers while a container does not exist yet, or is already being removed."""


def remove(remains: Mapping[str, str]) -> None:
    """Remove a folder, a container or a database; nothing happens where it is already gone."""
    facts = dict(remains)
    _REMOVERS[facts.pop("kind")](**facts)


def described(remains: Mapping[str, str]) -> str:
    """What and which; a URL, with its password, is left out."""
    return f"the {remains['kind']} {remains.get('path') or remains.get('name')}"


def remove_folder(path: str) -> None:
    """End every PostgreSQL process of the folder, then remove the folder.

    Raises:
        TimeoutError: the folder could not be removed within `FOLDER_PATIENCE_S`.
    """
    folder = Path(path)
    # More than once: a postgres that was only just being started may appear, and write, while its folder goes.
    for _ in _attempts(FOLDER_PATIENCE_S):
        _end_processes(folder)
        _free_memory(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() and not processes_of(folder):
            return
    raise TimeoutError(f"{folder} is still there after {FOLDER_PATIENCE_S:.0f} s; remove it by hand")


def kill_processes(folder: Path, postmaster: "subprocess.Popen[bytes]") -> None:
    """Kill at once what runs on the folder's data, as a crash would, and wait until it is gone.

    Raises:
        TimeoutError: something still runs after `KILL_PATIENCE_S`.
    """
    pids = processes_of(folder)  # looked for first, so that all are hit within one moment
    postmaster.kill()  # before its children: it would answer the death of one by ending the others in its own way
    deadline = time.monotonic() + KILL_PATIENCE_S
    while pids:
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes {', '.join(map(str, pids))} still run after {KILL_PATIENCE_S:.0f} s")
        time.sleep(POLL_S)
        pids = processes_of(folder)


def _end_processes(folder: Path) -> None:
    """Shut down immediately what runs on the folder's data; kill what stays."""
    for number, patience_s in ((signal.SIGQUIT, QUIT_PATIENCE_S), (signal.SIGKILL, KILL_PATIENCE_S)):
        pids = processes_of(folder)
        for pid in pids:
            _signal(pid, number)
            _signal(pid, signal.SIGCONT)  # a frozen process would never see the other signal
        deadline = time.monotonic() + patience_s
        while pids and time.monotonic() < deadline:
            time.sleep(POLL_S)
            pids = processes_of(folder)
        if not pids:
            return


def _free_memory(data: Path) -> None:
    """Free the segment of shared memory that a killed postmaster has left; its lock file names it.

    No file removed and no process ended would do that. Line 7 of postmaster.pid: src/include/utils/pidfile.h
    """
    import ctypes  # seldom needed, and the watcher has to be quick to start

    try:
        key, segment = map(int, (data / "postmaster.pid").read_text().splitlines()[MEMORY_LINE].split())
    except (OSError, LookupError, ValueError):
        return  # nothing was killed: who shuts down removes both
    system = ctypes.CDLL(None)
    if system.shmget(key, 0, 0) == segment:  # else the number is somebody else's by now
        system.shmctl(segment, IPC_RMID, None)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended in the meantime, which is what is wanted


def processes_of(folder: Path) -> list[int]:
    """The PostgreSQL processes that work on `folder`/data: the server's, or those of initdb.

    The processes are asked, not postmaster.pid: that file comes late in a start, and outlives a crash, by when
    its number may be somebody else's.
    """
    return _from_proc(folder / "data") if PROC.is_dir() else _from_ps(folder / "data")


def _from_proc(data: Path) -> list[int]:
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                if _works_on(entry, data):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while being looked at, or is another user's and so not ours
    return found


def _works_on(process: Path, data: Path) -> bool:
    """Whether the process was started with -D `data`, or is a postgres whose working directory that is."""
    arguments = (process / "cmdline").read_bytes().split(b"\0")
    if _names(arguments, os.fsencode(data)):
        return True
    # The server's children have their state for a command line, but share their parent's directory.
    is_postgres = (process / "comm").read_bytes().strip() == b"postgres"
    # A removed directory reads "/the/path (deleted)".
    return is_postgres and str((process / "cwd").readlink()).removesuffix(" (deleted)") == str(data)


def _from_ps(data: Path) -> list[int]:
    """The same where there is no /proc: the processes with -D `data`, and their children."""
    command = ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,command="]
    listing = subprocess.run(command, capture_output=True, check=True)  # noqa: S603  # a fixed command
    rows = [line.split() for line in listing.stdout.splitlines()]
    roots = {int(pid) for pid, _, *arguments in rows if _names(arguments, os.fsencode(data))}
    return [int(pid) for pid, parent, *_ in rows if int(pid) in roots or int(parent) in roots]


def _names(arguments: list[bytes], data: bytes) -> bool:
    return b"-D" in arguments and data in arguments


def remove_container(name: str, engine: str) -> None:
    """Remove the container of that name and its volumes; `engine` is its DOCKER_HOST, "" the default."""
    import docker  # type: ignore[import-untyped]  # the docker package has no types

    client = engine_client(engine, timeout_s=ENGINE_TIMEOUT_S)
    try:
        # Looked for more than once: the engine may still be at work on the request of a process that was killed.
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
    """A client of the container engine, which has answered; it is to be closed.

    Raises:
        OSError, docker.errors.DockerException: the engine did not answer within `timeout_s`.
    """
    import docker

    address = engine or DEFAULT_ENGINE
    if address.startswith(UNIX):
        # Tried here first: the docker package leaks the socket of an attempt that fails.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout_s)
            probe.connect(address.removeprefix(UNIX))
    environment = os.environ | ({"DOCKER_HOST": engine} if engine else {})
    return docker.from_env(timeout=timeout_s, environment=environment)


def drop_database(url: str, name: str) -> None:
    """Drop the database and end its sessions; `url` leads to another database of the same server.

    Raises:
        psycopg.Error: the server could not be reached, or refused, for `DATABASE_PATIENCE_S`.
    """
    import psycopg  # the watcher needs it only here
    from psycopg import sql

    refused: psycopg.OperationalError | None = None
    # Tried more than once: the sessions of a process that was killed may hold all connections for a moment longer.
    for _ in _attempts(DATABASE_PATIENCE_S):
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
                # Whoever creates the database holds this lock meanwhile: a CREATE outlives a client that is killed.
                connection.execute("SELECT pg_advisory_lock(%s)", [creation_lock(name)])
                for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [name]):
                    # Only from within: no database is dropped, not even by force, while one is left.
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
    """The advisory lock that is held while a database with such a random name is being created."""
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
    """Follow the orders of the parent; when they end, remove what is left, the newest first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whatever ends the parent must not end its watcher
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
        except Exception as error:  # one that can not be removed must not keep the others
            sys.stderr.write(f"ticketlab: could not remove {described(remains)}: {error}\n")


def _orders(parent: int) -> Iterator[dict[str, Any]]:
    """One order a line, until the pipe is closed.

    The parent is looked for besides: a forked child of the parent may hold the pipe open after it.
    """
    held = b""
    while True:
        readable, _, _ = select.select([0], [], [], PARENT_POLL_S)
        if readable:
            chunk = os.read(0, 65536)
            if not chunk:
                return
            *lines, held = (held + chunk).split(b"\n")
            yield from map(json.loads, lines)
        elif os.getppid() != parent:
            return


if __name__ == "__main__":
    _watch(parent=int(sys.argv[1]))
