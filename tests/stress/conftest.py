"""The server that the stress tests share; each has a database of its own."""

import pytest

from ticketlab import servers
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations


@pytest.fixture(scope="session")
def server():
    """An embedded server; one for each process of the test run."""
    with servers.open("embedded") as server:
        yield server


@pytest.fixture
def database(server):
    """A migrated database of the test's own."""
    with servers.scratch_database(server.url) as url, Database(Settings.from_url(url)) as database:
        migrations.upgrade(database)
        yield database
