"""Each mutant sells to who is alone, and is caught where its mistake shows."""

from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from ticketlab import checks, mutants
from ticketlab.checks.verdict import Status
from ticketlab.faults import connections
from ticketlab.load import Plan
from ticketlab.mutants import Trigger
from ticketlab.outcomes import Cause, Outcome
from ticketlab.runs.trial_runner import run_trial
from ticketlab.tickets import Database, EventRepository

MUTANTS = mutants.registry()
BUYERS = (4, 8, 16)
LOADS = {
    Trigger.LOAD: {"stock": 100, "purchases": 600},
    Trigger.BASKETS: {"stock": 100, "purchases": 300, "basket": (2, 3)},
    Trigger.DISCONNECT: {"stock": 100_000, "purchases": 800},
    Trigger.LOSE_REPLY: {"stock": 100_000, "purchases": 800},
    Trigger.DOUBLE_CALLS: {"stock": 200, "purchases": 800, "double_calls": 0.5},
}
CUTS = {Trigger.DISCONNECT: Database.terminate_connections, Trigger.LOSE_REPLY: connections.lose_replies}
EVENTS = 3
CUT_EVERY = 150
"""Purchases from one cut of all connections to the next."""


QUICK = {
    *({each.expected_check: name for name, each in reversed(MUTANTS.items())}.values()),
    *({each.trigger: name for name, each in reversed(MUTANTS.items())}.values()),
}
"""The first that breaks a check, and the first that a load shows; the others are slow tests."""


def shown_by(*settings):
    names = [name for name, each in MUTANTS.items() if each.trigger in settings]
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_sells_to_who_is_alone(shared_database, an_event, name):
    """A single buyer is told of his tickets, and of no error: its mistake is not that it does nothing."""
    repository = EventRepository(shared_database, mutants.get(name))
    one, two = an_event(repository), an_event(repository)
    if MUTANTS[name].trigger is Trigger.BASKETS:
        result = repository.purchase_basket({one.id: 1, two.id: 1}, uuid4())
        assert (result.outcome, result.quantity) == (Outcome.SOLD, 2)
    else:
        result = repository.purchase_tickets(one.id, 2, uuid4())
        assert (result.outcome, result.quantity) == (Outcome.SOLD, 2)
    assert (result.cause, len(result.tickets), result.detail) == (Cause.NONE, 2, "")


@pytest.mark.parametrize("name", shown_by(*LOADS))
def test_a_mutant_is_caught_by_the_claim_that_it_breaks(database, name):
    """With more and more buyers, within some hundreds of purchases of each."""
    _as_a_trial_has_it(database)
    assert any(_breaks_its_claim(database, MUTANTS[name], buyers) for buyers in 2 * BUYERS)


def _as_a_trial_has_it(database):
    """Deadlocks are found soon, or each would hold its buyers up for a second; and commits take time in memory too."""
    name = sql.Identifier(database.settings.name)
    with closing(psycopg.connect(database.settings.url, autocommit=True)) as connection:
        for setting, value in {"deadlock_timeout": "10ms", "commit_delay": 2_000, "commit_siblings": 0}.items():
            wanted = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(wanted.format(name, sql.Identifier(setting), sql.Literal(value)))


def _breaks_its_claim(database, mutant, buyers):
    plan = Plan(
        buyers=buyers,
        events=EVENTS,
        quantity=(1, 3),
        seconds=30,
        warm_up_s=0,
        seed=buyers,
        **LOADS[mutant.trigger],
    )
    with Database(database.settings) as own:
        cut = _Cutter(own, CUTS[mutant.trigger]) if mutant.trigger in CUTS else lambda _so_far: None
        observed = run_trial(mutant.strategy, plan, own, server=None, on_tick=cut)  # only a crash would ask the server
        ledger = observed.ledger()
    verdicts = {each.check: each.status for each in checks.judge(observed.load.history, ledger)}
    return verdicts[mutant.expected_check] is Status.INVALID


def _event(repository, tickets):
    return repository.create(name="an event", date=datetime(2026, 12, 1, tzinfo=UTC), total_tickets=tickets).id


class _Cutter:
    """Cuts connections again and again while buyers buy."""

    def __init__(self, database, cut):
        self._database = database
        self._cut = cut
        self._next = CUT_EVERY

    def __call__(self, so_far):
        if so_far.purchases >= self._next:
            self._next = so_far.purchases + CUT_EVERY
            self._cut(self._database)
