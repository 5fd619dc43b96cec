"""The tables of a bench in a terminal of 80 columns, and the exit code that goes with them."""

import io
from itertools import product

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ticketlab import bench, cli
from ticketlab.bench import tables
from ticketlab.bench._subjects import Subject, SubjectKind
from ticketlab.bench.results import BUYERS, BenchResults, BenchTrial, HotEvent
from ticketlab.servers import Server

NAMES = {
    "an_optimistic_strategy_of_a_long_name": SubjectKind.STRATEGY,
    "atomic": SubjectKind.STRATEGY,
    "bare_atomic": SubjectKind.BARE,
    "pgbench_for_update": SubjectKind.PEER,
    "pgbench_one_statement": SubjectKind.PEER,
    "limit": SubjectKind.LIMIT,
}
SPEEDS = {1: 54_321.0, 2: 65_432.0, 3: 12_345.0}


def results(*, buyers=BUYERS, repeats=3, missing=(), error=""):
    turns = product(NAMES, buyers, range(1, repeats + 1))
    return BenchResults(
        plan=HotEvent(strategies=("atomic",), buyers=buyers, repeats=repeats),
        server=Server(kind="embedded", url="", version="18.6", settings={}, log=str, why="asked for by name"),
        subjects=[Subject(name=name, kind=kind, sell=lambda _context: None) for name, kind in NAMES.items()],
        trials=[
            BenchTrial(
                subject=name,
                buyers=number,
                repeat=repeat,
                per_s=SPEEDS[repeat],
                purchases=1,
                error=error if name == "atomic" else "",
            )
            for name, number, repeat in turns
            if (name, number) not in missing
        ],
    )


def rendered(*parts, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(*parts, sep="\n", highlight=False)
    return console.file.getvalue()


def test_six_numbers_of_buyers_fit_in_80_columns():
    """No line is longer, and no number is cut: a table that is given more room prints the same lines."""
    made = results()
    for part in (tables.speeds(made), tables.ratios(made)):
        narrow, wide = rendered(part), rendered(part, width=200)
        assert max(map(len, narrow.splitlines())) <= 80
        assert [line.rstrip() for line in narrow.splitlines()] == [line.rstrip() for line in wide.splitlines()]
        assert "…" not in narrow


def test_a_cell_has_the_median_and_below_it_the_range():
    """In sales per second, and the range in thousands."""
    lines = rendered(tables.speeds(results(buyers=(16,)))).splitlines()
    row = next(place for place, line in enumerate(lines) if line.startswith("atomic"))
    assert lines[row].split() == ["atomic", "54,321"]
    assert lines[row + 1].split() == ["12.3–65.4k"]


def test_a_single_repeat_has_no_range():
    """A range of one would look like certainty."""
    made = results(buyers=(16,), repeats=1)
    assert "k" not in rendered(tables.speeds(made)).split("buyers")[1].replace("bare", "").replace("pgbench", "")
    assert "at least 3 show" in rendered(tables.legend(made))


def test_more_numbers_of_buyers_make_more_tables():
    """The seventh stands below."""
    text = rendered(tables.speeds(results(buyers=(1, 2, 3, 4, 5, 6, 777))))
    assert text.count("sales/s") == 2
    assert "777" in text.split("sales/s")[2]


def test_an_unproven_claim_is_said_in_its_place_and_below():
    """Where the number would be stands a word, and the reason under the tables."""
    made = results(buyers=(16,), error="it claims 3 tickets, the ledger has 2")
    lines = rendered(tables.speeds(made)).splitlines()
    assert next(line for line in lines if line.startswith("atomic")).split() == ["atomic", "unproven"]
    said = " ".join(rendered(*tables.remarks(made)).split())
    assert "Not proven: atomic, 16 buyers, repeat 1: it claims 3 tickets, the ledger has 2." in said


def test_what_was_not_measured_is_a_dash():
    """As after Ctrl-C."""
    lines = rendered(tables.speeds(results(buyers=(1, 16), missing={("limit", 16)}))).splitlines()
    assert next(line for line in lines if line.startswith("limit")).split() == ["limit", "54,321", "–"]


def test_each_ratio_has_its_table():
    """Against both scripts of pgbench, the limit, and the bare loop."""
    text = rendered(tables.ratios(results()))
    for heading in ("pgbench FOR UPDATE", "pgbench one statement", "% of the limit", "bare psycopg loop"):
        assert heading in text


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (results(buyers=(1,)), 0),
        (results(buyers=(1,), error="it sold nothing"), 1),
        (results(buyers=(1, 16), missing={("limit", 16)}), 130),
    ],
    ids=["all proven", "unproven", "ended early"],
)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_exit_code_says_how_it_ended(monkeypatch, made, code, words):
    """Nothing to say, a claim that is not proven, Ctrl-C; what there is, is printed all the same."""
    monkeypatch.setattr(bench, "run", lambda *_args, **_options: made)
    done = CliRunner().invoke(cli.app, ["bench", "hot-event", *words])
    assert done.exit_code == code
    assert "pgbench" in done.stdout
