"""A small exam on an embedded server: a mutant of each setting is caught, a safe strategy is not accused."""

import json

import psutil
import psycopg
import pytest

from ticketlab import mutants, power
from ticketlab.errors import TicketlabError
from ticketlab.mutants import Trigger
from ticketlab.power import MutationPlan, _detection, runner

ONE_OF_EACH = {
    Trigger.LOAD: "pessimistic_unlocked",
    Trigger.BASKETS: "atomic_mixed_up",
    Trigger.DISCONNECT: "lock_timeout_told_sold",
    Trigger.LOSE_REPLY: "atomic_lost_as_failed",
    Trigger.DOUBLE_CALLS: "pessimistic_looked_up_first",
}
CRASHED = "server_function_asynchronous"


def ours():
    """The processes that this one has started."""
    return {each.pid for each in psutil.Process().children()}


@pytest.fixture
def databases(server):
    """The names of the server's databases, each time they are asked for."""

    def names():
        with psycopg.connect(server.url) as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    return names


def test_a_mutant_of_each_setting_is_caught_soon_by_its_check(server, tmp_path, databases):
    """On a server that was given, in a database that is gone afterwards."""
    before = databases()
    exam = MutationPlan(mutants=tuple(ONE_OF_EACH.values()), repeats=1, trials=0, purchases=2_000, server="external")
    results, folder = power.run(exam, out=tmp_path, url=server.url)
    assert results.undetected == []
    assert [len(each.detections) for each in results.found] == [1] * len(ONE_OF_EACH)
    assert {name: mutants.registry()[name].trigger for name in exam.mutants} == {
        name: setting for setting, name in ONE_OF_EACH.items()
    }
    assert power.read(folder) == results
    assert databases() == before


def test_a_mutant_that_shows_in_a_crash_meets_one_on_a_server_that_can_be_crashed(server, tmp_path):
    """Where the server that was given can not be, on one of its own, which is gone afterwards."""
    before = ours()
    exam = MutationPlan(mutants=(CRASHED,), repeats=1, trials=0, purchases=100, server="external")
    results, _ = power.run(exam, out=tmp_path, url=server.url)
    (found,) = results.found
    assert found.detections_by_check["sales_in_ledger"] == 1  # what was lost in the crash is missed by this one too
    assert ours() == before


@pytest.mark.parametrize("trials", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_safe_strategies_raise_no_alarm(tmp_path, trials):
    """Some with lost connections or a crash; of many trials each strategy has one, and a few have more."""
    results, folder = power.run(MutationPlan(mutants=(), trials=trials, seed=5), out=tmp_path)
    assert (len(results.safe), results.false_alarms, results.ended_early) == (trials, [], False)
    assert results.environment["server"]["settings"]["deadlock_timeout"] == "10ms"
    assert results.environment["server"]["settings"]["synchronous_commit"] == "on"
    assert json.loads((folder / "power.json").read_text())["exam"]["seed"] == 5


def test_ctrl_c_keeps_what_was_measured(server, tmp_path):
    """Pressed at the third chase: two are the results, saved, and they say that the rest is missing."""

    def press(step):
        if step.trial == 3:
            raise KeyboardInterrupt

    exam = MutationPlan(mutants=("pessimistic_unlocked",), repeats=5, trials=3, server="external")
    results, folder = power.run(exam, out=tmp_path, url=server.url, on_progress=press)
    assert len(results.runs) == 2
    assert results.ended_early
    assert power.read(folder) == results


def test_ctrl_c_in_the_middle_of_a_trial_leaves_that_one_out(server, tmp_path, monkeypatch):
    """What its buyers had bought by then is not judged: the chase under way is no miss."""
    pressed = []
    honest = runner.trial_runner.progress_callback

    def pressing(step, on_progress):
        tell = honest(step, on_progress)

        def tick(so_far):
            if step.trial == 2 and not pressed:
                pressed.append(so_far)
                raise KeyboardInterrupt
            tell(so_far)

        return tick

    monkeypatch.setattr(runner.trial_runner, "progress_callback", pressing)
    exam = MutationPlan(mutants=("pessimistic_unlocked",), repeats=2, trials=0, server="external")
    results, _ = power.run(exam, out=tmp_path, url=server.url)
    assert pressed
    assert [each.repeat for each in results.runs] == [1]


def test_ctrl_c_before_the_first_chase_leaves_nothing(server, tmp_path):
    """It is raised, and no folder is made."""

    def press(step):
        if step.trial == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        power.run(MutationPlan(repeats=1, server="external"), out=tmp_path, url=server.url, on_progress=press)
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_can_not_be_made_is_named_and_what_was_before_is_kept(server, tmp_path, monkeypatch):
    """The second chase fails: its name is told, and where the first one is."""
    honest = _detection.observe

    def failing(server, strategy, trial, **options):
        if strategy.name == "atomic_one_off":
            message = "no database"
            raise TicketlabError(message)
        return honest(server, strategy, trial, **options)

    monkeypatch.setattr(_detection, "observe", failing)
    monkeypatch.setattr(MutationPlan, "schedule", lambda exam: (runner.ScheduledRun(name, 1) for name in exam.mutants))
    exam = MutationPlan(mutants=("pessimistic_unlocked", "atomic_one_off"), repeats=1, trials=0, server="external")
    with pytest.raises(TicketlabError, match="no database") as failed:
        power.run(exam, out=tmp_path, url=server.url)
    (folder,) = tmp_path.iterdir()
    assert any("atomic_one_off, repeat 1" in note for note in failed.value.__notes__)
    assert any(str(folder) in note for note in failed.value.__notes__)
    assert [each.mutant for each in power.read(folder).runs] == ["pessimistic_unlocked"]
