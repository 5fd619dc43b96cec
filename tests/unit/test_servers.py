"""What can be said of servers without starting one: what may be asked for, what is told, what is found."""

import ast
import os
import sys
import time
from pathlib import Path

import pytest

from ticketlab import servers
from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.servers import _installation, _reaper
from ticketlab.servers.external import LONGEST_PREFIX, with_database
from ticketlab.servers.server import Server, address_of, arguments_of, checked_settings, refusal

SECRET = "postgresql://seller:s%3Acret@db.example:5433/shop?sslmode=require"


def test_an_unknown_kind_is_told_which_kinds_there_are():
    """The error comes at the call, before any block is entered."""
    with pytest.raises(InvalidInputError, match="'cloud'; there are auto, container, embedded, external"):
        servers.open("cloud")


@pytest.mark.parametrize("kind", ["auto", "container", "embedded"])
def test_a_url_is_refused_for_a_server_that_the_lab_starts(kind):
    """A URL that would be ignored is a mistake."""
    with pytest.raises(InvalidInputError, match="for the kind external"):
        servers.open(kind, url=SECRET)


def test_an_external_server_needs_a_url():
    """The error shows the form of one."""
    with pytest.raises(InvalidInputError, match="postgresql://user:password@host:port/database"):
        servers.open("external")


def test_an_external_server_takes_no_settings():
    """The lab does not reconfigure what it was given."""
    with pytest.raises(InvalidInputError, match="does not reconfigure"):
        servers.open("external", url=SECRET, settings={"fsync": "off"})


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@[h/x", "postgresql+psycopg://u:s3cret@h/x", "mysql://u:s3cret@h/x", "s3cret"]
)
def test_a_url_that_can_not_be_read_is_refused_without_repeating_it(url):
    """It may hold a password."""
    with pytest.raises(InvalidInputError) as refused:
        servers.open("external", url=url)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("kind", ["container", "external"])
def test_only_an_embedded_server_can_be_crashed(kind):
    """Of any other the error says what to ask for."""
    record = Server(kind=kind, url=SECRET, version="18.6", settings={}, log=str, why="it was given")
    assert not record.can_crash
    for call in (record.crash, record.restart):
        with pytest.raises(InvalidInputError, match=rf"Only a server of kind embedded .* {kind}: .*--server embedded"):
            call()


def test_the_address_of_a_server_is_its_url_without_the_password():
    """What is printed lets nobody in."""
    assert address_of(SECRET) == "postgresql://seller@db.example:5433/shop"


def test_the_record_of_a_server_does_not_show_its_url():
    """Records get printed, in tests and notebooks above all."""
    record = Server(kind="external", url=SECRET, version="18.6", settings={}, log=str, why="it was given")
    assert "cret" not in repr(record)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        (SECRET, "postgresql://seller:s%3Acret@db.example:5433/new%20one?sslmode=require"),
        ("postgresql://h", "postgresql://h/new%20one"),
        ("postgresql://h/a?dbname=b", "postgresql://h/new%20one"),
        ("postgres:///a?host=/run&dbname=b&port=1", "postgres:///new%20one?host=/run&port=1"),
    ],
)
def test_a_url_with_another_database_is_otherwise_the_same(url, other):
    """Neither password nor options are decoded and written anew."""
    assert with_database(url, "new one") == other


@pytest.mark.parametrize("prefix", ["", "p" * (LONGEST_PREFIX + 1)])
def test_a_prefix_that_postgresql_would_cut_is_refused(prefix):
    """A name that was cut would be another name."""
    with pytest.raises(InvalidInputError, match="prefix"):
        servers.scratch_database(SECRET, prefix=prefix).__enter__()


def test_settings_are_passed_as_postgresql_spells_them():
    """Names as on the command line of postgres, numbers as text."""
    checked = checked_settings({"Deadlock-Timeout": "1s", "max_connections": 7})
    assert arguments_of(checked) == ["-c", "deadlock_timeout=1s", "-c", "max_connections=7"]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "-c a", "1a", "a.b.c"])
def test_a_name_that_no_setting_has_is_refused(name):
    """Nothing can be smuggled in through a name."""
    with pytest.raises(InvalidInputError, match="cannot be a setting"):
        servers.open("embedded", settings={name: "1"})


@pytest.mark.parametrize("name", ["port", "listen_addresses", "LISTEN-ADDRESSES", "data_directory"])
def test_a_setting_that_the_lab_needs_is_refused(name):
    """However it is spelled."""
    with pytest.raises(InvalidInputError, match="chooses"):
        servers.open("embedded", settings={name: "1"})


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            '2026-01-01 UTC [1] LOG:  starting\n2026-01-01 UTC [1] FATAL:  bad "x"\n2026-01-01 UTC [1] HINT:  Use y.\n',
            'bad "x"; Use y.',
        ),
        ("FATAL:  first\nLOG:  shut down\nFATAL:  second\n", "first."),
        ("postgres: a must be less than b\n", "a must be less than b."),
        ("", "its log is empty."),
    ],
)
def test_the_reason_for_an_early_end_is_the_line_that_says_it(log, reason):
    """The first fatal line with its hint, else the last line."""
    assert str(refusal(log, {})) == f"PostgreSQL ended while it was starting: {reason}"


def test_a_refusal_shows_what_was_asked_for():
    """Whoever reads it may not have written the settings."""
    assert str(refusal("FATAL:  no\n", {"a": "1"})) == "PostgreSQL refused the settings: no. Requested: a=1."


def test_a_local_installation_is_looked_for_from_the_newest_on():
    """By number and not by letter: 9.6 is older than 10."""
    folders_found = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9.6", "18", "10")]
    newest_first = sorted(folders_found, key=_installation._release, reverse=True)
    assert [folder.parent.name for folder in newest_first] == ["18", "10", "9.6"]


def test_a_folder_is_closed_to_another_user_if_any_folder_above_it_is(tmp_path):
    """Rights are looked at all the way up."""
    other = _installation.OsUser(name="other", uid=os.geteuid() + 4242, gid=os.getegid() + 4242)
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert not other.can_enter(inner)
    assert _installation.OsUser(name="own", uid=os.geteuid(), gid=os.getegid()).can_enter(inner)


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    """Nothing is made in whatever folder happens to be the current one."""
    monkeypatch.setattr(_installation, "cache_location", lambda: Path("~/.cache/ticketlab"))
    assert _installation.cache() is None


def test_a_folder_whose_path_is_too_long_for_a_socket_is_passed_over(tmp_path, monkeypatch):
    """The data go elsewhere, rather than the server failing to listen."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    assert _installation.temporary(_installation.account()) != deep


def test_without_any_folder_for_data_the_error_says_what_was_tried(monkeypatch):
    """And that TMPDIR is how to name one."""
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(_installation, "ON_DISK", "/nowhere/else")
    monkeypatch.setattr(_installation.tempfile, "gettempdir", lambda: "/nowhere/at/all")
    with pytest.raises(ServerError, match=r"/nowhere, /nowhere/else, /nowhere/at/all.*Set TMPDIR"):
        _installation.temporary(_installation.account())


def test_the_survey_answers_soon_and_for_everything(monkeypatch):
    """Where nothing is found, each finding says what was missing."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr(_installation, "wheel_binaries", lambda: None)
    monkeypatch.setattr(_installation, "local_binaries", lambda: iter(()))
    monkeypatch.setattr(_installation, "cache_location", lambda: Path("/nowhere/cache"))
    began = time.monotonic()
    findings = servers.diagnose()
    assert time.monotonic() - began < 3
    assert {finding.name: finding.found for finding in findings} == {
        "container engine": False,
        "container image": False,
        "embedded binaries": False,
        "local installation": False,
        "cache folder": False,
    }
    assert all(finding.detail for finding in findings)


def test_a_probe_that_fails_is_a_finding_and_not_a_failure():
    """The doctor is asked when something is wrong."""
    finding = servers._look("anything", lambda: 1 / 0)
    assert finding == servers.Probe(name="anything", found=False, detail="division by zero")


def test_the_watcher_imports_nothing_but_the_standard_library_when_it_starts():
    """It is started for every server, and where no package can be found."""
    tree = ast.parse(Path(_reaper.__file__).read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def executable(folder, *, exit_code=0):
    """A program `pgbench` in a folder of that name's parent."""
    folder.mkdir()
    path = folder / "pgbench"
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_a_servers_own_program_is_taken_and_no_other(tmp_path):
    """Beside the server's binaries, or not at all: another version's would measure something else."""
    own = executable(tmp_path / "own")
    assert servers.program("pgbench", beside=own.parent) == own
    assert servers.program("pgbench", beside=tmp_path) is None


def test_a_program_is_looked_for_in_local_installations_before_the_wheel(tmp_path, monkeypatch):
    """One that does not run is passed over; where none runs there is none."""
    broken, works = executable(tmp_path / "broken", exit_code=1), executable(tmp_path / "works")
    wheel = executable(tmp_path / "wheel")
    monkeypatch.setattr(_installation, "wheel_binaries", lambda: wheel.parent)
    monkeypatch.setattr(_installation, "local_binaries", lambda: iter([broken.parent, works.parent]))
    assert servers.program("pgbench") == works
    works.unlink()
    assert servers.program("pgbench") == wheel
    wheel.unlink()
    assert servers.program("pgbench") is None
