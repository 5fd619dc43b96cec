"""A server that somebody else runs: the lab hammers it in a database of its own, and changes nothing else there."""

import contextlib
from collections.abc import Iterator

import psycopg

from ticketlab.servers.scratch import CONNECT_TIMEOUT_S, scratch_database
from ticketlab.servers.server import Server


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
