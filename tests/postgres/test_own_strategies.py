"""Purchase functions of a user's own, sold by and judged: through whatever they buy, on whatever tables."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy
from psycopg_pool import ConnectionPool
from seat_map import locked, unlocked
from sqlalchemy.orm import Session

from ticketlab import EventRepository, Experiment, Schema, Settings, adopt
from ticketlab.checks.verdict import Anomaly, Status, overall
from ticketlab.errors import InvalidInputError, OwnCodeError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.runs import lab
from ticketlab.runs.run import Run
from ticketlab.tickets import trial_tables

LOOK = "SELECT available_tickets FROM events WHERE id = %(event_id)s FOR UPDATE"
TAKE = """
WITH event AS (
    UPDATE events SET available_tickets = available_tickets - %(quantity)s WHERE id = %(event_id)s RETURNING id
)
INSERT INTO tickets (event_id, purchase_id)
SELECT id, %(purchase_id)s FROM event, generate_series(1, %(quantity)s)
"""
SMALL = {"buyers": (8,), "repeats": 1, "purchases": 80, "stock": 100, "quantity": (1, 3), "server": "embedded"}


def _sell(execute, event_id, quantity, purchase_id):
    wanted = {"event_id": event_id, "quantity": quantity, "purchase_id": purchase_id}
    (left,) = execute(LOOK, wanted).fetchone()
    if left >= quantity:
        execute(TAKE, wanted)
    return left >= quantity


def by_psycopg(connection: psycopg.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Under the lock of the row."""
    with connection.transaction():
        return _sell(connection.execute, event_id, quantity, purchase_id)


def by_sqlalchemy(connection: sqlalchemy.Connection, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """As an application on SQLAlchemy Core does it."""
    with connection.begin():
        return _sell(connection.exec_driver_sql, event_id, quantity, purchase_id)


def by_session(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """As an application on the ORM's session does it."""
    sold = _sell(session.connection().exec_driver_sql, event_id, quantity, purchase_id)
    session.commit()
    return sold


class Till:
    """An application with a pool of its own."""

    def __init__(self, settings: Settings) -> None:
        self.pool = ConnectionPool(settings.url, min_size=1, max_size=4, open=True)

    def close(self) -> None:
        self.pool.close()


def by_its_own_pool(till: Till, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Past the lab's pool."""
    with till.pool.connection() as connection:
        return _sell(connection.execute, event_id, quantity, purchase_id)


def forgetful(session: Session, event_id: UUID, quantity: int, purchase_id: UUID) -> bool:
    """Forgets to commit."""
    return _sell(session.connection().exec_driver_sql, event_id, quantity, purchase_id)


def statuses(run):
    return {trial.strategy: overall(verdicts) for trial, verdicts in run.verdicts}


def anomalies(run, name):
    return {each.anomaly for trial, verdicts in run.verdicts for each in verdicts if trial.strategy == name}


def test_functions_are_judged_through_whatever_they_buy(tmp_path):
    """psycopg, SQLAlchemy Core, a session, a pool of its own: right ones are VALID, and a lost commit is seen."""
    own = (by_psycopg, by_sqlalchemy, by_session, by_its_own_pool, forgetful)
    names = tuple(each.__name__ for each in own)
    run = lab.run(Experiment(**SMALL, strategies=names), own=own, out=tmp_path)
    assert statuses(run) == dict.fromkeys(names, Status.VALID) | {"forgetful": Status.INVALID}
    assert Anomaly.LOST_SALE in anomalies(run, "forgetful")
    assert run.failed_strategies == ["forgetful"]
    (note,) = [each for each in run.notes if "cannot be observed completely" in each]
    assert note.startswith("by_its_own_pool cannot be observed completely: it has connections of its own")
    assert "Past the lab's pool" in Run(run.folder).environment["own_strategies"]["by_its_own_pool"]


def test_tables_of_ones_own_are_judged_beside_the_documented_ones(tmp_path):
    """Another schema, laid out, bought from and read by its adapter: the lock is right, and without it seats move."""
    names = ("seat_by_seat", "seat_by_seat_unlocked", "atomic")
    load = SMALL | {"events": 2, "purchases": 120}
    run = lab.run(Experiment(**load, strategies=names), own=[locked, unlocked], out=tmp_path)
    assert statuses(run) == dict.fromkeys(names, Status.VALID) | {"seat_by_seat_unlocked": Status.INVALID}
    assert Anomaly.LOST_SALE in anomalies(run, "seat_by_seat_unlocked")
    for trial in run.trials:
        if trial.strategy == "seat_by_seat":
            books = trial.ledger().seats()
            assert list(books["total"]) == [100, 100]
            assert list(books["available"]) == list(books["total"] - books["tickets"])
            assert books["tickets"].sum() > 0


def test_nothing_can_be_given_back_to_tables_of_ones_own(tmp_path):
    """The lab does not know how; nothing is started."""
    experiment = Experiment(**SMALL, strategies=("seat_by_seat",), refunds=0.5)
    with pytest.raises(InvalidInputError, match="leave out seat_by_seat"):
        lab.run(experiment, own=[locked], out=tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"lay_out": lambda connection, _stock: connection.execute("CREATE TABLE")}, "Schema.lay_out failed"),
        ({"events": lambda _connection: [(1, 2)]}, r"Schema.events must return rows of \(event_id, seats, "),
        ({"tickets": lambda _connection: [("7", uuid4())]}, r"Schema.tickets must return rows of \(event_id, purch"),
        ({"tickets": lambda _connection: {}["seats"]}, "Schema.tickets failed in your code: KeyError: 'seats'"),
    ],
)
def test_what_is_wrong_with_an_adapter_is_told(database, fields, told):
    """Which of its functions, and what it should give."""
    right = {"lay_out": lambda *_: None, "events": lambda _: [], "tickets": lambda _: []}
    schema = Schema(**right | fields)

    def begin_and_end():
        trial_tables.create_events(EventRepository(database, adopt(by_psycopg, schema=schema)), events=1, stock=10)
        trial_tables.read(database, [UUID(int=1)], schema)

    with pytest.raises(OwnCodeError, match=told):
        begin_and_end()


def test_an_error_in_the_users_code_ends_the_run_with_his_traceback(tmp_path):
    """His frames and none of the lab's; the trials before it are kept and judged."""

    def breaks(connection, event_id, quantity, purchase_id):
        return _sell(connection.nothing, event_id, quantity, purchase_id)

    experiment = Experiment(**SMALL, strategies=("breaks", "atomic"), seed=2)
    assert [each.strategy for each in experiment.trials()] == ["atomic", "breaks"]
    with pytest.raises(OwnCodeError, match="breaks failed in your code: AttributeError") as caught:
        lab.run(experiment, own=[breaks], out=tmp_path)
    trace, kept = caught.value.__notes__
    assert "_sell(connection.nothing" in trace
    assert "ticketlab/" not in trace.replace(__file__, "")
    (folder,) = tmp_path.iterdir()
    assert kept == f"The results before it are kept in {folder}."
    assert statuses(Run(folder)) == {"atomic": Status.VALID}


def test_what_the_database_said_is_told_where_nothing_was_answered(tmp_path):
    """A function whose SQL is wrong is no mystery."""

    def misspelt(connection, event_id, quantity, purchase_id):
        return _sell(lambda sql, wanted: connection.execute(sql.replace("events", "evnts"), wanted),
                     event_id, quantity, purchase_id)  # fmt: skip

    run = lab.run(Experiment(**SMALL, strategies=("misspelt",)), own=[misspelt], out=tmp_path)
    assert statuses(run) == {"misspelt": Status.UNKNOWN}
    assert any('ended failed (transaction) reported: relation "evnts" does not exist' in each for each in run.notes)


def test_a_connection_lost_in_a_users_function_leaves_the_outcome_unknown(database, an_event):
    """Nobody knows which of its statements commits."""

    def cut_off(connection, event_id, quantity, purchase_id):
        _sell(connection.execute, event_id, quantity, purchase_id)
        connection.commit()
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    repository = EventRepository(database, adopt(cut_off))
    event = an_event(repository)
    result = repository.purchase_tickets(event.id, 2, uuid4())
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.CONNECTION)
    assert repository.get(event.id).available_tickets == 8


@pytest.mark.parametrize("function", [by_sqlalchemy, by_session])
def test_an_empty_pool_is_told_as_unavailable(database, an_event, function):
    """Not as an unknown outcome: nothing was sent."""
    settings = database.settings.model_copy(update={"pool_size": 1, "pool_acquire_timeout_s": 1.0})
    event = an_event(EventRepository(database))
    with type(database)(settings) as small, small.connection():
        result = EventRepository(small, adopt(function)).purchase_tickets(event.id, 1, uuid4())
    assert result.outcome is Outcome.UNAVAILABLE


def test_a_refusal_of_a_users_function_stays_one(database, an_event):
    """Though tickets lie under the id: the lab covers no mistake up."""

    def sells_and_refuses(connection, event_id, quantity, purchase_id):
        _sell(connection.execute, event_id, quantity, purchase_id)
        return False

    repository = EventRepository(database, adopt(sells_and_refuses))
    result = repository.purchase_tickets(an_event(repository).id, 1, uuid4())
    assert result.outcome is Outcome.SOLD_OUT


SHOP = """
def buy(connection, event_id, quantity, purchase_id):
    with connection.transaction():
        look = "SELECT available_tickets FROM events WHERE id = %s"
        (left,) = connection.execute(look, [event_id]).fetchone()
        if left < quantity:
            return False
        write = "UPDATE events SET available_tickets = %s WHERE id = %s"
        connection.execute(write, [left - quantity, event_id])
        add = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"
        connection.execute(add, [event_id, purchase_id, quantity])
        return True

def breaks(connection, event_id, quantity, purchase_id):
    raise LookupError(event_id)
"""


def test_a_function_is_taken_by_name(tmp_path, monkeypatch):
    """Of a module that can be imported, or of a file that lies anywhere; the command that repeats it has its name."""
    (tmp_path / "shop_by_name.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("shop_by_name:buy", f"{tmp_path / 'shop_by_name.py'}:buy")
    run = lab.run(Experiment(**SMALL, strategies=names), out=tmp_path / "runs")
    assert statuses(run) == dict.fromkeys(names, Status.INVALID)
    assert run.failed_strategies == [*dict.fromkeys(trial.strategy for trial in run.trials)]
    assert f"--strategy {names[0]} --strategy {names[1]}" in run.experiment.command()


def test_the_command_line_tells_a_users_error_with_his_traceback_alone(tmp_path):
    """Of a module in the folder in which it was called; exit code 2."""
    (tmp_path / "shop.py").write_text(SHOP)
    ticketlab = Path(sys.executable).with_name("ticketlab")
    words = ["run", "--strategy", "shop:breaks", "--purchases", "80", "--buyers", "8", "--server", "embedded", "--json"]
    done = subprocess.run([ticketlab, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error: shop:breaks failed in your code: LookupError" in done.stderr
    assert 'shop.py", line 15, in breaks' in done.stderr
    assert done.stderr.count("File ") == 1
