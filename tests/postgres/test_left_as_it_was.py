"""Whatever the lab does on a server that it was given, what lay there is left as it was, and the password stays secret.

What lay there is compared as pg_dump and pg_dumpall tell it, byte for byte.
"""

import os
import subprocess
from urllib.parse import urlsplit

import command_line
import psycopg
import pytest

from ticketlab import report_writer, servers
from ticketlab.report import Format
from ticketlab.servers import _installation

SECRET = "hunter2-is-secret"
ESTATE = f"""
    CREATE ROLE tenant LOGIN CREATEDB PASSWORD '{SECRET}';
    CREATE DATABASE estate OWNER tenant;
    COMMENT ON DATABASE estate IS 'somebody''s';
    ALTER DATABASE estate SET work_mem = '8MB';
"""
FURNITURE = """
    CREATE TABLE events (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8, 2) CHECK (price >= 0));
    CREATE TABLE tickets (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, event_id int REFERENCES events, bytes bytea);
    INSERT INTO events (name, price) SELECT 'concert ' || each, each FROM generate_series(1, 500) AS each;
    INSERT INTO tickets (event_id, bytes) SELECT id, sha256(name::bytea) FROM events;
    CREATE VIEW cheap AS SELECT * FROM events WHERE price < 10;
    CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql RETURN gen_random_uuid();
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('of another project');
    SELECT lo_from_bytea(0, 'a large object'), nextval('events_id_seq');
"""
LIST = "SELECT datname, datdba::regrole::text, datacl::text FROM pg_database ORDER BY 1"


@pytest.fixture(scope="module")
def estate(server):
    """The URL of a database that is somebody's, on a server where he may make others."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for statement in ESTATE.strip().removesuffix(";").split(";\n"):
            connection.execute(statement)
        url = f"postgresql://tenant:{SECRET}@{urlsplit(server.url).netloc.rpartition('@')[2]}/estate"
        with psycopg.connect(url) as furnished:
            furnished.execute(FURNITURE)
        yield url
        connection.execute("DROP DATABASE estate")
        connection.execute("DROP ROLE tenant")


@pytest.fixture(scope="module")
def lies_there(server, estate):
    """All that lies on the server, as text."""

    def dumped(name, *options):
        beside = servers.program(name, beside=server.binaries) if server.binaries else None
        program = beside or servers.program(name, beside=_installation.wheel_binaries())
        done = subprocess.run([program, *options], capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()  # two of them bear a key that is drawn anew each time
        return [each for each in lines if not each.startswith(("\\restrict ", "\\unrestrict "))]

    def look():
        with psycopg.connect(server.url) as connection:
            databases = connection.execute(LIST).fetchall()
        return (
            dumped("pg_dump", "--create", estate),
            dumped("pg_dumpall", "--globals-only", "-d", server.url),
            databases,
        )

    return look


def told_anywhere(done, folder):
    """What was printed, and everything that was written."""
    files = [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]
    return "\n".join([done.stdout, done.stderr, *files])


@pytest.mark.parametrize(
    "words",
    [
        [
            "run",
            "-s",
            "naive",
            "-s",
            "server_function",
            "--purchases",
            "60",
            "--repeats",
            "1",
            "--fault",
            "disconnect@20",
        ],
        pytest.param(
            ["power", "-m", "pessimistic_unlocked", "--repeats", "1", "--trials", "1", "--purchases", "200"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["bench", "hot-event", "-s", "atomic", "--buyers", "2", "--repeats", "1", "--seconds", "0.2"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda words: words[0],
)
def test_what_lies_on_an_external_server_is_left_byte_for_byte_as_it_was(
    tmp_path, estate, lies_there, monkeypatch, words
):
    """Tables of the same names, a large object, roles, the list of databases; and nobody is told the password.

    The report, which is looked through as well, is one that takes no kernel.
    """
    for name in [each for each in os.environ if each.startswith("DB_")]:
        monkeypatch.delenv(name)
    write = report_writer.write
    monkeypatch.setattr(report_writer, "write", lambda runs, **_: write(runs, form=Format.JSON))
    before = lies_there()
    done = command_line.call(*words, "--server", "external", "--url", estate, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "external PostgreSQL" in done.stdout
    assert lies_there() == before
    assert SECRET not in told_anywhere(done, tmp_path)


def test_what_is_compared_sees_a_change(estate, lies_there):
    """A row more, and a sequence that has moved on, are not the same."""
    before = lies_there()
    with psycopg.connect(estate) as connection:
        connection.execute("SELECT nextval('events_id_seq')")
    assert lies_there() != before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["bench", "hot-event", "-s", "naive", "--buyers", "1", "--seconds", "0.1", "--repeats", "1", "--json"], 0),
        (["run", "--set", "fsync=off"], 2),
        (["run", "--fault", "crash@5"], 2),
        (["run", "-s", "magic"], 2),
        (["power", "--list", "--json"], 0),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_the_password_of_the_environment_is_told_nowhere(tmp_path, estate, words, code):
    """Given by DB_PASSWORD as by the URL: in no output and no error, and in no file."""
    place = urlsplit(estate)
    done = command_line.call(
        *words, "--server", "external", cwd=tmp_path, DB_HOST=place.hostname, DB_PORT=str(place.port),
        DB_USERNAME="tenant", DB_PASSWORD=SECRET, DB_NAME="estate",
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert SECRET not in told_anywhere(done, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/estate", "/nowhere"), "nowhere"),
        (("tenant:", "nobody:"), "password"),
        (("@127.0.0.1:", "@127.0.0.1:1"), "port"),
        (("postgresql:", "mysql:"), "postgresql://"),
        (("/estate", "/estate?sslmode=maybe"), "sslmode"),
    ],
    ids=["database", "role", "port", "scheme", "option"],
)
def test_an_error_does_not_tell_it_either(tmp_path, estate, change, said):
    """Whatever is wrong with the URL, exit code 2 and a sentence without the password."""
    done = command_line.call("run", "--url", estate.replace(*change), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert SECRET not in told_anywhere(done, tmp_path)


def test_a_run_that_can_not_be_saved_leaves_nothing_and_tells_nothing(tmp_path, estate, lies_there):
    """A file lies where run folders are to be made."""
    before = lies_there()
    out = tmp_path / "a-file"
    out.write_text("in the way")
    done = command_line.call("run", "--url", estate, "--purchases", "10", "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    assert SECRET not in told_anywhere(done, tmp_path)
    assert lies_there() == before
