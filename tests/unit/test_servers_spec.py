"""A server is asked for by its kind and version, and who asks wrongly is told which there are."""

from pathlib import Path

import pytest

from ticketlab import servers
from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.faults.schedule import Fault
from ticketlab.runs.experiment import Experiment
from ticketlab.servers import ServerSpec, _installation, container
from ticketlab.servers._installation import Installation


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with these versions, the wheel's first, and these images; yields the user that runs servers."""

    def make(*versions, images=()):
        there = {
            Path(f"/pg/{each}/bin"): Installation(binaries=Path(f"/pg/{each}/bin"), version=each) for each in versions
        }
        first, *others = there or [None]
        monkeypatch.setattr(_installation, "wheel_binaries", lambda: first)
        monkeypatch.setattr(_installation, "local_binaries", lambda: iter(others))
        monkeypatch.setattr(_installation, "installed", lambda binaries, _owner: there.get(binaries))
        monkeypatch.setattr(container, "at_hand", lambda: list(images))
        return _installation.account(), tmp_path

    return make


@pytest.mark.parametrize(
    ("text", "kind", "major"),
    [
        ("embedded", "embedded", None),
        ("embedded:15", "embedded", 15),
        ("container:9", "container", 9),
        ("auto:18", "auto", 18),
    ],
)
def test_a_server_is_a_kind_and_perhaps_a_version(text, kind, major):
    """Written with a colon between them."""
    assert ServerSpec.parse(text) == ServerSpec(kind=kind, major=major)


@pytest.mark.parametrize(
    "text", ["embedded:", "embedded:15.4", "container:latest", "auto:-1", "embedded:\N{SUPERSCRIPT TWO}"]
)
def test_a_version_that_can_not_be_read_is_told_which_servers_are_here(machine, text):
    """The error shows how a version is written, too."""
    machine("18.6", "15.14", images=(16,))
    with pytest.raises(InvalidInputError, match=r":18, and not .*Available: embedded:15, embedded:18, container:16\."):
        servers.open(text)


def test_an_external_server_takes_no_version():
    """It is of the one that it is."""
    with pytest.raises(InvalidInputError, match="name it external"):
        servers.open("external:15", url="postgresql://u@h/x")


def test_the_wheel_comes_first_and_of_a_version_the_first_that_is_of_it(machine):
    """With no version asked for it is as it always was."""
    owner, cache = machine("18.6", "17.2", "15.14", "15.9")
    assert _installation.find(owner, cache).version == "18.6"
    assert _installation.find(owner, cache, major=15).version == "15.14"


def test_a_version_that_is_missing_is_told_which_there_are(machine):
    """And how it can be had."""
    owner, cache = machine("18.6", "15.14 (Debian 15.14-0)")
    with pytest.raises(
        ServerError, match=r"PostgreSQL 16 is not installed.*no engine.*: 18 in /pg/18.6/bin, 15 in .*ql-16"
    ):
        _installation.find(owner, cache, major=16, tried=["no engine"])


def test_without_any_installation_a_version_is_missing_as_all_are(machine):
    """The error is the one that says what was tried."""
    owner, cache = machine()
    with pytest.raises(ServerError, match="No PostgreSQL found"):
        _installation.find(owner, cache, major=16)


def test_what_is_at_hand_is_each_version_once_the_oldest_first(machine):
    """As it can be asked for."""
    machine("18.6", "9.6.24", "15.14", "15.9", "19beta1", images=(14, 18))
    assert servers.available() == [
        "embedded:9",
        "embedded:15",
        "embedded:18",
        "embedded:19",
        "container:14",
        "container:18",
    ]


def test_where_no_engine_answers_no_container_is_at_hand(monkeypatch):
    """That is no error: it is only asked what there is."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert container.at_hand() == []


def test_an_engine_has_the_versions_of_those_images_that_bear_the_plain_name(monkeypatch):
    """Of other repositories and of variants no container would be started."""
    monkeypatch.setattr(container, "engine_client", lambda _engine, **_options: Engine())
    assert container.at_hand() == [9, 15]


class Engine:
    """An engine with some images."""

    TAGS = (
        "postgres:15",
        "docker.io/library/postgres:9",
        "elsewhere/postgres:17",
        "postgres:16-alpine",
        "mypostgres:14",
    )

    def __init__(self):
        self.api = self.images = self  # both of its faces: one is asked for a list, one for an image

    def __call__(self):
        return [{"RepoTags": list(self.TAGS)}, {"RepoTags": None}]

    def get(self, name):
        import docker

        if name not in {"postgres:15", "postgres:9"}:
            raise docker.errors.ImageNotFound(name)

    def close(self):
        """Nothing is held."""


@pytest.mark.parametrize("usual", [None, "somewhere/else:1"])
def test_a_version_names_an_image_whatever_the_usual_one_is(monkeypatch, usual):
    """Which an environment variable may name."""
    monkeypatch.setenv(container.IMAGE_VARIABLE, usual or "")
    assert container.image(16) == "postgres:16"
    assert container.image() == (usual or "postgres:18")


def test_the_command_that_repeats_a_run_asks_for_the_same_version():
    """Another version might lock in another way."""
    assert "--server embedded:15" in Experiment(server="embedded:15").command()


def test_of_whatever_version_only_an_embedded_server_can_be_crashed():
    """A version makes no other kind of it."""
    crash = (Fault.parse("crash@5"),)
    assert Experiment(server="embedded:15", faults=crash).crashes
    with pytest.raises(InvalidInputError, match="--server embedded"):
        Experiment(server="container:15", faults=crash)


def test_a_container_that_can_not_be_had_is_told_which_servers_are_here(machine, monkeypatch):
    """An image is asked for by its version, so no variable that names another one is spoken of."""
    machine("18.6", images=(15,))
    monkeypatch.setattr(container, "unavailable_reason", lambda *_version, **_patience: "no image")
    with pytest.raises(ServerError, match=r"no image.*available server: embedded:18, container:15\.") as refused:
        servers.open("container:16").__enter__()
    assert container.IMAGE_VARIABLE not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "url", "meant"),
    [
        ("auto", None, ("auto", None)),
        ("auto", "postgresql://there/lab", ("external", "postgresql://there/lab")),
        ("external", "postgresql://there/lab", ("external", "postgresql://there/lab")),
        ("external", None, ("external", "postgresql://postgres:postgres@db.of.ours:5432/app_db")),
        ("embedded:15", None, ("embedded:15", None)),
        ("embedded", "postgresql://there/lab", ("embedded", "postgresql://there/lab")),  # refused when it is opened
    ],
)
def test_a_url_alone_means_the_server_there(kind, url, meant, monkeypatch):
    """And an external server without one is where DB_* say."""
    monkeypatch.setenv("DB_HOST", "db.of.ours")
    assert servers.resolve(kind, url) == meant


def test_an_unknown_kind_is_told_before_the_environment_is_read(monkeypatch):
    """Of two mistakes the one on the command line is nearer."""
    monkeypatch.setenv("DB_PORT", "none")
    with pytest.raises(InvalidInputError, match="no kind of server 'docker'"):
        servers.resolve("docker", None)
    with pytest.raises(InvalidInputError, match="DB_PORT"):
        servers.resolve("external", None)
