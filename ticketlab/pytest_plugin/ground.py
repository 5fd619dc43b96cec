"""The session's server, and databases on it: brought up, lent and removed. Knows no test and no run."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import servers
from ticketlab.errors import TicketlabError
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations


@contextmanager
def server(commanded: Mapping[str, Any], configured: Mapping[str, Any]) -> Iterator[servers.Server]:
    """The server that the options ask for, with the durability that it has by itself."""
    asked = {**configured, **commanded}
    kind, url = asked.get("server", "auto"), asked.get("url")
    if url and kind == "auto":
        kind = "external"
    with ExitStack() as stack:
        with told():
            if kind == "external" and not url:
                url = Settings.load().url
            running = stack.enter_context(servers.open(kind, url=url))
        yield running


@contextmanager
def template(on: servers.Server) -> Iterator[str]:
    """The name of a migrated database, in which nobody is any more."""
    with ExitStack() as stack:
        with told():
            url = stack.enter_context(servers.scratch_database(on.url, prefix="ticketlab_template"))
            with Database(Settings.from_url(url)) as database:
                migrations.upgrade(database)
        yield str(conninfo_to_dict(url)["dbname"])


@contextmanager
def database(on: servers.Server, template: str) -> Iterator[Database]:
    """A copy of the template, open."""
    with ExitStack() as stack:
        with told():
            url = stack.enter_context(servers.scratch_database(on.url, template=template))
            lent = stack.enter_context(Database(Settings.from_url(url)))
        yield lent


@contextmanager
def told() -> Iterator[None]:
    """Let what ticketlab foresees fail a test with its sentences alone: the lab's traceback is nobody's concern."""
    try:
        yield
    except TicketlabError as error:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        raise pytest.fail.Exception(text, pytrace=False) from None
