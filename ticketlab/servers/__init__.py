"""PostgreSQL servers for the lab: embedded, in a container, or an external one.

    with servers.open("embedded:15", settings={"deadlock_timeout": "200ms"}) as server:
        with servers.scratch_database(server.url) as url:
            ...

Whatever is created here is removed at the end of its block, even if the process is killed. Does not depend on what the
server is used for.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final

from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.servers import container, embedded, external
from ticketlab.servers.external import scratch_database
from ticketlab.servers.installation import program
from ticketlab.servers.server import Server, address_of, checked_settings
from ticketlab.servers.spec import KINDS, Probe, ServerSpec, available, diagnose, resolve

__all__ = [
    "KINDS",
    "Probe",
    "Server",
    "ServerSpec",
    "available",
    "diagnose",
    "open",
    "program",
    "resolve",
    "scratch_database",
]

ASKED_FOR: Final = "asked for by name"


def open(  # noqa: A001  # read as servers.open(), the counterpart of its `with`
    kind: str = "auto", *, settings: Mapping[str, str | int] | None = None, url: str | None = None
) -> AbstractContextManager[Server]:
    """Start a PostgreSQL server, and remove it at the end of the block.

    Args:
        kind: `embedded`, `container`, `external` or `auto`: a container if an engine answers and the image is
            available, else embedded. The first two may name a major version, as in `embedded:15`.
        settings: PostgreSQL settings that differ from the defaults, by name.
        url: the external server's, postgresql://user:password@host:port/database.

    Raises:
        InvalidInputError: an unknown kind, an invalid version, a URL missing or superfluous, or a setting that is
            invalid or reserved.
        ServerError: on entering the block: no such server can be started, or it refused the settings.
    """
    spec = ServerSpec.parse(kind)
    checked = checked_settings(settings)
    if spec.kind == "external":
        return _external(url, checked)
    if url is not None:
        raise InvalidInputError(f"The lab starts a server of kind {kind} itself; a URL is for the kind external.")
    if spec.kind == "container":
        return _container(checked, spec.major)
    if spec.kind == "embedded":
        return embedded.serve(checked, major=spec.major, because=ASKED_FOR)
    return _auto(checked, spec.major)


def _external(url: str | None, settings: Mapping[str, str]) -> AbstractContextManager[Server]:
    if url is None:
        raise InvalidInputError("An external server needs its URL: postgresql://user:password@host:port/database.")
    if settings:
        raise InvalidInputError(
            f"The lab does not reconfigure an external server. Set {', '.join(settings)} on the server and omit them "
            "here, or use a server that the lab starts, embedded or container."
        )
    address_of(url)
    return external.serve(url)


@contextlib.contextmanager
def _container(settings: Mapping[str, str], major: int | None) -> Iterator[Server]:
    if reason := container.unavailable_reason(major, patience_s=container.PATIENCE_S):
        other_image = "" if major else f", and {container.IMAGE_VARIABLE} to use another image than {container.image()}"
        raise ServerError(
            f"No container is available: {reason}. Start Docker or Podman, set DOCKER_HOST if its socket is not in the "
            f"usual place{other_image}; or use an available server: {', '.join(available()) or 'there is none'}."
        )
    with container.serve(settings, major=major, because=ASKED_FOR) as server:
        yield server


@contextlib.contextmanager
def _auto(settings: Mapping[str, str], major: int | None) -> Iterator[Server]:
    if reason := container.unavailable_reason(major):
        chosen = embedded.serve(settings, major=major, because=reason, tried=[reason])
    else:
        because = f"a container engine answered and has {container.image(major)}"
        chosen = container.serve(settings, major=major, because=because)
    with chosen as server:
        yield server
