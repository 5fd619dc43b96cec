"""The tables of an exam in a terminal of 80 columns and in Markdown, and the exit code that goes with them."""

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ticketlab import cli, mutants, power
from ticketlab.checks.mutation_baseline import MutationBaseline
from ticketlab.errors import InvalidInputError
from ticketlab.power import tables
from ticketlab.power.plan import MutationPlan
from ticketlab.power.results import Detection, DetectionRun, MutationResults, SafeTrial, describe
from ticketlab.power.runner import Done

ENVIRONMENT = {
    "machine": {"cpus": 2},
    "server": {
        "kind": "embedded",
        "version": "18.6",
        "why": "embedded PostgreSQL 18.6: asked for by name",
        "settings": {"fsync": "on", "deadlock_timeout": "10ms"},
    },
}
ALL = tuple(mutants.registry())


def chase(name, repeat, *, caught=True):
    check = mutants.registry()[name].expected_check
    checks = (check, "strict_serializability") if check != "strict_serializability" else (check,)
    detections = tuple(Detection(check=each, buyers=2, purchases=repeat * 100, seconds=0.25) for each in checks)
    return DetectionRun(
        mutant=name,
        repeat=repeat,
        check=check,
        purchases=repeat * 100,
        seconds=0.25,
        detections=detections if caught else detections[1:],
    )


def results(*, names=ALL, repeats=3, made=None, missed=(), invalid=None):
    trial = SafeTrial(
        number=1,
        strategy="atomic",
        load="2 buyers, seed 77",
        purchases=40,
        seconds=0.1,
        invalid=invalid or {},
        unknown={},
    )
    return MutationResults(
        plan=MutationPlan(mutants=names, repeats=repeats, trials=1),
        environment=ENVIRONMENT,
        mutants=tuple(describe(mutants.registry()[name]) for name in names),
        runs=tuple(
            chase(name, repeat, caught=name not in missed)
            for name in names
            for repeat in range(1, (made or repeats) + 1)
        ),
        safe=(trial,),
    )


def rendered(*parts, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(*parts, sep="\n", highlight=False)
    return console.file.getvalue()


def test_the_table_fits_in_80_columns():
    """No name of a mutant or a check is broken there, and no number is cut."""
    made = results()
    text = rendered(tables.caught(made))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("…") == sum(each.strategy.summary.count("…") for each in mutants.registry().values())
    for name in ALL:
        assert any(line.split()[:2] == [name, mutants.registry()[name].expected_check] for line in text.splitlines())


def test_a_row_has_mistake_checks_counts_and_medians():
    """What a reader asks of each mutant."""
    lines = rendered(tables.caught(results(names=("pessimistic_unlocked",)))).splitlines()
    row = next(place for place, line in enumerate(lines) if line.startswith("pessimistic_unlocked"))
    assert lines[row].split() == ["pessimistic_unlocked", "no_oversell", "3/3", "200", "0.25"]
    assert lines[row + 1].startswith("the row is read without FOR")
    assert lines[row + 1].split()[-5:] == ["strict_serializability", "3", "29%–100%", "300", "0.25"]


def test_a_mutant_that_was_never_caught_has_dashes():
    """And is named below."""
    made = results(names=("pessimistic_unlocked",), missed=("pessimistic_unlocked",))
    lines = rendered(tables.caught(made)).splitlines()
    assert next(line for line in lines if line.startswith("pessimistic_unl")).split()[-3:] == ["0/3", "–", "–"]
    assert "Missed too often: pessimistic_unlocked." in rendered(*tables.remarks(made))


def test_a_false_alarm_is_told_with_its_seed_and_verdict():
    """So that it can be made again."""
    said = " ".join(rendered(*tables.remarks(results(invalid={"atomic": "half a purchase"}))).split())
    assert "False alarm in trial 1, atomic, atomic: half a purchase (2 buyers, seed 77)" in said


def test_the_conditions_name_what_was_set():
    """The deadlock timeout above all, as it is not PostgreSQL's."""
    said = " ".join(rendered(tables.legend(results())).split())
    assert "deadlock_timeout 10ms" in said
    assert "Clopper–Pearson" in said


def test_markdown_has_a_row_a_mutant_and_a_short_table_a_row_a_check():
    """With as many cells in each as there are headings."""
    made = results()
    for table, count in (
        (tables.by_mutant(made), len(ALL)),
        (tables.by_check(made), len({each.expected_check for each in mutants.registry().values()})),
    ):
        lines = table.splitlines()
        assert len(lines) == count + 2
        assert len({line.count(" | ") for line in lines}) == 1
    assert tables.by_check(results(names=("pessimistic_unlocked",))).splitlines()[-1] == (
        "| `no_oversell` | 1 | 1 | 3 of 3 | 200 | 300 |"
    )


def test_the_page_says_it_all():
    """Sentences, both tables and the conditions."""
    page = tables.page(results())
    assert "mutants were detected" in page
    assert page.count("\n| --- |") == 2
    assert "deadlock_timeout" in page


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (results(names=("atomic_one_off",)), 0),
        (results(names=("atomic_one_off",), missed=("atomic_one_off",)), 1),
        (results(names=("atomic_one_off",), invalid={"durable": "gone"}), 1),
        (results(names=("atomic_one_off",), repeats=20, made=2), 130),
    ],
    ids=["all caught", "missed", "false alarm", "ended early"],
)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_exit_code_says_how_it_ended(monkeypatch, tmp_path, made, code, words):
    """What there is, is printed all the same."""
    monkeypatch.setattr(power, "run", lambda *_args, **_options: Done(made, tmp_path))
    done = CliRunner().invoke(cli.app, ["power", *words])
    assert done.exit_code == code
    assert "atomic_one_off" in done.stdout
    if words:
        assert json.loads(done.stdout)["folder"] == str(tmp_path)


def test_without_options_everything_is_asked_for(monkeypatch, tmp_path):
    """Every mutant twenty times, and two hundred safe trials; of those that are chosen by name only the mutants."""
    asked = []
    monkeypatch.setattr(
        power, "run", lambda exam, **_options: asked.append(exam) or Done(results(names=ALL[:1]), tmp_path)
    )
    CliRunner().invoke(cli.app, ["power"])
    CliRunner().invoke(cli.app, ["power", "-m", "atomic_one_off"])
    assert asked == [MutationPlan(), MutationPlan(mutants=("atomic_one_off",), trials=0)]


@pytest.mark.parametrize(
    "words", [["-m", "magic"], ["--list", "-m", "magic"], ["--check", "magic"], ["--repeats", "0"]]
)
def test_bad_input_is_refused(words):
    """By an error that `main` turns into a sentence and the exit code 2."""
    assert isinstance(CliRunner().invoke(cli.app, ["power", *words]).exception, InvalidInputError)


def test_the_list_has_every_mutant_with_its_mistake_and_check():
    """As a table and as JSON, and nothing is run."""
    listed = json.loads(CliRunner().invoke(cli.app, ["power", "--list", "--json"]).stdout)
    assert [each["name"] for each in listed] == list(ALL)
    assert all(each["mistake"] and each["check"] for each in listed)
    shown = CliRunner().invoke(cli.app, ["power", "--list", "--check", "durable"]).stdout
    assert "server_function_asynchronous" in shown
    assert "pessimistic_unlocked" not in shown


class TestKeep:
    @pytest.fixture
    def kept(self, monkeypatch):
        """What would be kept for reports."""
        kept = []
        monkeypatch.setattr(MutationBaseline, "write", lambda measured: kept.append(measured) or None)
        return kept

    def test_a_whole_exam_is_kept(self, monkeypatch, tmp_path, kept):
        """For reports to go by."""
        made = results()
        monkeypatch.setattr(power, "run", lambda *_args, **_options: Done(made, tmp_path))
        assert CliRunner().invoke(cli.app, ["power", "--keep"]).exit_code == 0
        assert kept == [made.known()]

    @pytest.mark.parametrize("words", [["-m", "atomic_one_off"], ["--repeats", "5"], ["--trials", "10"]])
    def test_a_part_of_one_is_refused_before_it_is_made(self, kept, words):
        """Else reports would claim what was never measured."""
        done = CliRunner().invoke(cli.app, ["power", "--keep", *words])
        assert "--keep needs all mutants" in str(done.exception)
        assert kept == []

    def test_one_that_was_ended_early_is_not_kept(self, monkeypatch, tmp_path, kept):
        """Which is said."""
        monkeypatch.setattr(power, "run", lambda *_args, **_options: Done(results(repeats=20, made=2), tmp_path))
        done = CliRunner().invoke(cli.app, ["power", "--keep"])
        assert (done.exit_code, kept) == (130, [])
        assert "ended early" in done.output
