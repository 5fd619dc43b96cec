"""An embedded server is quick, is as it was asked to be, and leaves nothing behind, however its process ends."""

import contextlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ticketlab import servers
from ticketlab.errors import ServerError
from ticketlab.servers import _installation, _reaper, embedded

OPENS_A_SERVER = """
import json, os, sys
import psycopg
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup

with servers.open("embedded") as server, psycopg.connect(server.url) as connection:
    data = connection.execute("SHOW data_directory").fetchone()[0]
    watcher = cleanup._watchers[os.getpid()]._process.pid
    print(json.dumps({"folder": os.path.dirname(data), "watcher": watcher}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server(server):
    """That of all tests where it is an embedded one, else one of this file's own."""
    with contextlib.nullcontext(server) if server.kind == "embedded" else servers.open("embedded") as embedded_one:
        yield embedded_one


def folder_of(server):
    """The private folder of an embedded server."""
    with psycopg.connect(server.url) as connection:
        return Path(connection.execute("SHOW data_directory").fetchone()[0]).parent


def test_a_server_answers_at_its_url_with_the_version_it_reports(server):
    """The server at the URL is the one that the record describes."""
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW server_version").fetchone()[0].split()[0] == server.version


def test_a_server_says_which_kind_it_is_and_why(server):
    """The reason names kind and version."""
    assert server.why == f"embedded PostgreSQL {server.version}: asked for by name"


def test_an_embedded_server_says_where_its_own_programs_are(server):
    """They run on this machine, by this user."""
    assert servers.program("pg_ctl", beside=server.binaries) == server.binaries / "pg_ctl"


def test_durability_is_on_unless_asked_otherwise(server):
    """A default server is as durable as PostgreSQL's defaults are."""
    durability = {name: server.settings[name] for name in ("fsync", "full_page_writes", "synchronous_commit")}
    assert durability == {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


def test_settings_that_were_asked_for_are_read_back_from_the_server():
    """The record shows what the server does, not what it was told."""
    asked = {"deadlock_timeout": "0.2s", "max_connections": 17, "fsync": "off", "lab.note": "seven"}
    with servers.open("embedded", settings=asked) as server:
        assert {name: server.settings[name] for name in asked} == {
            "deadlock_timeout": "200ms",
            "max_connections": "17",
            "fsync": "off",
            "lab.note": "seven",
        }


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_connections": "lots"}, 'invalid value for parameter "max_connections": "lots"'),
        ({"no_such_setting": 1}, 'unrecognized configuration parameter "no_such_setting"'),
        ({"max_connections": 1}, "superuser_reserved_connections"),
    ],
)
def test_refused_settings_are_told_in_the_words_of_the_server_and_leave_nothing(
    settings, reason, own_folder, monkeypatch
):
    """A value, a name and a combination that PostgreSQL does not take each give its own reason."""
    monkeypatch.setenv("TMPDIR", str(own_folder))
    with (
        pytest.raises(ServerError, match="PostgreSQL refused the settings") as refused,
        servers.open("embedded", settings=settings),
    ):
        pass
    assert reason in str(refused.value)
    assert not list(own_folder.iterdir())


def test_four_servers_run_side_by_side():
    """Servers that are started at the same time share neither port nor data."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        opened = [servers.open("embedded") for _ in range(4)]
        urls = [server.url for server in threads.map(stack.enter_context, opened)]
        identities = set()
        for url in urls:
            connection = stack.enter_context(psycopg.connect(url))
            identities.add(connection.execute("SHOW data_directory").fetchone()[0])
        assert len(identities) == 4


def test_a_port_that_somebody_takes_first_is_replaced_by_another(monkeypatch, server):
    """Losing the race for a port costs another attempt, not the server."""
    ports = iter([urlsplit(server.url).port, embedded._free_port()])
    monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
    with servers.open("embedded") as another, psycopg.connect(another.url):
        assert urlsplit(another.url).port != urlsplit(server.url).port


def test_a_wrong_password_is_refused_over_tcp(server):
    """The port is open to every user of the machine; the server is not."""
    right = urlsplit(server.url)
    wrong = right._replace(netloc=right.netloc.replace(right.password, "guessed")).geturl()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_password_is_neither_in_the_record_nor_among_arguments_nor_in_the_log():
    """What is printed, listed by ps or logged does not let anybody in."""
    with servers.open("embedded", settings={"log_statement": "all"}) as server:
        with servers.scratch_database(server.url):
            arguments = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True)
        password = urlsplit(server.url).password
        assert "ALTER ROLE" in server.log()
        assert password not in repr(server) + server.address + server.log() + arguments.stdout


def test_the_folder_is_closed_to_other_users(server):
    """Through the socket nobody is asked for a password, so nobody else may reach it."""
    status = folder_of(server).stat()
    assert status.st_mode & 0o777 == 0o700
    assert status.st_uid == _installation.account().uid


def test_a_normal_end_leaves_neither_process_nor_folder_and_the_log_can_still_be_read(is_running):
    """The end of the block is the end of the server; what it said is kept."""
    with servers.open("embedded") as server:
        folder = folder_of(server)
        pids = _reaper.processes_of(folder)
        assert len(pids) > 3
    assert not folder.exists()
    assert not any(map(is_running, pids))
    assert "database system is shut down" in server.log()


def test_an_error_in_the_block_ends_the_server_too():
    """The body's error passes through, and leaves nothing."""
    with contextlib.suppress(ZeroDivisionError), servers.open("embedded") as server:
        folder = folder_of(server)
        _ = 1 / 0
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_leaves_no_server(number, child, eventually, is_running):
    """After kill -9, kill and Ctrl-C alike: no postgres, no folder, no watcher."""
    with child(OPENS_A_SERVER) as (process, opened):
        folder = Path(opened["folder"])
        pids = [*_reaper.processes_of(folder), opened["watcher"]]
        assert all(map(is_running, pids))
        process.send_signal(number)

        def left():
            rows = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, *pids) if is_running(pid)]
            return [*rows, *folder.glob("*")]

        eventually(lambda: not folder.exists() and not any(map(is_running, pids)), found=left)


def test_a_frozen_server_is_removed_as_well(child, eventually, is_running):
    """A stopped process sees no signal but SIGKILL and SIGCONT."""
    with child(OPENS_A_SERVER) as (process, opened):
        folder = Path(opened["folder"])
        pids = _reaper.processes_of(folder)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        process.kill()
        eventually(lambda: not folder.exists() and not any(map(is_running, pids)))


@pytest.mark.parametrize("moment", ["OsUser.chown", "shutil.copytree", "Postmaster._launch", "Postmaster._is_ready"])
def test_a_process_that_is_killed_while_starting_a_server_leaves_nothing(moment, child, eventually, own_folder):
    """When there is a folder, before the data, before the process, and before the process is ready."""
    source = f"""
import json, os, shutil, signal
from ticketlab import servers
from ticketlab.servers._installation import OsUser
from ticketlab.servers.embedded import Postmaster

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

print(json.dumps("started"), flush=True)
{moment} = die
with servers.open("embedded"):
    pass
"""
    with child(source, TMPDIR=str(own_folder)) as (process, _):
        assert process.wait() == -signal.SIGKILL
        eventually(lambda: not list(own_folder.iterdir()))


def test_a_process_that_is_killed_during_initdb_leaves_nothing(child, eventually, own_folder):
    """The template is being made, in a process of its own that does not end with ours."""
    source = """
import json
from ticketlab import servers
from ticketlab.servers import _installation as paths, embedded

initdb = embedded._initdb
def announced(binaries, owner, data):
    print(json.dumps(str(data.parent)), flush=True)
    initdb(binaries, owner, data)
embedded._initdb = announced
paths.cache = lambda: None
with servers.open("embedded"):
    pass
"""
    with child(source, TMPDIR=str(own_folder)) as (process, making):
        eventually(lambda: _reaper.processes_of(Path(making)))
        process.kill()
        eventually(lambda: not list(own_folder.iterdir()) and not _reaper.processes_of(Path(making)))
