"""Which server is wanted, as it is written; and which there are to be had without a download. Starts nothing."""

from dataclasses import dataclass
from typing import Final, Self

from ticketlab.errors import InvalidInputError
from ticketlab.servers import container, installation, paths
from ticketlab.settings import Settings

KINDS: Final = ("auto", "container", "embedded", "external")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """A kind of server, and perhaps the major version of its PostgreSQL."""

    kind: str
    """One of `KINDS`."""
    major: int | None = None
    """As in 15; None where any will do."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """What is meant by `embedded`, or by `embedded:15`.

        Raises:
            InvalidInputError: there is no such kind, it takes no version, or the version can not be read.
        """
        kind, colon, major = text.partition(":")
        if kind not in KINDS:
            raise InvalidInputError(f"There is no kind of server {kind!r}; there are {', '.join(KINDS)}.")
        if not colon:
            return cls(kind=kind)
        if kind == "external":
            raise InvalidInputError("An external server is of the version that it is: ask for it as external.")
        if not (major.isascii() and major.isdigit() and int(major)):
            raise InvalidInputError(
                f"A server's version is the first number of PostgreSQL's, as in {kind}:18, and not {major!r}. "
                f"Here are: {', '.join(available()) or 'none'}."
            )
        return cls(kind=kind, major=int(major))


def resolve(text: str, url: str | None) -> tuple[str, str | None]:
    """The server that is wanted, and where an external one is: at the URL, else where `DB_*` say.

    Whoever gives a URL and leaves the kind to the lab means the server there.

    Raises:
        InvalidInputError: as for `Wanted.parse`, or `DB_*` can not be read.
    """
    kind = ServerSpec.parse(text).kind
    if url is None:
        return text, Settings.load().url if kind == "external" else None
    return "external" if text == "auto" else text, url


def available() -> list[str]:
    """Every server that can be had without a download, as `open` takes it: `embedded:15`, `container:16`.

    Embedded ones come first, and of a kind the oldest. Looks only: an engine is asked for its images, none is pulled.
    """
    embedded = {each.major for each in installation.at_hand(paths.account())}
    return [
        *(f"embedded:{major}" for major in sorted(embedded)),
        *(f"container:{major}" for major in container.at_hand()),
    ]
