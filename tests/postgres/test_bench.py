"""A small bench on an embedded server: every contender sells, every claim is proven, and a false one is found out."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest

from ticketlab import bench, servers
from ticketlab.bench import _pgbench, _subjects, runner
from ticketlab.bench._subjects import BenchContext
from ticketlab.errors import InvalidInputError, OwnCodeError, TicketlabError, UnavailableError
from ticketlab.load import Plan
from ticketlab.tickets import EventRepository, strategies
from ticketlab.tickets.strategy import strategy

SMALL = {"strategies": ("atomic",), "buyers": (1, 3), "repeats": 1, "seconds": 0.2, "server": "external"}


@pytest.fixture
def context(database):
    """Two events of a million seats, and three buyers for a moment."""
    repository, date = EventRepository(database), datetime(2026, 12, 1, 20, tzinfo=UTC)
    event, warm_up_event = (
        repository.create(name=name, date=date, total_tickets=10**6).id for name in ("hot", "warm-up")
    )
    plan = Plan(buyers=3, seconds=0.1, warm_up_s=0.05, stock=10**6)
    return BenchContext(database=database, event=event, warm_up_event=warm_up_event, plan=plan)


@pytest.fixture
def pgbench_program(server):
    """The embedded server's own."""
    found = servers.program("pgbench", beside=server.binaries)
    return found or pytest.skip("this server's installation has no pgbench")


@pytest.fixture
def no_pgbench(monkeypatch):
    """As on a machine where no installation has the program; quicker, where pgbench is not what is tested."""
    monkeypatch.setattr(servers, "program", lambda _name, *, beside: None)  # noqa: ARG005


def falsified(monkeypatch, **changes):
    """Let the strategies' claims be changed before they are looked at."""
    honest = _subjects.sell_through_repository
    monkeypatch.setattr(
        _subjects,
        "sell_through_repository",
        lambda *words: replace(claim := honest(*words), **{name: change(claim) for name, change in changes.items()}),
    )


@pytest.mark.slow
def test_every_contender_sells_and_proves_it():
    """One strategy, its bare loop, both scripts of pgbench and the limit, at two numbers of buyers."""
    made = bench.run(bench.HotEvent(**SMALL | {"server": "embedded"}))
    names = {"atomic", "bare_atomic", "pgbench_for_update", "pgbench_one_statement", "limit"}
    assert made.errors == []
    assert not made.ended_early
    assert set(made.speeds) == {(name, buyers) for name in names for buyers in (1, 3)}
    assert all(spread.low > 0 for spread in made.speeds.values())
    assert set(made.as_json()["contenders"]["atomic"]["buyers"]["3"]) >= {
        *("purchases_per_s", "range", "repeats"),
        *("to_pgbench_for_update", "to_pgbench_one_statement", "to_limit", "to_bare"),
    }


@pytest.mark.usefixtures("no_pgbench")
def test_the_server_is_asked_for_as_many_connections_as_there_are_buyers():
    """Where a buyer has a connection of his own the default of a hundred is soon too few."""
    asked = bench.HotEvent(strategies=("optimistic",), buyers=(120,), repeats=1, seconds=0.1, server="embedded")
    made = bench.run(asked)
    assert made.errors == []
    assert int(made.server.settings["max_connections"]) == 120 + 20 + 10


def test_an_external_server_that_lets_too_few_in_is_told_at_once(server):
    """It keeps its settings, so the bench asks for fewer buyers."""
    with pytest.raises(InvalidInputError, match=r"allows 100 connections.*at most 70 --buyers"):
        bench.run(bench.HotEvent(**SMALL | {"buyers": (80,)}), url=server.url)


@pytest.mark.usefixtures("no_pgbench")
def test_without_pgbench_the_others_are_measured(server):
    """An external server has no binaries here, and no installation has the program: a note says that it is missing."""
    made = bench.run(bench.HotEvent(**SMALL | {"buyers": (2,)}), url=server.url)
    assert {name for name, _ in made.speeds} == {"atomic", "bare_atomic", "limit"}
    assert any("pgbench is left out" in note for note in made.notes)


@pytest.mark.usefixtures("no_pgbench")
def test_a_claim_of_one_ticket_more_is_found_out(monkeypatch, server):
    """The strategy's cells have no number; the others keep theirs."""
    falsified(monkeypatch, sold=lambda claim: claim.sold + 1)
    made = bench.run(bench.HotEvent(**SMALL | {"buyers": (2,)}), url=server.url)
    (error,) = made.errors
    assert error.startswith("atomic, 2 buyers, repeat 1: it claims ")
    assert ("atomic", 2) not in made.speeds
    assert ("bare_atomic", 2) in made.speeds


@pytest.mark.usefixtures("no_pgbench")
def test_a_history_that_names_other_purchases_is_found_out(monkeypatch, server):
    """As many tickets as it says, but not those."""
    falsified(monkeypatch, history=lambda claim: claim.history.assign(purchase_id=claim.history["purchase_id"].iloc[0]))
    made = bench.run(bench.HotEvent(**SMALL | {"buyers": (2,)}), url=server.url)
    assert len(made.errors) == 1
    assert "atomic, 2 buyers, repeat 1: " in made.errors[0]


def test_a_strategy_that_counts_elsewhere_is_settled_before_it_is_read(context):
    """Its `settle` is called with the event, after the load."""
    settled = []
    counting = replace(
        strategies.get("atomic"), reconcile_stock=lambda _connection, events: settled.append(list(events))
    )
    _subjects.sell_through_repository(counting, context)
    assert settled == [[context.event]]


def test_conflicts_are_counted_and_not_sold(context):
    """An optimistic buyer who has one try collides; what he claims is what he sold."""
    hasty = replace(strategies.get("optimistic"), retry=strategies.get("pessimistic").retry)
    claim = _subjects.sell_through_repository(
        hasty, replace(context, plan=replace(context.plan, buyers=8, seconds=0.3))
    )
    assert claim.conflicts > 0
    assert claim.sold + claim.conflicts == claim.purchases
    assert claim.unanswered == 0


def test_what_a_bare_loop_or_the_limit_claims_is_in_the_tables(context):
    """Counted from outside, after each."""
    sold = 0
    loops = [partial(_subjects.sell_by_bare_sql, each) for each in _subjects.BARE_PURCHASES.values()]
    for sell in (*loops, _subjects.sell_in_bulk):
        sold += sell(context).sold
        assert EventRepository(context.database).get(context.event).available_tickets == 10**6 - sold


def test_a_bare_loop_that_fails_ends_at_once_with_its_error(context):
    """One buyer's connection is cut: nobody waits for him."""

    def cut(connection, _event_id):
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(UnavailableError, match="terminating connection"):
        _subjects.sell_by_bare_sql(cut, replace(context, plan=replace(context.plan, seconds=600)))


def test_pgbench_is_not_given_the_password_as_an_argument(monkeypatch, context, pgbench_program):
    """Arguments can be read by every user of the machine."""
    calls = []
    honest = _pgbench.subprocess.run
    monkeypatch.setattr(
        _pgbench.subprocess, "run", lambda command, **options: calls.append(command) or honest(command, **options)
    )
    assert _subjects.sell_by_pgbench(pgbench_program, _pgbench.ONE_STATEMENT, context).sold > 0
    password = context.database.settings.password.get_secret_value()
    assert password
    assert not any(password in word for word in calls[0])


def test_a_pgbench_that_fails_is_told_in_its_own_words(context, pgbench_program):
    """A missing table, say."""
    with pytest.raises(TicketlabError, match='relation "nowhere" does not exist'):
        _subjects.sell_by_pgbench(pgbench_program, "SELECT * FROM nowhere;\n", context)


def test_pgbench_that_sells_nothing_is_found_out(monkeypatch, server):
    """Its statement finds no seat, but its transactions are counted: a claim that the ledger does not bear out."""
    script = _pgbench.ONE_STATEMENT.replace("available_tickets >= 1", "available_tickets < 0")
    monkeypatch.setattr(_pgbench, "ONE_STATEMENT", script)
    made = bench.run(bench.HotEvent(**SMALL | {"buyers": (2,)}), url=server.url)
    assert [error.split(",")[0] for error in made.errors] == ["pgbench_one_statement"]
    assert "the ledger has 0" in made.errors[0]


@pytest.mark.usefixtures("no_pgbench")
def test_ctrl_c_keeps_the_trials_that_were_made(server):
    """Pressed at the third turn: two trials are the results, and they say that the rest is missing."""

    def press(step):
        if step.trial == 3:
            raise KeyboardInterrupt

    made = bench.run(bench.HotEvent(**SMALL), url=server.url, on_progress=press)
    assert len(made.trials) == 2
    assert made.ended_early
    assert "ended early" in made.notes[0]


def test_ctrl_c_before_the_first_trial_leaves_nothing_to_show(server):
    """It is raised."""

    def press(step):
        if step.trial == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.HotEvent(**SMALL), url=server.url, on_progress=press)


def test_a_strategy_that_fails_is_named_with_its_turn(monkeypatch, server):
    """What a strategy of a user's raises ends the bench, and is told with his traceback and the trial."""

    @strategy(summary="defective", safe=True)
    def defective(_connection, _request):
        raise ZeroDivisionError(str(uuid4()))

    monkeypatch.setattr(runner.strategies, "get", lambda _name: defective)
    with pytest.raises(OwnCodeError, match="defective failed in your code: ZeroDivisionError") as failed:
        bench.run(bench.HotEvent(**SMALL | {"buyers": (2,)}), url=server.url)
    trace, where = failed.value.__notes__
    assert "raise ZeroDivisionError(str(uuid4()))" in trace
    assert where == "It happened in the bench, in the trial defective, 2 buyers, repeat 1."
