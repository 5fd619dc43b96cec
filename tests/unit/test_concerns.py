"""Why a run without a violation is amber, and why it fails where a user is strict: literal frames."""

import pandas as pd
import pytest

from ticketlab.checks.verdict import Status
from ticketlab.report import page
from ticketlab.report.headline import Concern, ConcernKind, concerns, headline, is_amber, strict_failures
from ticketlab.report.json_report import as_json
from ticketlab.report.markdown import markdown
from ticketlab.report.model import Report
from ticketlab.report.summary import summarise

STUCK = {"failed_with_seats": 1_826, "found_seats": 2_032, "failure_share": 1_826 / 2_032, "progress": "NO PROGRESS"}
NO_PROGRESS = (
    "mine made no progress in 1 of 3 trials: at worst 1,826 of 2,032 purchases failed while seats were left (89.9 %, "
    "at most 5 % may; trial 1)."
)
OWN_TABLES = (
    "ticketlab's controls do not sell from your tables: judge your function with a known mistake too, adopted with "
    "safe=False."
)


@pytest.fixture
def run(trial):
    """The measures of three trials of `mine`, the first with these fields, and of a control that was caught."""

    def make(*, repeats=3, control=True, **fields):
        mine = [trial("mine", repeat=number) for number in range(1, repeats + 1)]
        mine[0] |= fields
        return pd.DataFrame([*mine, *([trial("naive", 131)] if control else [])])

    return make


def texts(measures, **about):
    return [each.text for each in concerns(measures, **about)]


def test_three_repeats_of_a_hundred_purchases_beside_a_control_are_green(run):
    """As `make demo` is."""
    assert concerns(run()) == []
    assert not headline(run()).is_amber
    assert headline(run()).words == "No violation found"


def test_no_progress_is_a_concern_with_its_numbers(run):
    """Of the worst trial; the control's own progress does not count."""
    assert texts(run(**STUCK)) == [NO_PROGRESS]
    assert texts(run(**STUCK), max_failures=0.9)[0].endswith("(89.9 %, at most 90 % may; trial 1).")
    assert concerns(run().assign(progress=["PROGRESS"] * 3 + ["NO PROGRESS"])) == []


def test_no_progress_is_a_concern_of_a_wrong_strategy_too(run):
    """Safety and progress are two verdicts; little evidence of what is proven wrong is no concern."""
    assert texts(run(**STUCK, repeats=1, verdict="INVALID")) == [NO_PROGRESS.replace("1 of 3 trials", "1 of 1 trial")]


@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        (1, "Little evidence: mine had 1 repeat; at least 3 show whether a result holds again."),
        (2, "Little evidence: mine had 2 repeats; at least 3 show whether a result holds again."),
    ],
)
def test_fewer_than_three_repeats_are_little_evidence(run, repeats, said):
    """Of a setting: trials with other numbers of buyers are no repeats."""
    assert texts(run(repeats=repeats, sales=1_000)) == [said]
    assert said.replace(f"{repeats} repeat", "1 repeat").replace("repeats", "repeat") in texts(
        pd.concat([run(sales=1_000).assign(buyers=16), run(repeats=1).assign(buyers=64)])
    )


def test_fewer_than_three_hundred_purchases_are_little_evidence(run):
    """All repeats together; those that were refused or failed count, and those without a connection do not."""
    few = {"sales": 60, "sold_out": 7}  # beside two trials of 116
    assert texts(run(**few)) == [
        "Little evidence: mine made 299 purchases; at least 300 are needed to say that at most 1 % go wrong."
    ]
    assert texts(run(**few, unavailable=9)) == texts(run(**few))
    assert texts(run(**few, failed=1)) == []


def test_no_seats_are_little_evidence(run):
    """With --stock 0 every purchase is refused, and nothing can be oversold."""
    nothing = run().assign(progress=["NOT TRIED"] * 3 + ["PROGRESS"])
    assert texts(nothing) == [
        "Little evidence: no purchase of mine found seats, so nothing could be oversold. Put seats on sale: --stock."
    ]


@pytest.mark.parametrize(
    ("about", "remedy"),
    [
        ({}, "Add one: -s naive."),
        ({"baskets": True}, "Add one: -s basket_unordered."),
        ({"own_tables": ("other",)}, "Add one: -s naive."),
        (
            {"own_tables": ("mine",)},
            OWN_TABLES,
        ),
    ],
    ids=["plain", "baskets", "tables of another", "own tables"],
)
def test_a_run_without_a_control_says_how_to_add_one(run, about, remedy):
    """One that can sell what the run sells."""
    assert texts(run(control=False), **about) == [
        f"No control was run: nothing shows that this load could have brought a flaw to light. {remedy}"
    ]


def test_a_control_that_was_not_caught_leaves_the_run_undecided(run, trial):
    """The headline says so; it is no concern beside that."""
    missed = pd.concat([run(control=False), pd.DataFrame([trial("naive")])])
    assert concerns(missed) == []
    assert headline(missed).status is Status.UNKNOWN


def test_nothing_is_green_or_amber_where_nothing_held(run):
    """A wrong or undecided strategy has worse than a concern."""
    assert concerns(run(control=False).assign(verdict="UNKNOWN")) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (STUCK, "No violation found, but no progress"),
        ({"sales": 1, "sold_out": 0}, "No violation found, but little evidence"),
        (STUCK | {"verdict": "INVALID"}, "Violations found"),
    ],
)
def test_the_headline_says_what_is_amber(run, fields, words):
    """In a few words, and first of all in its sentences; a violation is worse."""
    measures = run(**fields)
    found = concerns(measures)
    said = headline(measures, concerns=found)
    assert said.words == words
    assert found[0].text == said.sentences[-1 if said.status is Status.INVALID else 0]


def test_rows_are_amber_by_their_own_setting(run):
    """No progress with 64 buyers says nothing of 16; a missing control concerns every row."""
    measures = pd.concat([run(control=False), run(control=False, **STUCK).assign(buyers=64)])
    rows = [row for _, row in summarise(measures).iterrows()]
    stuck = [Concern(kind=ConcernKind.NO_PROGRESS, strategies=("mine",), text="")]
    assert [is_amber(row, stuck) for row in rows] == [False, True]
    assert [is_amber(row, concerns(measures)) for row in rows] == [True, True]
    assert [(row["progress"], round(row["failure_share"], 3)) for row in rows] == [
        ("PROGRESS", 0.0),
        ("NO PROGRESS", 0.899),
    ]


def test_strict_fails_for_no_progress_untested_faults_and_undecided_checks(run, verdict):
    """Each in a sentence; little evidence and a missing control do not fail, nor does an undecided control."""
    verdicts = [
        verdict("mine", "UNKNOWN", "", check="atomic", trial=2),
        verdict("naive", "UNKNOWN", "", check="atomic", trial=3),
        verdict("mine", "VALID", "", check="atomic"),
    ]
    assert strict_failures(concerns(run(**STUCK)), ["crash after 9 purchases"], verdicts) == [
        NO_PROGRESS,
        "Not tested in every trial: the crash after 9 purchases.",
        "Undecided: trial 2, mine, atomic.",
    ]
    assert strict_failures(concerns(run(control=False, repeats=1)), [], verdicts[1:]) == []


@pytest.fixture
def report(results, trial):
    """A report of a run whose only safe strategy made no progress."""
    stuck = [trial("mine", repeat=number) | STUCK for number in (1, 2, 3)]
    found = concerns(pd.DataFrame([*stuck, trial("naive", 131)]))
    return Report(runs=[results(*stuck, trial("naive", 131), concerns=found)])


def test_the_page_shows_no_progress_in_amber(report):
    """The verdict, the row of the strategy and its trials."""
    assert '<section class="verdict VALID amber"' in page.head(report).html
    assert "<strong>No violation found, but no progress</strong>" in page.head(report).html
    assert '<td class="VALID amber">VALID, no progress</td>' in page.strategies(report).html
    assert page.trace(report).html.count('<td class="VALID amber">VALID, no progress</td>') == 3
    assert "amber" not in page.strategies(report).html.partition("naive")[2].partition("</tr>")[0]


def test_markdown_and_json_have_it_too(report):
    """The words of the verdict, the row, and each concern as data."""
    text = markdown(report, None)
    assert "**No violation found, but no progress.** mine made no progress in 3 of 3 trials" in text
    assert "| mine | VALID, no progress | 16 |" in text
    (told,) = as_json(report)["runs"]
    assert told["concerns"][0]["kind"] == "no progress"
    assert told["concerns"][0]["strategies"] == ["mine"]
    assert told["summary"][1]["progress"] == "NO PROGRESS"
    assert told["trials"][0]["progress"]["verdict"] == "NO PROGRESS"
