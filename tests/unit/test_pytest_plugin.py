"""What the pytest plugin can be asked for, and what it costs a session that asks for nothing. Starts no server."""

import dataclasses
import subprocess
import sys

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.pytest_plugin import messages, options
from ticketlab.pytest_plugin.runner import LoadOptions, resolve_run
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

HEAVY = ("pandas", "sqlalchemy", "psycopg", "pydantic", "rich", "numpy", "matplotlib", "docker", "alembic")


def said(**layers):
    return LoadOptions(**{"configured": {}, "marked": {}, "called": {}, "commanded": {}} | layers)


def asked(given="atomic", *, own=(), workers=1, **layers):
    return resolve_run(given, said(**layers), own=own, test="test_it[a/b]", workers=workers)


def row(**fields):
    plain = {"test": "test_shop.py::test_it", "strategy": "buy", "safe": True, "buyers": 16, "purchases": 1200}
    found = {"per_s": 812.6, "verdict": "VALID", "wrong": False, "server": "PostgreSQL 18.6", "workers": 1}
    return plain | found | {"failure": "", "doubts": [], "concerns": []} | fields


def test_a_session_that_does_not_use_it_imports_nothing_heavy(tmp_path):
    """Pytest with the plugin and a test that has the bare mark, which stays a label, loads no library of the lab."""
    (tmp_path / "test_empty.py").write_text(
        f"import sys, pytest\n@pytest.mark.stress\ndef test_it():\n    assert not set({HEAVY}) & set(sys.modules)\n"
        "    assert 'ticketlab.pytest_plugin' in sys.modules and 'ticketlab.pytest_plugin.runner' not in sys.modules\n"
    )
    # Without the plugins of others, which may import what they like.
    words = ["-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:cacheprovider", "--strict-markers", "-mstress"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout
    assert "strategy" not in done.stdout  # nothing was judged, and nothing is said


def test_the_command_line_counts_most_and_the_configuration_file_least():
    """Command line, call, mark, configuration file, and what Experiment has by itself."""
    layers = {
        "configured": options.load({"buyers": 2, "seconds": 2, "repeats": 2, "seed": 2}, "the file"),
        "marked": options.load({"buyers": 3, "seconds": 3, "repeats": 3}, "the mark"),
        "called": options.load({"buyers": 4, "seconds": 4}, "the call"),
        "commanded": options.load({"buyers": "5"}, "the command line"),
    }
    made = asked(**layers).experiment
    assert (made.buyers, made.seconds, made.repeats, made.seed) == ((5,), 4.0, 3, 2)
    assert (made.stock, made.strategies, made.name) == (Experiment().stock, ("atomic",), "test_it-a-b")


def test_an_experiment_says_its_load_itself():
    """The mark and the configuration file change nothing of it; a call's keywords and the command line do."""
    given = Experiment(strategies=("naive", "atomic"), buyers=(4, 8), seconds=9.0)
    layers = {"configured": {"buyers": (2,)}, "marked": {"seconds": 3.0}, "called": {"repeats": 1}}
    made = asked(given, commanded={"seed": 7, "server": "embedded"}, **layers).experiment
    assert made == dataclasses.replace(given, repeats=1, seed=7)


def test_a_number_of_purchases_gets_time_enough_and_too_few_seats():
    """As on the command line: what is limited by purchases is not to be cut short, and has to run out of seats."""
    made = asked(called={"purchases": 200, "events": 2}).experiment
    assert (made.stock, made.seconds) == (50, 60.0)
    assert asked(called={"purchases": 200}, marked={"stock": 7}).experiment.stock == 7


def test_workers_share_the_buyers_and_keep_at_least_two():
    """A race needs two; a single buyer that was asked for stays single."""
    shares = {each: asked(called={"buyers": each}, workers=4) for each in ((32,), (4,), (1,), (16, 8, 1))}
    assert [made.experiment.buyers for made in shares.values()] == [(8,), (2,), (1,), (4, 2, 1)]
    assert [made.divided for made in shares.values()] == [True, True, False, True]


def test_a_strategy_of_ticketlabs_is_its_own_and_a_function_is_ones_own():
    """What is found by its name is named; what is not is handed over."""

    def buy(connection, event_id, quantity, purchase_id):
        """Never called."""

    assert asked(strategies.get("atomic")).own == []
    made = asked(buy)
    assert made.experiment.strategies == ("buy",)
    assert [each.summary for each in made.own] == ["Never called."]
    with pytest.raises(InvalidInputError, match="takes connection"):
        asked(lambda connection: connection)


def test_every_keyword_is_a_field_of_the_experiment():
    """What can be said of the load is said by Experiment's own names."""
    assert set(options.LOAD) - options.OF_THE_SESSION <= {each.name for each in dataclasses.fields(Experiment)}
    assert {each.name for each in options.OPTIONS} - options.OF_THE_SESSION <= set(options.LOAD)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("buyers", 0, "a whole number from 1"),
        ("buyers", True, "a whole number from 1"),
        ("buyers", (), "a whole number from 1"),
        ("seconds", "inf", "a number of seconds above 0"),
        ("seconds", "soon", "a number of seconds above 0"),
        ("refunds", 1.5, "a share from 0 to 1"),
        ("double_calls", -0.5, "a share from 0 to 1"),
        ("basket", (3, 2), "a whole number such as 2, or a range"),
        ("seed", -1, "a whole number from 0"),
        ("strict", "perhaps", "true or false"),
    ],
)
def test_a_value_that_can_not_be_used_is_told(name, value, wanted):
    """With the keyword, what is wanted and what was given."""
    with pytest.raises(ValueError, match=f"ticketlab_run: {name} is {wanted}") as caught:
        options.load({name: value}, "ticketlab_run")
    assert str(caught.value).endswith(f"not {value!r}.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ticketlab-buyers=many"], "--ticketlab-buyers takes a whole number from 1, such as 16, not 'many'."),
        (
            ["--ticketlab-server=oracle"],
            "--ticketlab-server takes one of auto, embedded, container, external, perhaps with a major",
        ),
        (["--ticketlab-double-calls=2"], "--ticketlab-double-calls takes a share from 0 to 1, such as 0.1, not '2'."),
        (["-o", "ticketlab_double_calls=no"], "ticketlab_double_calls (tox.ini) takes a share from 0 to 1"),
        (["-o", "ticketlab_seconds=0"], "ticketlab_seconds (tox.ini) takes a number of seconds above 0, such as 2.5"),
    ],
)
def test_a_bad_option_ends_the_session_before_it_begins(words, said, pytester):
    """On the command line or in the file: a usage error with one sentence, and nothing is collected."""
    pytester.makeini("[pytest]")
    done = pytester.runpytest_inprocess(*words)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {said}" in done.stderr.str()
    assert "collected" not in done.stdout.str()


def test_a_mark_that_can_not_be_read_is_told_where_it_stands(pytester):
    """A typo, a value, a strategy without its keyword, and a function that pytest takes for what is to be marked."""
    marks = {
        "typo": "buyer=3",
        "value": "buyers='many'",
        "place": "'atomic'",
        "function": "buy",
    }
    for name, said in marks.items():
        source = f"import pytest\ndef buy(connection, request): ...\n@pytest.mark.stress({said})\ndef test_it(): ..."
        pytester.makepyfile(**{f"test_{name}": source})
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(errors=4)
    told = done.stdout.str()
    for sentence in (
        "test_typo.py::test_it: @pytest.mark.stress takes no buyer. It takes buyers, seconds, repeats, seed, ",
        "hot, refunds, double_calls, max_failures, strict. Also strategy.",
        "test_value.py::test_it: @pytest.mark.stress: buyers is a whole number from 1, such as 16, not 'many'.",
        "test_place.py::test_it: The mark takes only keywords: write @pytest.mark.stress(strategy=…). It was given",
        "strategy=…). Given only a function, it marks that function.",
    ):
        assert sentence in told
    assert told.count("Given only a function") == 1


def test_the_mark_and_the_options_explain_themselves(pytester):
    """`pytest --markers` and `pytest --help` have them, and each option its setting."""
    assert "@pytest.mark.stress(buyers=32, seconds=5" in pytester.runpytest_inprocess("--markers").stdout.str()
    told = pytester.runpytest_inprocess("--help").stdout.str()
    for each in options.OPTIONS:
        assert each.flag in told
        assert each.ini in told


def test_the_summary_is_a_table_and_says_what_was_divided():
    """Numbers to the right, words to the left, and no line without reason."""
    rows = [row(), row(strategy="naive", safe=False, verdict="INVALID", buyers=4, workers=2)]
    assert messages.table(rows) == [
        "strategy  buyers  purchases  sales/s  verdict",
        "buy           16      1,200      813  VALID",
        "naive          4      1,200      813  INVALID, control",
    ]
    assert messages.remarks(rows[:1]) == ["PostgreSQL 18.6"]
    assert messages.remarks(rows)[1].startswith("Each of 2 xdist workers had its own server and a share of the buyers")


def test_a_test_is_strict_where_the_session_its_mark_or_a_call_says_so():
    """The command line counts most, the configuration file least; an experiment has no such field."""
    assert not said().strict
    assert said(configured={"strict": True}).strict
    assert not said(configured={"strict": True}, marked={"strict": False}).strict
    assert said(called={"strict": False}, commanded={"strict": True}).strict
    assert asked(marked=options.load({"strict": "true", "max_failures": 0.2}, "the mark")).experiment == (
        asked(marked={"max_failures": 0.2}).experiment
    )


def test_concerns_stand_below_the_table_once():
    """What makes a run amber is said beside its verdict and in a sentence, however many tests have it."""
    stuck = row(doubts=["no progress"], concerns=[{"kind": "no progress", "text": "buy made no progress."}])
    assert messages.table([stuck])[1].endswith("VALID, no progress")
    assert messages.remarks([stuck, stuck]) == ["buy made no progress.", "PostgreSQL 18.6"]


def test_a_control_of_another_test_is_a_control_of_the_session():
    """Without one it is said how a test has one; what `ticketlab run` takes would not help."""
    alone = row(concerns=[{"kind": "no control", "text": "Add one: -s naive."}])
    assert "Call ticketlab_run with a control too, such as naive." in messages.remarks([alone])[0]
    caught = row(strategy="naive", safe=False, verdict="INVALID")
    assert messages.remarks([alone, caught]) == ["PostgreSQL 18.6"]


def test_the_markdown_has_a_line_a_run_and_the_story_of_what_failed():
    """What held is one line; what did not is told whole, in a fence."""
    failed = row(strategy="sell", verdict="INVALID", wrong=True, failure="sell: oversell.")
    told = messages.markdown([row(), failed])
    assert told.startswith("### ticketlab: 1 of 2 failed\n")
    assert "- **VALID** `buy`: 16 buyers, 1,200 purchases, 813 sales/s (`test_shop.py::test_it`)\n" in told
    assert "\n```text\nsell: oversell.\n```\n" in told
    assert messages.markdown([row()]).startswith("### ticketlab: all 1 passed\n")
