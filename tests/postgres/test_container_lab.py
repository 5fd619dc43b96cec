"""The whole way on a container: a stock image, whose uuid-ossp gives the documented default."""

import psycopg
import pytest

from ticketlab import servers
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.servers import container
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations

pytestmark = [pytest.mark.slow, pytest.mark.container, pytest.mark.xdist_group("containers")]


@pytest.fixture(autouse=True)
def engine():
    if hindrance := container.unavailable_reason():
        pytest.skip(f"no container can be had: {hindrance}")


def test_an_experiment_runs_in_a_container(tmp_path):
    """The control is caught and a safe strategy is not; the run says where it ran, and on which durability."""
    experiment = Experiment(
        strategies=("naive", "pessimistic"), buyers=(8,), repeats=1, stock=200, seconds=20, server="container"
    )
    run = lab.run(experiment, out=tmp_path)
    assert dict(zip(run.measures["strategy"], run.measures["verdict"], strict=True)) == {
        "naive": "INVALID",
        "pessimistic": "VALID",
    }
    assert "(container) · fsync on, full_page_writes on, synchronous_commit on" in run.conditions


def _revert_all(database):
    while migrations.revert(database):
        pass


def test_the_default_id_is_that_of_the_extension():
    """Where uuid-ossp is offered, the migration creates it, and takes it back."""
    with servers.open("container") as server, Database(Settings.from_url(server.url)) as database:
        installed = "SELECT count(*) FROM pg_extension WHERE extname = 'uuid-ossp'"
        counts = []
        for step in (migrations.upgrade, _revert_all):
            step(database)
            with psycopg.connect(server.url) as connection:
                counts.append(connection.execute(installed).fetchone()[0])
    assert counts == [1, 0]
