"""Many purchases, each called twice at one moment: however the two meet, it is sold once."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import pytest

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, strategies

SAFE = [each.name for each in strategies.registry().values() if each.safe]
TRIES = 1_000

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", SAFE)
def test_calls_made_twice_sell_once(database, name, seconds):
    """Both calls are told of the same tickets, one of them as a repeat; the stock is exact, to the last ticket."""
    end = time.monotonic() + seconds
    repository, barrier = EventRepository(database, name), Barrier(2)
    date = datetime(2026, 12, 1, 20, tzinfo=UTC)
    event = repository.create(name="an event", date=date, total_tickets=TRIES * 2)

    def buy(purchase_id):
        barrier.wait(timeout=60)
        return repository.purchase_tickets(event.id, 2, purchase_id)

    with ThreadPoolExecutor(2) as threads:
        for tries in range(1, TRIES + 1):  # noqa: B007 - how many there were is looked at below
            one, two = threads.map(buy, [uuid4()] * 2)
            assert (one.outcome, two.outcome) == (Outcome.SOLD, Outcome.SOLD)
            assert sorted(one.tickets) == sorted(two.tickets)
            assert [one.cause, two.cause].count(Cause.REPEATED) == 1
            if time.monotonic() > end:
                break
    assert repository.get(event.id).available_tickets == (TRIES - tries) * 2
    with database.connection() as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (tries * 2,)
