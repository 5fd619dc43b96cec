"""Uses an existing server: creates a database of the lab's own on it, and drops it again."""

import contextlib
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
from psycopg import sql

from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.servers._cleanup import cleanup_guard
from ticketlab.servers._reaper import creation_lock
from ticketlab.servers.server import Server, address_of, unreachable

CONNECT_TIMEOUT_S = 5
RANDOM_BYTES = 7
"""Few enough for the key of an advisory lock: see `creation_lock`."""
LONGEST_PREFIX = 63 - 1 - 2 * RANDOM_BYTES
"""PostgreSQL silently truncates longer names."""


@contextlib.contextmanager
def scratch_database(server_url: str, *, prefix: str = "ticketlab", template: str = "template0") -> Iterator[str]:
    """Create a database named `prefix`_<random> on the server, yield its URL, drop it at the end.

    It is dropped even if it has open sessions, and even if this process is killed.

    Args:
        server_url: the URL of another database of the server, for a role that may create databases.
        prefix: the beginning of the name, 1 to 48 bytes.
        template: the database to copy, which must have no sessions; by default the empty template0, because a site's
            template1 may contain objects that affect results.

    Raises:
        InvalidInputError: `server_url` is not a connection URL, or `prefix` is empty or too long.
        ServerError: the server does not answer, the role may not create databases, or the template has sessions; at the
            end of the block, the database could not be dropped.
    """
    address = address_of(server_url)
    if not 0 < len(prefix.encode()) <= LONGEST_PREFIX:
        raise InvalidInputError(f"A database name's prefix must have 1 to {LONGEST_PREFIX} bytes, not {prefix!r}.")
    name = f"{prefix}_{secrets.token_hex(RANDOM_BYTES)}"
    try:
        connection = psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise unreachable(address, error) from error
    # Guarded only after the server has answered: before, nothing can be created.
    with cleanup_guard("database", url=server_url, name=name):
        _create(connection, name, template, address)
        yield with_database(server_url, name)


def _create(connection: psycopg.Connection, name: str, template: str, address: str) -> None:
    """Create the database and disconnect. Until then an advisory lock makes the watcher wait."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with connection:
        user = connection.info.user
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [creation_lock(name)])
            connection.execute(statement)
        except psycopg.Error as error:
            raise ServerError(
                f"The server at {address} did not create a database: {error}. The lab needs a database of its "
                f"own. Allow the role to create one: ALTER ROLE {user} CREATEDB."
            ) from error


def with_database(url: str, name: str) -> str:
    """Return the connection URL with another database name."""
    server, _, options = url.partition("?")
    scheme, _, rest = server.partition("://")
    kept = "&".join(option for option in options.split("&") if not option.startswith("dbname="))
    return f"{scheme}://{rest.partition('/')[0]}/{quote(name, safe='')}{'?' if kept else ''}{kept}"


@contextlib.contextmanager
def serve(url: str) -> Iterator[Server]:
    """Create a database on the server at `url`, yield the server with that database's URL, drop it at the end.

    Raises:
        InvalidInputError: `url` is not a connection URL.
        ServerError: the server does not answer, or the role may not create databases.
    """
    with scratch_database(url) as own_url:
        with psycopg.connect(own_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            server = Server.of(
                connection,
                kind="external",
                url=own_url,
                log=lambda: "The lab cannot read the log of an external server.",
                because="its URL was given",
            )
        yield server
