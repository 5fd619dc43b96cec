"""An embedded server finds its binaries, its user and its cache, on whatever machine it is."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import ticketlab
from ticketlab import servers
from ticketlab.errors import ServerError
from ticketlab.servers import _installation

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_a_cold_cache_may_be_filled_by_several_at_once(own_folder, monkeypatch):
    """Two that make the template at the same time get a server each, and leave one template."""
    monkeypatch.setattr(_installation, "cache", lambda: own_folder)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        opened = [servers.open("embedded") for _ in range(2)]
        assert len(list(threads.map(stack.enter_context, opened))) == 2
    template, *others = own_folder.iterdir()
    assert template.name.startswith("template-")
    assert not others


def test_without_a_cache_a_server_comes_up_all_the_same(monkeypatch):
    """A home that can not be written costs time, not the server."""
    monkeypatch.setattr(_installation, "cache", lambda: None)
    with servers.open("embedded") as server, psycopg.connect(server.url):
        assert server.version


@as_root
def test_binaries_in_a_closed_home_are_copied_to_where_the_servers_user_can_reach_them(own_folder, monkeypatch):
    """A virtual environment under /root works, and its folders' modes stay as they are."""
    package = _installation.wheel_binaries().parent.parent
    closed = own_folder / "home"
    (closed / package.name).mkdir(parents=True)
    closed.chmod(0o700)
    for part in (f"{package.name}/pginstall", f"{package.name}.libs"):
        (closed / part).symlink_to(package.parent / part)
    monkeypatch.setattr(_installation, "wheel_binaries", lambda: closed / package.name / "pginstall" / "bin")
    monkeypatch.setattr(_installation, "cache", lambda: own_folder)
    with servers.open("embedded") as server, psycopg.connect(server.url):
        assert server.version
    assert any(entry.name.startswith("binaries-") for entry in own_folder.iterdir())
    assert closed.stat().st_mode & 0o777 == 0o700


def test_without_the_wheel_a_local_installation_serves(monkeypatch):
    """Any PostgreSQL on this machine will do."""
    owner = _installation.account()
    if not any(_installation.installed(binaries, owner) for binaries in _installation.local_binaries()):
        pytest.skip("there is no local installation of PostgreSQL")
    monkeypatch.setattr(_installation, "wheel_binaries", lambda: None)
    with servers.open("embedded") as server, psycopg.connect(server.url) as connection:
        assert connection.info.server_version // 10000 == int(server.version.split(".")[0])


def test_without_any_postgresql_the_error_says_what_was_tried(monkeypatch):
    """All ways are named, so that the reader need not guess which one to repair."""
    monkeypatch.setattr(_installation, "wheel_binaries", lambda: None)
    monkeypatch.setattr(_installation, "local_binaries", lambda: iter(()))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(ServerError, match=r"no container engine answered.*wheel.*local installations"), servers.open():
        pass


def test_where_no_engine_answers_auto_takes_embedded_and_says_why(monkeypatch):
    """The reason stands in the record, in one line."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with servers.open() as server:
        assert server.why == f"embedded PostgreSQL {server.version}: no container engine answered within 2 s"


def test_every_version_at_hand_is_the_one_that_answers():
    """It is asked for by its number, whichever the first choice is."""
    for place in servers.available():
        kind, _, major = place.partition(":")
        if kind == "embedded":
            with servers.open(place) as server, psycopg.connect(server.url) as connection:
                assert connection.info.server_version // 10000 == int(major)


@as_root
def test_a_normal_user_needs_no_rights(own_folder):
    """Started by a user without rights, the server runs as that user, and is gone afterwards."""
    nobody = pwd.getpwnam("nobody")
    home = own_folder / "home"
    home.mkdir()
    own_folder.chmod(0o711)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    libraries = os.pathsep.join([str(Path(ticketlab.__file__).parents[1]), sysconfig.get_path("purelib")])
    ours = {
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
        "cwd": "/",
        "env": {
            "HOME": str(home),
            "TMPDIR": str(home),
            "PATH": os.defpath,
            "PYTHONPATH": libraries,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        "capture_output": True,
        "text": True,
    }
    source = (
        "from ticketlab import servers\n"
        "with servers.open('embedded') as server, servers.scratch_database(server.url):\n"
        "    print(server.version)\n"
    )
    python = python_of_everybody(ours)
    if python is None:
        pytest.skip("user nobody can reach no Python of this version together with the project's packages")
    answer = subprocess.run([python, "-W", "error", "-c", source], check=False, **ours)
    assert answer.returncode == 0, answer.stderr
    assert [path.relative_to(home).parts[:2] for path in home.iterdir()] == [(".cache",)]


def python_of_everybody(ours):
    """A Python that the other user can run with our packages; the one in use may lie in a closed home."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    for python in filter(None, [sys.executable, system]):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", "import psycopg, ticketlab"], check=False, **ours).returncode == 0:
                return python
    return None
