"""A scratch database is its holder's alone, and gone afterwards; no other database is touched."""

import os
import signal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import servers
from ticketlab.errors import ServerError

HOLDS_A_DATABASE = """
import json, os, sys
import psycopg
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup

with servers.scratch_database(os.environ["SERVER_URL"], prefix="mortal") as url, psycopg.connect(url) as connection:
    connection.execute("CREATE TABLE held (id int)")
    print(json.dumps(cleanup._watchers[os.getpid()]._process.pid), flush=True)
    sys.stdin.read()
"""


def databases(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_a_scratch_database_is_new_and_then_gone(server):
    """Its name has the prefix; when the block ends the server has the databases it had before."""
    before = databases(server.url)
    with servers.scratch_database(server.url, prefix="spring sale") as url:
        (new,) = databases(server.url) - before
        assert new.startswith("spring sale_")
        assert conninfo_to_dict(url)["dbname"] == new
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (new,)
    assert databases(server.url) == before


def test_a_scratch_database_may_be_a_copy_of_another(server):
    """It has what the other has, and is its own; a template in which somebody stays is told of."""
    with servers.scratch_database(server.url) as original:
        with psycopg.connect(original) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS id")
        name = conninfo_to_dict(original)["dbname"]
        with servers.scratch_database(server.url, template=name) as url, psycopg.connect(url) as connection:
            assert connection.execute("DELETE FROM kept RETURNING id").fetchall() == [(7,)]
        with psycopg.connect(original) as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(7,)]
            with pytest.raises(ServerError, match="being accessed by other users"):
                servers.scratch_database(server.url, template=name).__enter__()


def test_a_scratch_database_is_dropped_from_under_its_sessions(server):
    """A connection that was left open does not keep the database."""
    before = databases(server.url)
    with servers.scratch_database(server.url) as url:
        forgotten = psycopg.connect(url)
    assert databases(server.url) == before
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT 1")
    forgotten.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_leaves_no_scratch_database(number, child, eventually, is_running, server):
    """Also on a server that lives on, the database goes, and the others stay."""
    with servers.scratch_database(server.url) as bystander:
        before = databases(server.url)
        with child(HOLDS_A_DATABASE, SERVER_URL=server.url) as (process, watcher):
            (mortal,) = databases(server.url) - before
            process.send_signal(number)
            eventually(lambda: mortal not in databases(server.url) and not is_running(watcher))
        assert databases(bystander) == before


def test_a_database_whose_creation_outlives_the_process_is_dropped_too(child, eventually, is_running, server):
    """CREATE DATABASE goes on when its client is killed; the watcher waits for it, and then drops."""
    source = """
import json, os, sys
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup, external

create = external._create
def announced(connection, name, *where):
    connection.execute("SET application_name = 'creator'")
    print(json.dumps([name, cleanup._watchers[os.getpid()]._process.pid]), flush=True)
    create(connection, name, *where)
external._create = announced
with servers.scratch_database(os.environ["SERVER_URL"]):
    pass
"""
    with psycopg.connect(server.url, autocommit=True) as blocker:
        # Held by us, this lock of template0 makes the creation wait until its client has been killed.
        blocker.execute("BEGIN")
        blocker.execute("COMMENT ON DATABASE template0 IS 'being looked at'")
        with child(source, SERVER_URL=server.url) as (process, (name, watcher)):
            eventually(lambda: waits(server.url, "creator"))
            os.kill(process.pid, signal.SIGKILL)
            eventually(lambda: waits(server.url, ""))
            blocker.execute("ROLLBACK")
            eventually(lambda: not is_running(watcher))
    assert name not in databases(server.url)


def waits(url, application):
    """Whether a session of that name waits for a lock."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'", [application]
        ).fetchone()


def test_a_prepared_transaction_does_not_keep_a_database_from_going():
    with servers.open("embedded", settings={"max_prepared_transactions": 4}) as server:
        before = databases(server.url)
        with servers.scratch_database(server.url) as url, psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE held (id int)")
            connection.commit()
            connection.tpc_begin("it's prepared")
            connection.execute("INSERT INTO held VALUES (1)")
            connection.tpc_prepare()
            connection.close()
        assert databases(server.url) == before
