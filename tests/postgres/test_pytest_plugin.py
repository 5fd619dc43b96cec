"""The pytest plugin in other people's sessions: what its fixtures give, what fails, what is said, and what is kept."""

import json
import re
import shlex
import sys
from pathlib import Path

import psycopg
import pytest

from ticketlab.runs.run import Run

EXAMPLE = '''
import pytest
from psycopg import Connection


def buy(connection: Connection, event_id, quantity, purchase_id) -> bool:
    with connection.transaction():
        stock = connection.execute("SELECT available_tickets FROM events WHERE id = %s", [event_id])
        left = stock.fetchone()[0] - quantity
        if left >= 0:
            connection.execute("UPDATE events SET available_tickets = %s WHERE id = %s", [left, event_id])
            tickets = "INSERT INTO tickets (event_id, purchase_id) SELECT %s, %s FROM generate_series(1, %s)"
            connection.execute(tickets, [event_id, purchase_id, quantity])
    return left >= 0


@pytest.mark.stress(strategy=buy, buyers=32, seconds=5, repeats=3)
def test_no_seat_is_sold_twice():
    """Every purchase of 32 buyers at once, checked against what the database holds."""
'''
"""A function of somebody's own, with a bug: nothing holds the row between the SELECT and the UPDATE."""
LOCKED = EXAMPLE.replace('WHERE id = %s", [event_id])', 'WHERE id = %s FOR UPDATE", [event_id])')
QUICK = ("--ticketlab-repeats=1", "--ticketlab-seconds=1")


@pytest.fixture(autouse=True)
def imported():
    """What the sessions within this test import: pytester forgets it, and libraries in C do not bear to come twice."""
    modules = {}
    yield modules
    sys.modules.update(modules)  # after pytester: what is set up first goes last


@pytest.fixture
def session(pytester, server, imported, monkeypatch):
    """Run pytest in this process, on the server that there is: returns how it ended, and leaves no database."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def run(*words):
        before = databases(server.url)
        options = ["-p", "no:cacheprovider", "-W", "error", f"--ticketlab-url={server.url}"]
        done = pytester.runpytest_inprocess(*options, *words, plugins=[Keeps(imported, pytester.path)])
        sys.modules.update(imported)
        assert databases(server.url) == before
        return done

    return run


class Keeps:
    """A plugin that notes the modules of a session, but those that lie in the folder of its tests."""

    def __init__(self, imported, folder):
        self._imported = imported
        self._folder = str(folder)

    def pytest_unconfigure(self):
        there = {name: each for name, each in sys.modules.items() if name != "__main__"}
        self._imported |= {name: each for name, each in there.items() if self._folder not in repr(each)}


def databases(url):
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def again(told):
    """The words of the command that a failure gives, after `pytest`."""
    (command,) = re.findall(r"^Again:  pytest (.+)$", told, re.MULTILINE)
    return shlex.split(command)


def test_a_function_with_a_bug_fails_with_its_story_and_passes_when_it_is_mended(
    pytester, session, server, monkeypatch
):
    """It names the bug, what happened, the seed, the folder and the command, which fails alike; locked it holds.

    The story is told once, also where pytest shortens nothing.
    """
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(test_shop=EXAMPLE)
    done = session(*QUICK, "--ticketlab-seed=7")
    done.assert_outcomes(failed=1)
    told = done.stdout.str()
    assert re.search(
        r"^buy: .*(oversell|lost update).*\. It claims to be safe \(32 buyers, 1 repeat, seed 7\)\.$",
        told,
        re.MULTILINE,
    )
    for words in (" · trial 1, buy, no_oversell: event 0: ", "1. ", "Why it is wrong: ", " INVALID"):
        assert words in told
    assert "runner.py" not in told
    story = told[told.index("buy: ") : told.index("Again:")]
    assert max(map(len, story.splitlines())) <= 80
    (folder,) = re.findall(r"^Run:    (ticketlab-runs/\S+-test_no_seat_is_sold_twice)$", told, re.MULTILINE)
    assert Run(pytester.path / folder).failed_strategies == ["buy"]
    words = again(told)
    assert words[:1] == ["test_shop.py::test_no_seat_is_sold_twice"]
    assert {*QUICK, "--ticketlab-seed=7"} < set(words)
    assert server.url not in told  # its password is nobody's business
    repeated = session(*words[:1], *(each for each in words if "seed" in each or each in QUICK))
    repeated.assert_outcomes(failed=1)
    assert "seed 7)." in repeated.stdout.str()
    pytester.makepyfile(test_shop=LOCKED)
    assert LOCKED != EXAMPLE
    session(*QUICK).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_run_without_progress_passes_and_fails_where_its_test_is_strict(pytester, session):
    """Half of the purchases fail while seats are left: the summary says so, and names a control as what is missing."""
    broken = LOCKED.replace(
        "    with connection", '    connection.execute("SELECT 1 / %s", [purchase_id.int % 2])\n    with connection'
    )
    marked = broken.replace("repeats=3", "repeats=3, strict=True")
    pytester.makepyfile(test_shop=broken)
    done = session("--ticketlab-repeats=3", "--ticketlab-seconds=0.5")
    done.assert_outcomes(passed=1)
    told = done.stdout.str()
    assert "VALID, no progress" in told
    assert re.search(
        r"^buy made no progress in 3 of 3 trials: at worst \d+ of \d+ purchases failed", told, re.MULTILINE
    )
    assert "Call ticketlab_run with a control too, such as naive." in told
    strict = session("--ticketlab-repeats=1", "--ticketlab-seconds=0.5", "--ticketlab-strict")
    strict.assert_outcomes(failed=1)
    assert "strict: buy made no progress in 1 of 1 trial:" in strict.stdout.str()
    assert "--ticketlab-strict" in again(strict.stdout.str())
    pytester.makepyfile(test_shop=marked)
    session("--ticketlab-repeats=1", "--ticketlab-seconds=0.5").assert_outcomes(failed=1)


def test_what_the_fixtures_give(pytester, session):
    """A server, a migrated database of each test's own, and runs of what can be judged, removed when all is well."""
    pytester.makeini("[pytest]\nticketlab_buyers = 5\nticketlab_repeats = 1\n")
    pytester.makepyfile(
        mine="from ticketlab.tickets.strategies import get\nlocked = get('pessimistic').purchase\n",
        test_it="""
        import pytest, ticketlab
        from datetime import UTC, datetime
        from pathlib import Path
        from ticketlab.tickets.strategies import get

        seen = set()

        def sell(connection, request):
            return get("atomic").purchase(connection, request)

        @pytest.mark.parametrize("turn", [1, 2])
        def test_a_database_is_empty_migrated_and_ones_own(ticketlab_server, ticketlab_database, turn):
            assert ticketlab_server.settings["fsync"] == "on"
            assert isinstance(ticketlab_database, ticketlab.Database)
            repository = ticketlab.EventRepository(ticketlab_database)
            assert repository.list() == []
            repository.create(name="mine", date=datetime(2030, 1, 1, tzinfo=UTC), total_tickets=1)
            seen.add(ticketlab_database.settings.name)
            assert len(seen) == turn

        @pytest.mark.stress(purchases=40, seconds=50)
        class TestRuns:
            @pytest.mark.stress(purchases=60)
            def test_of_names_functions_and_strategies(self, ticketlab_run):
                with pytest.raises(LookupError, match="No run was made yet"):
                    ticketlab_run.last
                folders = set()
                for given in ("mine:locked", get("atomic"), sell):
                    run = ticketlab_run(given, stock=30)
                    assert ticketlab_run.last is run
                    ran = run.experiment
                    assert (ran.purchases, ran.stock, ran.buyers, ran.seconds, ran.repeats) == (60, 30, (5,), 50, 1)
                    folders.add(run.folder)
                assert len(folders) == 3 and all(each.is_dir() for each in folders)
                Path("folder").write_text(str(run.folder))

            def test_of_an_experiment(self, ticketlab_run):
                given = ticketlab.Experiment(strategies=("naive", "atomic"), events=3, seconds=9.0)
                run = ticketlab_run(given, purchases=90, repeats=1, refunds=0.1)
                ran = run.experiment
                assert (ran.purchases, ran.seconds, ran.buyers, ran.stock) == (90, 9, (16,), 1000)
                assert (ran.server, run.failed_strategies) == ("external", [])

        @pytest.mark.stress(strategy="naive", purchases=60, stock=10)
        def test_a_control_may_be_caught(ticketlab_run):
            assert ticketlab_run.last.measures["verdict"].tolist() == ["INVALID"]
        """,
    )
    done = session("-q")
    done.assert_outcomes(passed=5)
    done.stdout.fnmatch_lines(
        ["strategy*sales/s  verdict", "mine:locked*little evidence", "atomic*", "sell*", "naive*"]
    )
    assert "INVALID, control" in done.stdout.str()
    assert not Path((pytester.path / "folder").read_text()).exists()
    assert not (pytester.path / "ticketlab-runs").exists()


def test_what_can_not_be_run_fails_without_a_traceback_of_the_lab(pytester, session):
    """An unknown strategy, a typo in a call or in SQL, a load that can not be made, an error in the user's code."""
    pytester.makepyfile(
        """
        import pytest, ticketlab

        def broken(connection, event_id, quantity, purchase_id):
            return {}["the tickets"]

        def undecided(connection, event_id, quantity, purchase_id):
            connection.execute("SELECT free FROM seats")

        def test_name(ticketlab_run): ticketlab_run("magic")
        def test_typo(ticketlab_run): ticketlab_run("atomic", buyer=3)
        def test_load(ticketlab_run): ticketlab_run("naive", events=2, basket=2, purchases=10)
        def test_settings(ticketlab_run): ticketlab_run(ticketlab.Experiment(server_settings={"work_mem": "1MB"}))
        @pytest.mark.stress(strategy=broken, purchases=10)
        def test_own(): ...
        @pytest.mark.stress(strategy=undecided, purchases=10)
        def test_undecided(): ...
        """
    )
    done = session()
    done.assert_outcomes(failed=6)
    told = done.stdout.str()
    for sentence in (
        "There is no strategy 'magic'. There are: ",
        "ticketlab_run takes no buyer. It takes buyers, seconds, ",
        "No baskets are sold by naive.",
        "This server is already running: work_mem cannot be set.",
        'return {}["the tickets"]',
        "KeyError: 'the tickets'",
        "undecided: undecided. It claims to be safe (16 buyers, 3 repeats, seed 1).",
        "no purchase was answered, so nothing was checked",
        "The first that ended failed (",
    ):
        assert sentence in told
    assert "runner.py" not in told
    assert "ticketlab/runs/lab.py" not in told


def test_where_a_failure_is_written_down(pytester, session, monkeypatch):
    """Beside the JUnit XML the run and its report, in GitHub's summary its story; a failed body keeps its run too."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    (pytester.path / "summary.md").write_text("# From another step\n")
    pytester.makepyfile(
        test_shop=EXAMPLE.replace("buyers=32, seconds=5, repeats=3", "buyers=8, purchases=100, repeats=1"),
        test_body="def test_body(ticketlab_run):\n    run = ticketlab_run('atomic', purchases=40, repeats=1)\n"
        "    assert run.failed_strategies",
        test_not_run="def test_not_run(ticketlab_server): ...",
    )
    done = session("--junitxml=out/junit.xml", "--maxfail=2", "test_body.py", "test_shop.py", "test_not_run.py")
    done.assert_outcomes(failed=2)
    told, out = done.stdout.str(), pytester.path / "out"
    assert "The run is saved in out/ticketlab-runs/" in told
    kept = {Run(each).experiment.strategies for each in (out / "ticketlab-runs").iterdir()}
    assert kept == {("atomic",), ("buy",)}
    (report,) = out.glob("ticketlab-*-test_no_seat_is_sold_twice.md")
    assert f"Report: out/{report.name}" in told
    assert "Which strategy is safe?" in report.read_text()
    assert "Oversell" in (out / "junit.xml").read_text()
    summary = (pytester.path / "summary.md").read_text()
    assert summary.startswith("# From another step\n### ticketlab: 1 of 2 failed\n")
    assert re.search(r"^- \*\*VALID, little evidence\*\* `atomic`: 16 buyers, \d+ purchases, ", summary, re.MULTILINE)
    assert "Why it is wrong: " in summary


def test_runs_are_kept_where_it_is_asked_and_what_can_not_be_kept_stays(pytester, session):
    """Relative to where pytest was started; where a file is in the way, the run is left where it was made."""
    pytester.makepyfile(
        "def test_it(ticketlab_run):\n    run = ticketlab_run('atomic', purchases=4, repeats=1)\n"
        "    assert run.failed_strategies"
    )
    session("--ticketlab-runs=kept/here").assert_outcomes(failed=1)
    (folder,) = (pytester.path / "kept/here").iterdir()
    assert json.loads((folder / "verdicts.json").read_text())
    (pytester.path / "taken").write_text("a file")
    told = session("--ticketlab-runs=taken").stdout.str()
    (place,) = re.findall(r"The run is saved in (\S+)", told)
    assert Run(Path(pytester.path / place)).failed_strategies == []


def test_a_server_that_can_not_be_had_is_told_in_a_sentence(pytester):
    """An error of each test that asks for it, with what to do, and without its password."""
    pytester.makepyfile("def test_it(ticketlab_database): ...\ndef test_more(ticketlab_run): ...")
    done = pytester.runpytest_inprocess("--ticketlab-url=postgresql://me:secret@127.0.0.1:1/db")
    done.assert_outcomes(errors=2)
    told = done.stdout.str()
    assert "No PostgreSQL can be used at postgresql://me@127.0.0.1:1/db" in told
    assert "resources.py" not in told
    assert "secret" not in told.partition("test session starts")[2]
