"""A server in a container is as it was asked to be, and its container goes with it, however its process ends."""

import contextlib
import signal

import psycopg
import pytest

from ticketlab import servers
from ticketlab.errors import ServerError
from ticketlab.servers import _cleanup, _reaper, container

pytestmark = [pytest.mark.slow, pytest.mark.container]

OPENS_A_CONTAINER = """
import json, os, sys
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup

with servers.open("container") as server:
    watcher = cleanup._watchers[os.getpid()]
    print(json.dumps({"name": watcher._watched[0]["name"], "watcher": watcher._process.pid}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True, scope="module")
def engine():
    """Without an engine there is nothing to test, and the reason is reported."""
    if hindrance := container.unavailable_reason():
        pytest.skip(hindrance)


@pytest.fixture(scope="module")
def containers():
    """The names of the containers that the engine has now."""
    with contextlib.closing(_reaper.engine_client(container.engine(), timeout_s=30)) as client:
        yield lambda: [name for each in client.api.containers(all=True) for name in names_of(each)]


def names_of(listed):
    return [name.removeprefix("/") for name in listed["Names"]]


def test_a_container_answers_with_the_settings_it_was_asked_for():
    """Settings reach the server inside; those not asked for stay as durable as by default."""
    with servers.open("container", settings={"deadlock_timeout": "0.2s", "max_connections": 17}) as server:
        assert server.settings["deadlock_timeout"] == "200ms"
        assert server.settings["max_connections"] == "17"
        assert server.settings["fsync"] == "on"
        with servers.scratch_database(server.url) as url, psycopg.connect(url) as connection:
            assert connection.execute("SHOW server_version").fetchone()[0].split()[0] == server.version


def test_its_port_is_published_on_this_machine_only():
    """Nobody else on the network can reach a server that the lab started."""
    with servers.open("container"):
        with contextlib.closing(_reaper.engine_client(container.engine(), timeout_s=30)) as client:
            published = client.api.inspect_container(watched_container())["NetworkSettings"]["Ports"]
        assert {each["HostIp"] for ports in published.values() for each in ports or ()} == {"127.0.0.1"}


def test_every_version_at_hand_is_the_one_that_answers():
    """It is asked for by its number, whichever the usual image is."""
    for major in container.at_hand():
        with servers.open(f"container:{major}") as server:
            assert server.version.split(".")[0] == str(major)


def test_auto_takes_a_container_where_an_engine_answers_and_says_why(containers):
    """The reason names the image; the container is gone when the block ends, and its log is still there."""
    with servers.open() as server:
        name = watched_container()
        assert name in containers()
        assert server.why == (
            f"container PostgreSQL {server.version}: a container engine answered and has {container.image()}"
        )
    assert name not in containers()
    assert "database system is ready to accept connections" in server.log()


def watched_container():
    """The one that was made last: all tests may run on a container too."""
    (watcher,) = _cleanup._watchers.values()
    return [remains["name"] for remains in watcher._watched if remains["kind"] == "container"][-1]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_connections": "lots"}, 'invalid value for parameter "max_connections": "lots"'),
        ({"no_such_setting": 1}, 'unrecognized configuration parameter "no_such_setting"'),
    ],
)
def test_refused_settings_are_told_in_the_words_of_the_server(settings, reason):
    """The same error as from an embedded server, at once and not after a long wait."""
    with pytest.raises(ServerError, match="PostgreSQL refused the settings") as refused:
        servers.open("container", settings=settings).__enter__()
    assert reason in str(refused.value)


def test_an_image_that_can_not_be_had_is_named(monkeypatch):
    """Asked for by name there is no falling back; the error says what to do."""
    monkeypatch.setenv(container.IMAGE_VARIABLE, "localhost/ticketlab/no-such-image:0")
    with pytest.raises(ServerError, match=r"no-such-image.*TICKETLAB_POSTGRES_IMAGE"):
        servers.open("container").__enter__()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_leaves_no_container(number, child, eventually, is_running, containers):
    """After kill -9, kill and Ctrl-C alike: no container and no watcher."""
    with child(OPENS_A_CONTAINER) as (process, opened):
        assert opened["name"] in containers()
        process.send_signal(number)
        eventually(lambda: opened["name"] not in containers() and not is_running(opened["watcher"]))


def test_a_process_that_is_killed_between_naming_and_starting_a_container_leaves_none(
    child, eventually, is_running, containers
):
    """The watcher knows the name before the engine does."""
    source = """
import json, os, signal, sys
from ticketlab import servers
from ticketlab.servers import _cleanup as cleanup, container

start = container._start
def half(postgres):
    watcher = cleanup._watchers[os.getpid()]
    print(json.dumps({"name": watcher._watched[0]["name"], "watcher": watcher._process.pid}), flush=True)
    start(postgres)
    os.kill(os.getpid(), signal.SIGKILL)
container._start = half
with servers.open("container"):
    pass
"""
    with child(source) as (process, opened):
        assert process.wait() == -signal.SIGKILL
        eventually(lambda: opened["name"] not in containers() and not is_running(opened["watcher"]))
