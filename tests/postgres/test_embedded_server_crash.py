"""An embedded server that was crashed has lost what it had not written and nothing else, and comes back as it was."""

import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ticketlab import servers
from ticketlab.errors import ServerError
from ticketlab.servers import _reaper, embedded

RESTARTS_A_SERVER = """
import json, os, sys
import psycopg
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup

with servers.open("embedded") as server:
    with psycopg.connect(server.url) as connection:
        data = connection.execute("SHOW data_directory").fetchone()[0]
    server.crash()
    {then}
    watcher = cleanup._watchers[os.getpid()]._process.pid
    print(json.dumps({{"folder": os.path.dirname(data), "watcher": watcher}}), flush=True)
    sys.stdin.read()
"""
NOBODYS_KEY = 1
"""PostgreSQL takes the number of its data folder's inode, which is a large one."""


def folder_of(server):
    """The private folder of an embedded server."""
    with psycopg.connect(server.url) as connection:
        return Path(connection.execute("SHOW data_directory").fetchone()[0]).parent


def memory_of(folder):
    """The id of the shared memory segment of the server in this folder."""
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[_reaper.MEMORY_LINE].split()[1])


def segments():
    """The ids of all shared memory segments there are."""
    return {int(line.split()[1]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


@pytest.fixture
def own_server():
    """A server that may be crashed: that of the session is everybody's."""
    with servers.open("embedded") as server:
        yield server


def test_what_was_committed_is_there_after_a_crash_and_what_was_not_is_not(own_server):
    """At the same URL, and with the settings and the password of before."""
    with psycopg.connect(own_server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    with psycopg.connect(own_server.url) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
        own_server.crash()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("COMMIT")
    own_server.restart()
    with psycopg.connect(own_server.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]


def test_a_commit_that_did_not_wait_for_the_disk_may_be_lost():
    """With synchronous_commit off PostgreSQL says so itself; a crash shows that it is a crash."""
    with servers.open("embedded", settings={"synchronous_commit": "off", "wal_writer_delay": "10s"}) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("CHECKPOINT")
            connection.execute("INSERT INTO kept VALUES (1)")
            server.crash()
        server.restart()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == []


def test_a_crash_leaves_no_process_and_takes_no_shutdown(own_server, is_running):
    """All are gone when it returns, the sessions' too, and the log has no word of an end."""
    folder = folder_of(own_server)
    with psycopg.connect(own_server.url) as connection:
        pids = _reaper.processes_of(folder)
        assert connection.info.backend_pid in pids
        own_server.crash()
    assert not any(map(is_running, pids))
    assert _reaper.processes_of(folder) == []
    assert "database system is ready" in own_server.log()
    assert "shutting down" not in own_server.log()


def test_crash_and_restart_can_be_called_again(own_server):
    """What is down stays down and what is up stays up: the second call changes nothing."""
    folder = folder_of(own_server)
    own_server.crash()
    own_server.crash()
    own_server.restart()
    pids = set(_reaper.processes_of(folder))
    own_server.restart()
    with psycopg.connect(own_server.url) as connection:
        began = "SELECT count(*) FROM pg_stat_activity WHERE backend_start < pg_postmaster_start_time()"
        assert connection.execute(began).fetchone() == (0,)
    assert min(pids) in _reaper.processes_of(folder)


def test_a_server_can_be_crashed_many_times_and_its_log_tells_of_each(own_server):
    """Each restart recovers, and what the log said before is kept."""
    for _ in range(3):
        own_server.crash()
        own_server.restart()
    assert own_server.log().count("database system was not properly shut down") == 3
    assert own_server.log().count("database system is ready to accept connections") == 4


def test_a_port_that_is_still_taken_is_waited_for(own_server, monkeypatch):
    """The URL is fixed: there is no other port to go to."""
    port = urlsplit(own_server.url).port
    waited = []
    own_server.crash()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((embedded.HOST, port))
        taken.listen()

        def until_free(seconds):
            if seconds == embedded.RESTART_POLL_S:
                waited.append(seconds)
                taken.close()

        monkeypatch.setattr(embedded.time, "sleep", until_free)
        own_server.restart()
        monkeypatch.undo()
    assert len(waited) == 1
    with psycopg.connect(own_server.url):
        pass


def test_a_server_that_can_not_recover_is_told_with_its_reason(own_server):
    """The line of the log that says why; the end of the block is an end all the same."""
    data = folder_of(own_server) / "data"
    own_server.crash()
    (data / "global" / "pg_control").write_bytes(b"spoilt")
    with pytest.raises(ServerError, match=r"has crashed, and did not start again: .*pg_control"):
        own_server.restart()


def test_a_killed_server_leaves_no_shared_memory():
    """Nobody but who removes its folder could free it, whether it was started again or not."""
    for restart in (False, True):
        with servers.open("embedded") as server:
            segment = memory_of(folder_of(server))
            assert segment in segments()
            assert list((folder_of(server) / "data" / "pg_dynshmem").iterdir()) != []  # nor in /dev/shm
            server.crash()
            if restart:
                server.restart()
                segment = memory_of(folder_of(server))
            assert segment in segments()
        assert segment not in segments()


@pytest.mark.parametrize("then", ["pass", "server.restart()"])
def test_a_process_that_is_killed_after_a_crash_leaves_nothing(then, child, eventually, is_running):
    """Before the restart and after it: no postgres, no folder, no watcher, no shared memory."""
    with child(RESTARTS_A_SERVER.format(then=then)) as (process, opened):
        folder = Path(opened["folder"])
        pids, segment = _reaper.processes_of(folder), memory_of(folder)
        assert bool(pids) == (then != "pass")
        assert all(map(is_running, [*pids, opened["watcher"]]))
        process.send_signal(signal.SIGKILL)
        eventually(lambda: not folder.exists() and not any(map(is_running, [*pids, opened["watcher"]])))
        assert segment not in segments()


@pytest.mark.parametrize("moment", ["Postmaster._launch", "Postmaster._is_ready"])
def test_a_process_that_is_killed_while_restarting_a_server_leaves_nothing(moment, child, eventually, own_folder):
    """Before there is a process, and before it is ready."""
    source = f"""
import json, os, signal
from ticketlab import servers
from ticketlab.servers.embedded import Postmaster

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

print(json.dumps("started"), flush=True)
with servers.open("embedded") as server:
    server.crash()
    {moment} = die
    server.restart()
"""
    with child(source, TMPDIR=str(own_folder)) as (process, _):
        assert process.wait() == -signal.SIGKILL
        eventually(lambda: not list(own_folder.iterdir()))


def test_a_lock_file_that_names_no_segment_or_somebody_elses_frees_nothing(tmp_path):
    """A key that does not lead to the segment says that its number was given away since."""
    (tmp_path / "postmaster.pid").write_text("\n".join(["1"] * _reaper.MEMORY_LINE))
    _reaper._free_memory(tmp_path)
    with servers.open("embedded") as server:
        segment = memory_of(folder_of(server))
        (tmp_path / "postmaster.pid").write_text("1\n" * _reaper.MEMORY_LINE + f"{NOBODYS_KEY} {segment}\n")
        _reaper._free_memory(tmp_path)
        assert segment in segments()
