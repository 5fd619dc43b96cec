"""A server that is there already: the lab works in a database of its own on it, and drops that again."""

import contextlib
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
from psycopg import sql

from ticketlab.errors import InvalidInputError, ServerError
from ticketlab.servers.cleanup import cleanup_guard
from ticketlab.servers.reaper import creation_lock
from ticketlab.servers.server import Server, address_of, unreachable

CONNECT_TIMEOUT_S = 5
RANDOM_BYTES = 7
"""As hexadecimal digits they fit into the key of an advisory lock."""
LONGEST_PREFIX = 63 - 1 - 2 * RANDOM_BYTES
"""PostgreSQL would cut a longer name, without a word."""


@contextlib.contextmanager
def scratch_database(server_url: str, *, prefix: str = "ticketlab", template: str = "template0") -> Iterator[str]:
    """Create a database named `prefix`_<random> on the server, yield its URL, drop it at the end.

    It is dropped whatever sessions it has then, and also when this process is killed.

    Args:
        server_url: leads to any other database of the server, as a role that may create databases.
        prefix: what the name begins with, 1 to 48 bytes.
        template: the database that it is a copy of, in which nobody may be meanwhile; by default an empty one, as a
            site's own template1 must not colour a result.

    Raises:
        InvalidInputError: `server_url` is not a connection URL, or `prefix` is too long.
        ServerError: the server does not answer, the role may not create databases, or somebody is in the template;
            at the end of the block, the server does not answer any more.
    """
    address = address_of(server_url)
    if not 0 < len(prefix.encode()) <= LONGEST_PREFIX:
        raise InvalidInputError(f"The prefix of a database's name has 1 to {LONGEST_PREFIX} bytes, not {prefix!r}.")
    name = f"{prefix}_{secrets.token_hex(RANDOM_BYTES)}"
    try:
        connection = psycopg.connect(server_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise unreachable(address, error) from error
    # Watched once the server has answered: where nothing can be created, nothing has to be removed.
    with cleanup_guard("database", url=server_url, name=name):
        _create(connection, name, template, address)
        yield with_database(server_url, name)


def _create(connection: psycopg.Connection, name: str, template: str, address: str) -> None:
    """Create the database and hang up; until then the connection's lock tells the reaper to wait."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with connection:
        user = connection.info.user
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [creation_lock(name)])
            connection.execute(statement)
        except psycopg.Error as error:
            raise ServerError(
                f"The server at {address} did not create a database: {error}. The lab works in a database of its "
                f"own; a role that may not create one can be allowed to: ALTER ROLE {user} CREATEDB."
            ) from error


def with_database(url: str, name: str) -> str:
    """The same connection URL with another database, and nothing else changed in it."""
    server, _, options = url.partition("?")
    scheme, _, rest = server.partition("://")
    kept = "&".join(option for option in options.split("&") if not option.startswith("dbname="))
    return f"{scheme}://{rest.partition('/')[0]}/{quote(name, safe='')}{'?' if kept else ''}{kept}"


@contextlib.contextmanager
def serve(url: str) -> Iterator[Server]:
    """Make a database on the server at `url`, yield the server with the URL of that database, drop it at the end.

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
                log=lambda: "The log of an external server is not the lab's to read.",
                because="its URL was given",
            )
        yield server
