"""Purchase ids that are called twice under load: safe strategies sell once, functions that only look first do not."""

from uuid import UUID

import psycopg
import pytest

from ticketlab import Experiment, adopt
from ticketlab.checks.verdict import Status
from ticketlab.load import Fault
from ticketlab.outcomes import Cause, Outcome
from ticketlab.runs import lab
from ticketlab.tickets import strategies

SAFE = [each.name for each in strategies.registry().values() if each.safe]
BASKETS = [name for name in SAFE if strategies.get(name).basket]
KINDS = {"atomic", "coalesced", "optimistic", "pessimistic", "serializable", "sharded", "skip_locked"}
"""One strategy of each kind; the others are their variants."""
LOAD = {"buyers": (16,), "repeats": 1, "seconds": 60.0, "warm_up_s": 0.0, "server": "auto"}
SINGLE = LOAD | {"stock": 75, "quantity": (1, 3), "events": 2, "purchases": 150}

BOUGHT = "SELECT count(*) FROM tickets WHERE purchase_id = %s"
LOCK = "SELECT available_tickets FROM events WHERE id = %s FOR UPDATE"
TAKE = "UPDATE events SET available_tickets = available_tickets - %s, version = version + 1 WHERE id = %s"
WRITE = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"


def _sell(connection, event_id, quantity, purchase_id):
    connection.execute(TAKE, [quantity, event_id])
    connection.execute(WRITE, [event_id, purchase_id, quantity])
    return True


def looks_before_the_lock(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Two calls at once find nothing under their id, and both sell."""
    if connection.execute(BOUGHT, [purchase_id]).fetchone() != (0,):
        return True
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        return left >= quantity and _sell(connection, event_id, quantity, purchase_id)


def looks_under_the_lock(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Of two calls at once, for the same event, the second finds what the first has sold."""
    with connection.transaction():
        (left,) = connection.execute(LOCK, [event_id]).fetchone()
        if connection.execute(BOUGHT, [purchase_id]).fetchone() != (0,):
            return True
        return left >= quantity and _sell(connection, event_id, quantity, purchase_id)


def judged(server, out, function, *, seed=1, **load):
    """The run of a function under a load, its id being called twice where that is claimed or asked for."""
    own = [] if isinstance(function, str) else [function]
    name = function if isinstance(function, str) else function.name
    experiment = Experiment(**SINGLE | {"strategies": (name,), "seed": seed} | load)
    return lab.run_on(server, experiment, own=own, out=out)


def statuses(run):
    """Of each check its verdict on the only trial."""
    ((_, verdicts),) = run.verdicts
    return {each.check: each.status for each in verdicts}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_function_that_looks_its_id_up_before_the_lock_is_caught(server, tmp_path, seed):
    """It claims that an id buys once: some ids own their tickets twice."""
    claiming = adopt(looks_before_the_lock, idempotent=True)
    run = judged(server, tmp_path, claiming, seed=seed, events=1, stock=200, double_calls=0.4)
    assert statuses(run)["exactly_once"] is Status.INVALID
    assert run.double_called[claiming.name] >= 15  # two fifths of some 85 calls: 34, give or take 5


def test_a_function_that_looks_its_id_up_under_the_lock_is_right(server, tmp_path):
    """Called twice by default, for it claims that an id buys once; the answers are judged and are VALID."""
    claiming = adopt(looks_under_the_lock, idempotent=True)
    run = judged(server, tmp_path, claiming, events=1, stock=2_000, purchases=800)
    assert run.measures["verdict"].tolist() == ["VALID"]
    assert 5 <= run.double_called[claiming.name] <= 40
    assert "2 % of the purchases called twice" in run.conditions
    rows = run.trials[0].history()
    assert set(rows.groupby("purchase_id")["quantity"].nunique()) == {1}


def test_without_the_claim_no_id_is_called_twice_and_the_run_says_so(server, tmp_path):
    """It is judged by what it claims; where a share is asked for, its ids are called twice all the same."""
    run = judged(server, tmp_path, plain := adopt(looks_before_the_lock), events=1, stock=200)
    assert (run.measures["verdict"].tolist(), run.double_called) == (["VALID"], {plain.name: 0})
    assert f"{plain.name} does not claim that a purchase id buys once: no id was called twice." in run.notes
    asked = judged(server, tmp_path, plain, events=1, stock=200, double_calls=0.4)
    assert asked.double_called[plain.name] >= 15
    assert statuses(asked)["exactly_once"] is Status.INVALID
    assert not [each for each in asked.notes if "does not claim" in each]


@pytest.mark.parametrize("name", [pytest.param(each, marks=() if each in KINDS else pytest.mark.slow) for each in SAFE])
def test_safe_strategies_sell_once(server, tmp_path, name):
    """Each id that is called twice, at once, later, for more or of another event, owns what its sale was told of."""
    run = judged(server, tmp_path, name, double_calls=0.5)
    assert statuses(run) == dict.fromkeys(statuses(run), Status.VALID)
    assert run.double_called[name] >= 30
    rows = run.trials[0].history()
    repeated = rows[rows["cause"] == Cause.REPEATED]
    assert {Outcome.SOLD, Outcome.FAILED} == set(repeated["outcome"])
    assert rows.groupby("purchase_id")["buyer"].nunique().max() == 2


@pytest.mark.parametrize("name", BASKETS)
def test_safe_strategies_sell_baskets_once(server, tmp_path, name):
    """A basket that is called twice is told of all its lines again, or is refused as a whole."""
    run = judged(server, tmp_path, name, events=4, basket=(2, 3), stock=100, double_calls=0.5)
    assert statuses(run) == dict.fromkeys(statuses(run), Status.VALID)
    assert run.double_called[name] >= 30
    rows = run.trials[0].history()
    assert Outcome.SOLD in set(rows.loc[rows["cause"] == Cause.REPEATED, "outcome"])


@pytest.mark.parametrize("name", ["atomic", "coalesced", "skip_locked"])
def test_a_call_whose_answer_was_lost_is_made_again(server, tmp_path, name):
    """Each id of which an answer was lost is called at least twice, and whatever became of it is VALID."""
    run = judged(
        server, tmp_path, name, stock=10**6, purchases=600, double_calls=0.01, faults=(Fault.parse("disconnect@300"),)
    )
    assert statuses(run) == dict.fromkeys(statuses(run), Status.VALID)
    rows = run.trials[0].history()
    lost = rows.loc[rows["outcome"] == Outcome.UNKNOWN, "purchase_id"].unique()
    assert len(lost)
    assert rows.groupby("purchase_id").size()[lost].min() >= 2
