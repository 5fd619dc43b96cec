"""Several gatherers on one database, each with its queues: in processes of their own, and with baskets that cross."""

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import Database, EventRepository

TIMEOUT_S = 60

BUYERS = """
import json, os, random, sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4
from ticketlab.settings import Settings
from ticketlab.tickets import Database, EventRepository

def buy(seed):
    draws, told, left = random.Random(seed), [], None
    while left != 0:
        purchase_id, quantity = uuid4(), draws.randint(1, 4)
        result = repository.purchase_tickets(os.environ["EVENT"], quantity, purchase_id)
        left = result.available_tickets
        told.append([result.outcome, str(purchase_id), quantity, result.version, left])
    return told

with Database(Settings.from_url(os.environ["URL"])) as database, ThreadPoolExecutor(8) as threads:
    repository = EventRepository(database, "coalesced")
    print("true", flush=True)
    sys.stdin.readline()
    print(json.dumps([each for told in threads.map(buy, range(8)) for each in told]), flush=True)
"""


def test_two_processes_sell_out_exactly(database, an_event, child):
    """Sixteen buyers in two processes sell 500 tickets: what was told is what is there, in one order without a gap."""
    repository = EventRepository(database)
    event = an_event(repository, tickets=500)
    place = {"EVENT": str(event.id), "URL": database.settings.url}
    with child(BUYERS, **place) as (one, _), child(BUYERS, **place) as (other, _):
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
        told = [each for process in (one, other) for each in json.loads(process.stdout.readline())]
    sales = sorted((version, quantity, left) for outcome, _, quantity, version, left in told if outcome == Outcome.SOLD)
    stock = 500
    for expected, (version, quantity, left) in enumerate(sales, start=2):
        stock -= quantity
        assert (version, left) == (expected, stock)
    assert stock == 0
    left_at = {version: left for version, _, left in sales} | {1: 500}
    refusals = [each for each in told if each[0] != Outcome.SOLD]
    assert all((outcome, left_at[version]) == (Outcome.SOLD_OUT, left) for outcome, _, _, version, left in refusals)
    assert all(left < quantity for _, _, quantity, _, left in refusals)
    with psycopg.connect(database.settings.url) as connection:
        held = dict(connection.execute("SELECT purchase_id, count(*) FROM tickets GROUP BY 1").fetchall())
    assert held == {
        UUID(purchase_id): quantity for outcome, purchase_id, quantity, *_ in told if outcome == Outcome.SOLD
    }


def test_baskets_that_cross_do_not_deadlock(database, an_event):
    """Two gatherers sell baskets of the same events in either order, and single tickets: nobody has to try again."""
    with Database(database.settings) as second, ThreadPoolExecutor(16) as threads:
        both = [EventRepository(each, "coalesced") for each in (database, second)]
        one, other = (an_event(both[0], tickets=100).id for _ in range(2))
        wishes = [{one: 1, other: 1}, {other: 1, one: 1}, {one: 1}, {other: 1}] * 10
        purchases = [threads.submit(each.purchase_basket, wish, uuid4()) for wish in wishes for each in both]
        results = [purchase.result(timeout=TIMEOUT_S) for purchase in purchases]
    assert {(each.outcome, each.cause, each.attempts) for each in results} == {(Outcome.SOLD, Cause.NONE, 1)}
    for event_id in (one, other):
        lines = sorted(line[2:] for each in results for line in each.lines if line.event_id == event_id)
        assert lines == [(version, 101 - version) for version in range(2, 62)]
    assert all(sorted(each.tickets) == sorted(both[0].tickets_of(each.tickets[0].purchase_id)) for each in results)
