"""The session's server, and databases on it: brought up, lent and removed. Knows no test and no run."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import servers
from ticketlab.errors import TicketlabError
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations

DatabaseFactory: TypeAlias = Callable[[], AbstractContextManager[Database]]


@contextmanager
def server(commanded: Mapping[str, Any], configured: Mapping[str, Any]) -> Iterator[servers.Server]:
    """The server that the options ask for, with the durability that it has by itself."""
    asked = {**configured, **commanded}
    with ExitStack() as stack:
        with failing_without_traceback():
            kind, url = servers.resolve(asked.get("server", "auto"), asked.get("url"))
            running = stack.enter_context(servers.open(kind, url=url))
        yield running


@contextmanager
def template(on: servers.Server) -> Iterator[str]:
    """The name of a migrated database, in which nobody is any more."""
    with ExitStack() as stack:
        with failing_without_traceback():
            url = stack.enter_context(servers.scratch_database(on.url, prefix="ticketlab_template"))
            with Database(Settings.from_url(url)) as database:
                migrations.upgrade(database)
        yield str(conninfo_to_dict(url)["dbname"])


@contextmanager
def copies(on: servers.Server, template: str) -> Iterator[DatabaseFactory]:
    """What lends copies of the template, open. While one is in use the next is made, so that nobody waits for it."""
    ahead: list[Future[tuple[ExitStack, str]]] = []

    def made() -> tuple[ExitStack, str]:
        stack = ExitStack()
        return stack, stack.enter_context(servers.scratch_database(on.url, template=template))

    with ThreadPoolExecutor(1, thread_name_prefix="ticketlab-copies") as maker:

        @contextmanager
        def lend() -> Iterator[Database]:
            with failing_without_traceback():
                stack, url = (ahead.pop() if ahead else maker.submit(made)).result()
            ahead.append(maker.submit(made))
            with stack, ExitStack() as held:
                with failing_without_traceback():
                    lent = held.enter_context(Database(Settings.from_url(url)))
                yield lent

        try:
            yield lend
        finally:
            for each in ahead:
                if each.exception() is None:  # one that could not be made was wanted by nobody
                    each.result()[0].close()


@contextmanager
def failing_without_traceback() -> Iterator[None]:
    """Let what ticketlab foresees fail a test with its sentences alone: the lab's traceback is nobody's concern."""
    try:
        yield
    except TicketlabError as error:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        raise pytest.fail.Exception(text, pytrace=False) from None
