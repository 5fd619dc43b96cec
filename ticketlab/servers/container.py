"""Runs a server in a container, by testcontainers. Heavy libraries are imported only when a container is requested.

Knows the container engine and the postgres image. Does not depend on what the server is used for.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import psycopg

from ticketlab.errors import ServerError
from ticketlab.servers._cleanup import cleanup_guard
from ticketlab.servers._reaper import engine_client
from ticketlab.servers.server import Server, arguments_of, refusal

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

REPOSITORY: Final = "postgres"
DEFAULT_IMAGE: Final = f"{REPOSITORY}:18"
IMAGE_VARIABLE: Final = "TICKETLAB_POSTGRES_IMAGE"
SUPERUSER: Final = "postgres"
LOOPBACK: Final = "127.0.0.1"
PING_TIMEOUT_S: Final = 2
PATIENCE_S: Final = 20
"""The timeout for an engine that was requested by name, which may be busy."""
READY_TIMEOUT_S: Final = 120
CONNECT_TIMEOUT_S: Final = 5
POLL_S: Final = 0.02
ENDED: Final = ("exited", "dead", "removing")
_TAG: Final = re.compile(rf"(?:^|/){REPOSITORY}:(\d+)$")
"""Matches the tag of a postgres image, with any registry before it."""


@contextlib.contextmanager
def serve(settings: Mapping[str, str], *, major: int | None = None, because: str) -> Iterator[Server]:
    """Start a server in a new container, and remove the container at the end.

    Args:
        settings: PostgreSQL settings by name.
        major: the major version of the image, see `image`.
        because: why a container was chosen.

    Raises:
        ServerError: the container could not be started, or PostgreSQL refused the settings.
    """
    import docker  # type: ignore[import-untyped]  # the docker package has no types

    name = f"ticketlab-{secrets.token_hex(6)}"
    with (
        cleanup_guard("container", name=name, engine=engine()),
        _client_of(_container(name, image(major), settings)) as container,
    ):
        log = _Log(container)
        try:
            _start(container)
            with _connected(container, settings, log) as connection:
                server = Server.of(
                    connection, kind="container", url=_url(container), requested=settings, log=log.read, because=because
                )
        except (docker.errors.DockerException, OSError) as error:
            raise ServerError(
                f"The container engine could not run a container of {container.image}: {error}."
            ) from error
        try:
            yield server
        finally:
            log.keep()


def unavailable_reason(major: int | None = None, *, patience_s: float = PING_TIMEOUT_S) -> str | None:
    """Return why no container is available, or None. Pulls the image if the engine does not have it."""
    import docker

    try:
        client = engine_client(engine(), timeout_s=patience_s)
    except (docker.errors.DockerException, OSError):
        return f"no container engine answered within {patience_s:g} s"
    with contextlib.closing(client):
        try:
            if not has_image(client, major):
                client.images.pull(_full_name(major))
        except (docker.errors.DockerException, OSError) as error:
            reason = getattr(error, "explanation", None) or error
            return f"the container engine has no image {image(major)} and could not pull it ({reason})"
    return None


def engine() -> str:
    """Return the address of testcontainers' engine, "" for Docker's default."""
    from testcontainers.core.docker_client import get_docker_host

    return get_docker_host() or ""


def image(major: int | None = None) -> str:
    """Return the image of this major version, else the configured or default one."""
    return f"{REPOSITORY}:{major}" if major else os.environ.get(IMAGE_VARIABLE) or DEFAULT_IMAGE


def at_hand(*, patience_s: float = PATIENCE_S) -> list[int]:
    """Return the major versions of which the engine has an image, oldest first; empty if no engine answers."""
    import docker

    try:
        client = engine_client(engine(), timeout_s=patience_s)
        with contextlib.closing(client):
            tags = [tag for listed in client.api.images() for tag in listed["RepoTags"] or ()]
            majors = {int(found[1]) for found in map(_TAG.search, tags) if found}
            return sorted(major for major in majors if has_image(client, major))
    except (docker.errors.DockerException, OSError):
        return []


def _full_name(major: int | None) -> str:
    """The image name with the registry prefix that testcontainers may be configured with."""
    from testcontainers.core.config import testcontainers_config

    return testcontainers_config.hub_image_name_prefix + image(major)


def has_image(client: Any, major: int | None = None) -> bool:  # noqa: ANN401  # the docker package has no types
    """Whether the engine has the image."""
    import docker

    try:
        client.images.get(_full_name(major))
    except docker.errors.ImageNotFound:
        return False
    return True


def _container(name: str, image_name: str, settings: Mapping[str, str]) -> PostgresContainer:
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(
        image_name, username=SUPERUSER, password=secrets.token_urlsafe(24), dbname="postgres", driver=None
    )
    if _is_local(container):
        # By default an engine publishes on every address of the machine.
        container.ports = dict.fromkeys(container.ports, (LOOPBACK, None))  # type: ignore[arg-type]  # as docker takes it
    return container.with_name(name).with_command(["postgres", *arguments_of(settings)])


def _is_local(container: PostgresContainer) -> bool:
    """Whether the engine is this machine's own, so that the loopback address reaches its containers."""
    from testcontainers.core.config import ConnectionMode

    client = container.get_docker_client()
    return client.get_connection_mode() is ConnectionMode.docker_host and client.host() in {"localhost", LOOPBACK}


@contextlib.contextmanager
def _client_of(container: PostgresContainer) -> Iterator[PostgresContainer]:
    """Close the connection to the engine at the end; `cleanup_guard` removes the container."""
    try:
        yield container
    finally:
        container.get_docker_client().client.close()


def _start(container: PostgresContainer) -> None:
    from testcontainers.core.container import DockerContainer

    with _without_ryuk():
        # Not PostgresContainer.start(), which waits two minutes even if the server refused its settings at once.
        DockerContainer.start(container)


@contextlib.contextmanager
def _without_ryuk() -> Iterator[None]:
    """Disable testcontainers' cleanup container, because `cleanup_guard` removes the container."""
    from testcontainers.core.config import testcontainers_config

    previous = testcontainers_config.ryuk_disabled
    testcontainers_config.ryuk_disabled = True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = previous


def _connected(container: PostgresContainer, settings: Mapping[str, str], log: _Log) -> psycopg.Connection:
    """Connect as soon as the server accepts it. During initialization it listens on no TCP port."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        container.reload()
        if container.status in ENDED:
            raise refusal(log.read(), settings)
        try:
            return psycopg.connect(_url(container), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
        except (psycopg.OperationalError, TimeoutError):  # TimeoutError: the container has just ended
            time.sleep(POLL_S)
    raise ServerError(f"PostgreSQL in {container.image} was not ready after {READY_TIMEOUT_S} s. Its log: {log.read()}")


def _url(container: PostgresContainer) -> str:
    host = container.get_container_host_ip()
    # Containers publish IPv4; localhost may be tried as IPv6 first.
    return container.get_connection_url(host=LOOPBACK if host == "localhost" else host)


class _Log:
    """A container's log, readable after the container is removed."""

    def __init__(self, container: PostgresContainer) -> None:
        self._container = container
        self._kept: str | None = None

    def read(self) -> str:
        if self._kept is not None:
            return self._kept
        return b"".join(self._container.get_logs()).decode(errors="replace")

    def keep(self) -> None:
        import docker

        try:
            self._kept = self.read()
        except docker.errors.DockerException as error:
            self._kept = f"The log was removed with its container: {error}"
