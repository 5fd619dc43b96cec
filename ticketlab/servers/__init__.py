"""Where a PostgreSQL comes from: the lab's own, embedded or in a container, or one that it is given.

    with servers.open("embedded:15", settings={"deadlock_timeout": "200ms"}) as server:
        with servers.scratch_database(server.url) as url:
            ...

Whatever is made here is gone at the end of its block, and also when the process is killed. Nothing here knows what
the server is used for.
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
    kind: str = "auto",
    *,
    settings: Mapping[str, str | int] | None = None,
    url: str | None = None,
) -> AbstractContextManager[Server]:
    """Bring up a PostgreSQL server; it goes at the end of the block.

    Args:
        kind: `embedded`, `container`, `external`, or `auto`: a container where an engine answers and the image can
            be had, else embedded. Of the lab's own a major version too, as in `embedded:15`.
        settings: PostgreSQL's settings that are to differ from its defaults, by name.
        url: of the external server, postgresql://user:password@host:port/database.

    Raises:
        InvalidInputError: an unknown kind, a version that can not be read, a URL missing or superfluous, a setting
            that can not be had.
        ServerError: on entering the block: no such server can be brought up, or it refused the settings.
    """
    wanted = ServerSpec.parse(kind)
    checked = checked_settings(settings)
    if wanted.kind == "external":
        return _external(url, checked)
    if url is not None:
        raise InvalidInputError(f"A server of kind {kind} is started by the lab; a URL is for the kind external.")
    if wanted.kind == "container":
        return _container(checked, wanted.major)
    if wanted.kind == "embedded":
        return embedded.serve(checked, major=wanted.major, because=ASKED_FOR)
    return _auto(checked, wanted.major)


def _external(url: str | None, settings: Mapping[str, str]) -> AbstractContextManager[Server]:
    if url is None:
        raise InvalidInputError("An external server needs its URL: postgresql://user:password@host:port/database.")
    if settings:
        raise InvalidInputError(
            f"The lab does not reconfigure a server that it was given. Set {', '.join(settings)} there, and leave "
            "the settings out here; or take a server that the lab starts, embedded or container."
        )
    address_of(url)
    return external.serve(url)


@contextlib.contextmanager
def _container(settings: Mapping[str, str], major: int | None) -> Iterator[Server]:
    if hindrance := container.unavailable_reason(major, patience_s=container.PATIENCE_S):
        another = "" if major else f", and {container.IMAGE_VARIABLE} to take another image than {container.image()}"
        raise ServerError(
            f"No container can be had: {hindrance}. Start Docker or Podman, set DOCKER_HOST if its socket is not in "
            f"the usual place{another}; or take a server that is here: {', '.join(available()) or 'there is none'}."
        )
    with container.serve(settings, major=major, because=ASKED_FOR) as server:
        yield server


@contextlib.contextmanager
def _auto(settings: Mapping[str, str], major: int | None) -> Iterator[Server]:
    if hindrance := container.unavailable_reason(major):
        chosen = embedded.serve(settings, major=major, because=hindrance, tried=[hindrance])
    else:
        because = f"a container engine answered and has {container.image(major)}"
        chosen = container.serve(settings, major=major, because=because)
    with chosen as server:
        yield server
