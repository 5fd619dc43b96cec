"""What every strategy keeps to, whatever its mechanism: nothing is sold by halves, and failures are told as such."""

from uuid import uuid4

import psycopg
import pytest

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies
from ticketlab.tickets.strategy import Isolation, transaction

SAFE = [each.name for each in strategies.registry().values() if each.safe]

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")


@pytest.mark.parametrize("name", SAFE)
def test_a_failed_transaction_sells_nothing(database, an_event, name):
    """A constraint that refuses the tickets takes the stock back too; the result tells a failed transaction."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as connection:
        connection.execute("ALTER TABLE tickets ADD CONSTRAINT nobody CHECK (false)")
    result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONSTRAINT)
    assert "rolled back" in result.message
    assert repository.get(event.id) == event


@pytest.mark.parametrize("name", SAFE)
def test_a_missing_table_is_a_failed_transaction(database, an_event, name):
    """Any other error of the database is told as a failure, with what it said."""
    repository = EventRepository(database, name)
    event = an_event(repository)
    with psycopg.connect(database.settings.url) as connection:
        connection.execute("ALTER TABLE tickets RENAME TO elsewhere")
    result = repository.purchase_tickets(event.id, 1, uuid4())
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TRANSACTION)
    assert 'relation "tickets" does not exist' in result.message
    assert repository.get(event.id) == event


@pytest.mark.parametrize("level", Isolation)
def test_a_transaction_runs_at_the_level_it_names(database, level):
    """BEGIN says the level, whatever the default of the server is."""
    with database.connection() as connection:
        connection.execute("SET default_transaction_isolation = 'serializable'")
        with transaction(connection, level):
            assert connection.execute("SHOW transaction_isolation").fetchone() == (level.lower(),)
