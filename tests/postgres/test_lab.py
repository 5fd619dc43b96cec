"""An experiment from end to end on an embedded server: what is found, what is saved, and how it ends."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from command_line import call

from ticketlab import report_writer
from ticketlab.errors import InvalidInputError, NotFoundError, UnavailableError
from ticketlab.load import Plan, driver
from ticketlab.load.driver import run_load
from ticketlab.outcomes import Outcome
from ticketlab.report import Format
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.run import Run
from ticketlab.servers import embedded
from ticketlab.settings import Settings
from ticketlab.tickets import EventRepository, PurchaseResult
from ticketlab.tickets.strategy import strategy, transaction

SMALL = {"buyers": (8,), "repeats": 1, "stock": 200, "seconds": 20.0, "warm_up_s": 0.0, "server": "embedded"}


@pytest.fixture
def no_report(monkeypatch):
    """A report is said to be written, and is not: what is looked at is not on its page."""
    monkeypatch.setattr(report_writer, "write", lambda runs, **_: report_writer.default_place(runs, Format.HTML))


@pytest.fixture
def ran(server, template, tmp_path):
    """Run a small experiment, changed as the test says, on the server that there is."""

    def run(**changes):
        experiment = Experiment(**SMALL | changes)
        return lab.run_on(server, experiment, out=tmp_path, template=template)

    return run


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What a run of the control and of a safe strategy prints with --json, and the folder in which it was called."""
    folder = tmp_path_factory.mktemp("cli")
    words = ("run", "--server", "embedded", "-s", "naive", "-s", "atomic", "--purchases", "300", "--repeats", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_writer, "write", lambda runs, **_: report_writer.default_place(runs, Format.HTML))
        return folder, call(*words, "--json", cwd=folder)


@pytest.fixture
def documented_variables(database_url):
    """DB_* as they name an empty database."""
    settings = Settings.from_url(database_url)
    return {
        "DB_HOST": settings.host,
        "DB_PORT": str(settings.port),
        "DB_USERNAME": settings.username,
        "DB_PASSWORD": settings.password.get_secret_value(),
        "DB_NAME": settings.name,
    }


def test_the_control_is_caught_and_the_safe_strategies_are_not(tmp_path):
    """The lab tells wrong from right: naive oversells, and the others sell exactly every seat."""
    steps = []
    experiment = Experiment(**SMALL | {"strategies": ("naive", "pessimistic", "optimistic", "atomic")})
    run = lab.run(experiment, out=tmp_path, on_progress=steps.append)
    found = {row["strategy"]: row for row in run.measures.to_dict("records")}
    assert found["naive"]["verdict"] == "INVALID"
    assert found["naive"]["oversold"] > 0
    for name in ("pessimistic", "optimistic", "atomic"):
        assert found[name]["verdict"] == "VALID"
        assert found[name]["tickets"] == found[name]["seats"] == 200
        assert found[name]["sold_out"] >= 8
    assert (run.failed_strategies, run.undetected_controls, run.ended_early) == ([], [], False)
    assert steps[0].trial == 0
    assert {step.trial for step in steps} == set(range(1 + len(run.experiment.strategies)))


def test_a_run_on_a_server_that_is_there_leaves_it_as_it_was(server, tmp_path):
    """It works in a database of its own, keeps the server that it got, and asks for no settings."""
    experiment = Experiment(**SMALL | {"strategies": ("atomic",), "purchases": 40, "server": "auto"})
    with psycopg.connect(server.url) as connection:
        names = "SELECT datname FROM pg_database ORDER BY 1"
        before = connection.execute(names).fetchall()
        run = lab.run_on(server, experiment, out=tmp_path)
        assert connection.execute(names).fetchall() == before
    assert run.measures.loc[0, ["verdict", "sales"]].tolist() == ["VALID", 40]
    assert (run.experiment.server, run.environment["server"]["version"]) == (server.kind, server.version)
    with pytest.raises(InvalidInputError, match="This server is already running: work_mem cannot be set"):
        lab.run_on(server, replace(experiment, server_settings={"work_mem": "1MB"}), out=tmp_path)
    assert list(tmp_path.iterdir()) == [run.folder]


def test_a_saved_run_says_what_the_run_said(ran):
    """Read again from its folder, a run has the same verdicts, numbers and conditions."""
    run = ran(strategies=("naive", "atomic"))
    again = Run(run.folder)
    assert again.verdict_rows() == run.verdict_rows() == json.loads((run.folder / "verdicts.json").read_text())
    assert again.as_json() == run.as_json()
    assert again.conditions == run.conditions
    assert "fsync on, full_page_writes on, synchronous_commit on" in run.conditions
    assert not list(run.folder.glob("report.*"))


def test_buyers_stop_at_their_share_of_the_purchases(ran):
    """With a number of purchases the trial ends with them, not before and not after."""
    (row,) = ran(strategies=("atomic",), purchases=50, stock=1000).measures.to_dict("records")
    assert (row["sales"], row["sold"], row["sold_out"]) == (50, 50, 0)


def test_time_ends_a_trial_that_stock_does_not(ran):
    """With seats to spare buyers buy until the time is up, and throughput counts all of it."""
    run = ran(strategies=("atomic",), seconds=0.5, stock=10**6, double_calls=0.0)
    (row,) = run.measures.to_dict("records")
    assert row["sold_out"] == 0
    assert row["seconds"] > 0.4
    assert row["sales"] == row["tickets"] > 0


def test_many_events_and_quantities_are_judged_event_by_event(ran):
    """Five events, purchases of one to four: every event is sold to its last ticket, or to a rest nobody wanted."""
    run = ran(strategies=("pessimistic",), events=5, stock=50, quantity=(1, 4), hot=0.5)
    ledger = run.trials[0].ledger()
    assert set(run.trials[0].history()["event"]) == {0, 1, 2, 3, 4}
    assert (ledger.events["available"] == 0).all()
    assert run.measures.loc[0, "verdict"] == "VALID"


def test_baskets_are_sold_whole_and_judged_event_by_event(ran):
    """Two or three of five events at a time, in any order: all is sold but a rest too small for a basket."""
    run = ran(strategies=("pessimistic", "atomic"), events=5, stock=60, basket=(2, 3), quantity=(1, 2))
    assert run.measures["verdict"].tolist() == ["VALID", "VALID"]
    for trial in run.trials:
        history, seats = trial.history(), trial.ledger().seats()
        sold = history[history["outcome"] == "sold"]
        sold = sold[sold["cause"] != "repeated"]
        assert set(sold.groupby("purchase_id").size()) == {2, 3}
        assert (seats["available"] > 0).sum() <= 1
        assert sold["quantity"].sum() == seats["tickets"].sum() > 200
        assert (sold["version"] > 1).all()
    assert "5 events of 60 seats, baskets of 2 to 3" in run.conditions
    assert "--basket 2-3" in run.experiment.command()


def test_the_control_of_baskets_is_caught_by_its_deadlocks(tmp_path):
    """It sells no ticket too many, and other tries cure its deadlocks: it is the lock order that is missing."""
    experiment = Experiment(
        **SMALL
        | {"strategies": ("basket_unordered",), "events": 2, "basket": (2, 2), "seconds": 5.0}
        | {"server_settings": {"deadlock_timeout": "10ms"}}
    )
    run = lab.run(experiment, out=tmp_path)
    assert [row["check"] for row in run.verdict_rows() if row["status"] == "INVALID"] == ["no_deadlock"]
    assert run.measures.loc[0, "retries_deadlock"] > 0
    assert run.undetected_controls == []


def test_baskets_of_a_strategy_that_sells_none_start_nothing(tmp_path):
    """Told before a server is started or a folder made, with the names of those that do."""
    experiment = Experiment(**SMALL | {"strategies": ("atomic", "naive"), "events": 3, "basket": (2, 2)})
    with pytest.raises(InvalidInputError, match=r"No baskets are sold by naive\. .*that do: .*atomic.*pessimistic"):
        lab.run(experiment, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_stock_that_is_counted_elsewhere_is_settled_before_the_ledger_is_read(tmp_path):
    """A strategy that brings the rows up to date in the end is judged by what they hold then."""

    def settle(connection, event_ids):
        count = "(SELECT count(*) FROM tickets WHERE event_id = events.id)"
        settled.append(len(event_ids))
        connection.execute(
            f"UPDATE events SET available_tickets = total_tickets - {count} WHERE id = ANY(%s)", [list(event_ids)]
        )

    @strategy(summary="counts tickets at the end of the day", safe=True, reconcile_stock=settle)
    def late(connection, request):
        with transaction(connection):
            connection.execute("SELECT pg_advisory_xact_lock(1)")
            count = "SELECT total_tickets, (SELECT count(*) FROM tickets WHERE event_id = %(event_id)s) FROM events"
            total, sold = connection.execute(f"{count} WHERE id = %(event_id)s", request.parameters).fetchone()
            if sold + request.quantity > total:
                return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, available_tickets=0)
            connection.execute(
                "INSERT INTO tickets (event_id, purchase_id) VALUES (%(event_id)s, %(purchase_id)s)", request.parameters
            )
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)

    settled = []
    run = lab.run(Experiment(**SMALL | {"strategies": ("late",), "events": 2, "stock": 20}), own=[late], out=tmp_path)
    assert settled == [3]
    assert run.measures.loc[0, ["verdict", "tickets"]].tolist() == ["VALID", 40]
    assert run.notes == [
        (
            "late is not one of ticketlab's strategies: its source is saved in environment.json; to run it again, "
            "pass it to lab.run(…, own=[…])."
        ),
        "late: its sales report no version, so their order is not checked; the number of tickets is.",
        "late does not claim that a purchase id is sold only once, so no id was called twice.",
    ]
    assert "counts tickets at the end of the day" in run.environment["own_strategies"]["late"]


def test_more_buyers_than_connections_wait_for_one(ran):
    """Twelve buyers share a pool of two and are all served."""
    run = ran(strategies=("atomic",), buyers=(12,), pool_sizes=(2,), stock=100)
    (row,) = run.measures.to_dict("records")
    assert (row["verdict"], row["tickets"], row["unavailable"]) == ("VALID", 100, 0)


def test_a_pool_beyond_the_servers_default_gets_its_connections(tmp_path):
    """The lab's own server is given as many connections as the pool may open."""
    experiment = Experiment(**SMALL | {"strategies": ("atomic",), "pool_sizes": (120,), "purchases": 10})
    run = lab.run(experiment, out=tmp_path)
    assert int(run.environment["server"]["settings"]["max_connections"]) >= 120


def test_a_strategy_of_ones_own_needs_a_name_of_its_own(tmp_path):
    """Nobody shall take it for the one that is known by that name, or for another of one's own."""

    @strategy(summary="not the one that is known", safe=True)
    def atomic(_connection, _request):
        raise NotImplementedError

    @strategy(summary="is given twice", safe=True)
    def mine(_connection, _request):
        raise NotImplementedError

    for own, name in (([atomic], "atomic"), ([mine, mine], "mine")):
        with pytest.raises(InvalidInputError, match=f"needs a name of its own: {name}"):
            lab.run(Experiment(**SMALL | {"strategies": (name,)}), own=own, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_strategy_starts_nothing(tmp_path):
    """The names are looked up before a server is started or a folder made."""
    with pytest.raises(NotFoundError, match="There is no strategy 'magic'"):
        lab.run(Experiment(**SMALL | {"strategies": ("magic",)}), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_is_said(tmp_path):
    """A file where the folder of runs should be."""
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InvalidInputError, match="Name a folder with --out"):
        lab.run(Experiment(**SMALL), out=tmp_path / "runs")


def test_a_defect_in_a_strategy_stops_the_trial_and_is_raised(database, an_event):
    """An error that is none of the database's is no outcome: the other buyers stop, and it is seen."""

    @strategy(summary="has a defect", safe=True)
    def defective(_connection, _request):
        raise ZeroDivisionError("a defect")

    repository = EventRepository(database, defective)
    event_id = an_event(repository).id
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run_load(repository, Plan(buyers=3, seconds=30), [event_id], warm_up_event=event_id)


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(tmp_path, is_running, eventually):
    """Interrupted in mid-trial: exit code 130, a run that can be read, its report, and no server."""
    heeding = (
        "import signal, ticketlab.cli; signal.signal(signal.SIGINT, signal.default_int_handler); ticketlab.cli.main()"
    )
    words = ["run", "--server", "embedded", "--seconds", "600", "--stock", "2000000000", "-s", "atomic"]
    command = [sys.executable, "-c", heeding, *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            eventually(lambda: list(tmp_path.glob("runs/*/experiment.json")) and postgres_of(process.pid))
            servers = postgres_of(process.pid)
            eventually(lambda: connected(servers[0]))
        finally:
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "ended early: 1 of 3 trials were run, the last of them cut short" in output
    (folder,) = tmp_path.glob("runs/*")
    run = Run(folder)
    assert run.trials[0].interrupted
    assert (run.measures["verdict"] != "INVALID").all()
    assert (folder / "report.html").is_file()
    assert not any(map(is_running, servers))


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def postgres_of(pid):
    """The postmasters that a process has started, from whichever of its threads."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(each) for task in tasks for each in task.read_text().split()]
    return [each for each in found if said_of(each, "comm").strip() == "postgres"]


def said_of(pid, what):
    """What the system says of a process; nothing where it has ended since it was listed."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/{what}").read_text()
    return ""


def connected(postmaster):
    """Whether buyers are at work: client backends that have a transaction or a statement under way."""
    return sum("127.0.0.1" in said_of(each, "cmdline") for each in children(postmaster)) >= 8


of_one_run = pytest.mark.xdist_group("one run")  # one process makes the run that both look at


class TestCommandLine:
    @of_one_run
    def test_json_is_one_object_with_the_run(self, printed):
        """Nothing but JSON on standard output, where its report is, and the exit code is that of a good run."""
        folder, done = printed
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        verdicts = {trial["strategy"]: trial["verdict"] for trial in told["trials"]}
        assert verdicts == {"naive": "INVALID", "atomic": "VALID"}
        assert told.pop("report") == str(Path(told["run"]) / "report.html")
        again = call("check", told["run"], "--json", cwd=folder)
        assert json.loads(again.stdout) == told

    @pytest.mark.slow
    def test_the_report_is_where_it_is_said_to_be(self, tmp_path):
        """A page of the run that was made."""
        words = ("run", "--server", "embedded", "-s", "atomic", "--purchases", "20", "--repeats", "1", "--json")
        told = json.loads(call(*words, cwd=tmp_path).stdout)
        assert Path(told["run"]).name in (tmp_path / told["report"]).read_text()

    @of_one_run
    def test_a_wrong_strategy_that_claims_to_be_safe_exits_1(self, printed, tmp_path):
        """The exit code is a gate: judged again with the control's claim changed, the run fails."""
        folder, done = printed
        shutil.copytree(folder / json.loads(done.stdout)["run"], tmp_path / "claimed")
        for described in tmp_path.glob("claimed/trials/*/trial.json"):
            described.write_text(described.read_text().replace('"safe": false', '"safe": true'))
        judged = call("check", "claimed", cwd=tmp_path)
        assert judged.returncode == 1
        assert "Not safe, although it claims to be: naive." in judged.stdout

    @pytest.mark.usefixtures("no_report")
    def test_the_table_shows_the_oversell_and_the_folder(self, tmp_path):
        """What a person sees: the verdicts, the oversell with its number, and where the run is."""
        words = ("run", "--server", "embedded", "-s", "naive", "-s", "atomic", "--purchases", "400", "--repeats", "1")
        done = call(*words, "--quiet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for words in ("naive oversold:", "INVALID", "VALID", "No violation found", "fsync on", "Run:", "Report:"):
            assert words in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80

    @pytest.mark.usefixtures("no_report")
    def test_weak_durability_is_said_beside_the_numbers(self, tmp_path):
        """A setting that makes commits cheaper is in the table's conditions and in a sentence of its own."""
        done = call(
            "run", "--server", "embedded", "-s", "atomic", "--purchases", "20", "--repeats", "1",
            "--set", "synchronous_commit=off", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "synchronous_commit off" in " ".join(done.stdout.split())
        assert "Durability was off" in done.stdout

    def test_migrate_follows_the_documented_variables(self, tmp_path, documented_variables):
        """Upgrade and revert on the database that DB_* names, and again with nothing left to do."""
        said = [
            call("migrate", word, cwd=tmp_path, **documented_variables).stdout
            for word in ("upgrade", "upgrade", "revert", "revert")
        ]
        assert [line.split(": ")[1] for line in said] == [
            "applied 0001, 0002\n",
            "nothing to apply\n",
            "reverted 0002\n",
            "reverted 0001\n",
        ]
        assert documented_variables["DB_PASSWORD"] not in "".join(said)

    def test_alembic_itself_works_in_the_checkout(self, documented_variables):
        """Without an alembic.ini: the configuration is in pyproject.toml, the database comes from DB_*."""
        commands = (["upgrade", "head"], ["check"], ["downgrade", "base"])
        done = subprocess.run(
            [sys.executable, "-c", f"from alembic.config import main\nfor words in {commands}: main(words)"],
            cwd=Path(__file__).parents[2],
            env=os.environ | documented_variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "No new upgrade operations detected" in done.stdout


def test_a_purchase_that_hangs_does_not_hang_the_lab(database, an_event, monkeypatch):
    """Somebody holds the table for good: when the trial is overdue its purchases are cut off, and told as failed."""
    monkeypatch.setattr(driver, "GRACE_S", 0.2)
    repository = EventRepository(database, "pessimistic")
    event, warm_up = an_event(repository), an_event(repository)
    plan = Plan(buyers=3, seconds=0.5, warm_up_s=0.0)
    with psycopg.connect(database.settings.url) as holder:
        holder.execute("SELECT 1 FROM events WHERE id = %s FOR UPDATE", [event.id])
        driven = run_load(repository, plan, [event.id], warm_up_event=warm_up.id)
        holder.rollback()
    assert driven.history["outcome"].tolist() == ["failed"] * 3
    assert driven.history["cause"].tolist() == ["connection"] * 3
    assert not driven.interrupted
    assert repository.get(event.id) == event


def test_a_server_that_dies_ends_the_run_and_keeps_what_was_measured(tmp_path, monkeypatch):
    """Killed between two trials: the error says where what was measured is, and that is judged."""
    postmasters, start = [], embedded.Postmaster.start

    def start_and_keep(postmaster):
        start(postmaster)
        postmasters.append(postmaster)

    def kill_before_the_second(step):
        if step.trial == 2 and step.so_far.purchases == 0:
            postmasters[0].stop()

    monkeypatch.setattr(embedded.Postmaster, "start", start_and_keep)
    experiment = Experiment(**SMALL | {"strategies": ("atomic",), "repeats": 2})
    with pytest.raises(UnavailableError) as caught:
        lab.run(experiment, out=tmp_path, on_progress=kill_before_the_second)
    (folder,) = tmp_path.iterdir()
    assert caught.value.__notes__ == [
        f"The results before it are kept in {folder}.",
        f"Last in the server's log: {postmasters[0].log().splitlines()[-1]}",
    ]
    assert "shut down" in caught.value.__notes__[1]
    run = Run(folder)
    assert (len(run.trials), run.ended_early) == (1, True)
    assert (folder / "verdicts.json").is_file()
    assert run.measures["verdict"].tolist() == ["VALID"]


@pytest.mark.usefixtures("no_report")
def test_an_external_server_is_left_as_it_was(tmp_path, server, database):
    """The lab works in a database of its own on the server it is given: others stay untouched, and its own goes."""
    with psycopg.connect(server.url) as connection:
        names = "SELECT datname FROM pg_database ORDER BY 1"
        before = connection.execute(names).fetchall()
        words = (
            "run",
            "--url",
            database.settings.url,
            "-s",
            "naive",
            "--purchases",
            "200",
            "--repeats",
            "1",
            "--quiet",
        )
        done = call(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "(external) · fsync on" in done.stdout
        assert database.settings.password.get_secret_value() not in done.stdout + done.stderr
        assert connection.execute(names).fetchall() == before
    assert EventRepository(database).list() == []
