"""A server that the lab was given is used as it is, in a database that the lab makes and drops."""

from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import servers
from ticketlab.errors import ServerError


def databases(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_an_external_server_is_used_in_a_database_of_the_labs_own(server):
    """The record leads to a new database; when the block ends the server has what it had before."""
    before = databases(server.url)
    with servers.open("external", url=server.url) as given:
        own = conninfo_to_dict(given.url)["dbname"]
        assert databases(server.url) - before == {own}
        assert (given.kind, given.version) == ("external", server.version)
        assert given.why == f"external PostgreSQL {server.version}: its URL was given"
    assert databases(server.url) == before


def test_the_log_of_an_external_server_is_not_read(server):
    """Asked for its log, the record says that the lab cannot read it."""
    with servers.open("external", url=server.url) as given:
        assert "cannot read the log" in given.log()


def test_a_wrong_password_is_told_without_the_password(server):
    """The error says where it was tried and as whom."""
    right = urlsplit(server.url)
    wrong = right._replace(netloc=right.netloc.replace(right.password, "guessed")).geturl()
    with pytest.raises(ServerError, match=r"postgresql://postgres@127.0.0.1.*password") as refused:
        servers.open("external", url=wrong).__enter__()
    assert "guessed" not in str(refused.value)


def test_where_nothing_listens_the_error_says_what_to_look_at():
    """Port 1 has no server."""
    with pytest.raises(ServerError, match="Check that it is running"):
        servers.open("external", url="postgresql://somebody:secret@127.0.0.1:1/postgres").__enter__()


def test_a_role_that_may_not_create_a_database_is_told_how_it_may(server):
    """The error has the statement that cures it."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
        try:
            url = f"postgresql://humble:humble@{urlsplit(server.url).netloc.rpartition('@')[2]}/postgres"
            with pytest.raises(ServerError, match="ALTER ROLE humble CREATEDB"):
                servers.open("external", url=url).__enter__()
        finally:
            connection.execute("DROP ROLE humble")
