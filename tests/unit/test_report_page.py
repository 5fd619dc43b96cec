"""The page: what it says, that it needs nothing else, and that it trusts no name."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pandas as pd
import pytest

from ticketlab.report import charts, page
from ticketlab.report.captions import Caption
from ticketlab.report.model import EVIDENCE_SHOWN, SECTIONS, Report, found
from ticketlab.report.page import ReportImage, comparison_of, timeline_of

HOSTILE = '<script>alert("1")</script>'
of_words = pytest.mark.usefixtures("unpainted")  # what is looked at is no picture
PARTS = ("head", "answers", "comparison", "strategies", "figures", "violations", "conditions", "trace", "repeat")


def page_of(*runs):
    """All fragments of a report, in their order."""
    report = Report(runs=runs)
    fragments = (getattr(page, part)(report) for part in PARTS)
    return "\n".join(each._repr_html_() for each in fragments if each)


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def every(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(trial, verdict, results):
    return results(
        trial("naive", 131), trial("atomic"),
        verdicts=[
            verdict("naive", "INVALID", "event 0: 131 tickets for 100 seats, 31 too many", rows=12),
            verdict("atomic", "VALID", "100 tickets for 100 seats, and the stock agrees", trial=2),
        ],
        environment={"ticketlab": "0.1.0", "server": {"fsync": "on", "memory": {"shared_buffers": "128MB"}}},
        notes=["Too little contention; try more buyers."],
    )  # fmt: skip


@pytest.fixture(scope="module")
def html(run):
    return page_of(run)


def test_the_page_asks_nothing_of_a_network_or_another_file(html):
    """Every address is a picture within the page or a place in it, and the style sheet names none."""
    tags = Tags(html)
    addresses = [each for name in ("src", "href", "srcset", "data", "action", "poster") for each in tags.every(name)]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    for text in (html, page.css()):
        assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe", text)
        assert re.findall(r"url\((?!data:)", text) == []


@of_words
def test_every_way_leads_somewhere(html, run):
    """Each anchor has its place, which is there once: on a page of one run, and of two."""
    for text in (html, page_of(run, run)):
        tags = Tags(text)
        places = tags.every("id")
        assert len(set(places)) == len(places)
        assert {each.removeprefix("#") for each in tags.every("href")} <= set(places)
        assert set(SECTIONS) - {"comparison"} <= {each.removeprefix("#") for each in tags.every("href")}


def test_the_verdict_comes_first_and_in_words(html):
    """Before any table or chart the page says who held and who was caught, and answers."""
    start = html[: html.index("<table")]
    assert "No violation found" in start
    assert "atomic: 1 trial without a violation." in start
    assert "The control naive was detected, as it must be: 131 tickets for 100 seats." in start
    assert start.index("No violation found") < start.index("<nav") < start.index("Which strategy is safe?")
    assert (
        html.index("<table") < html.index("<img") < html.index("Violations</h2>") < html.index("How to repeat it</h2>")
    )


def test_the_oversell_is_told_in_red(html):
    """The number of tickets beyond the seats stands in the table, in the colour of a violation."""
    assert '<td class="bad">31</td>' in html
    assert "131 of 100" in html
    assert '<td class="INVALID">INVALID</td>' in html


@of_words
def test_retries_stand_by_their_cause_where_there_were_any(html, trial, results):
    """A column for each cause that occurred, a row for each strategy; without retries no such table."""
    assert "Why purchases were tried again" not in html
    tried = page_of(results(trial("atomic"), trial("optimistic", retries=2_841, retries_stale_version=2_841)))
    text = Tags(tried).text
    assert "strategy buyers stale version atomic 16 0 optimistic 16 2,841" in text
    assert "deadlock" not in text


def test_every_picture_has_a_text_in_its_place(html):
    """Each chart has an alt text that states its finding, and a caption."""
    pictures = [attributes for tag, attributes in Tags(html).tags if tag == "img"]
    assert len(pictures) >= 5
    assert all(len(each["alt"] or "") > 30 for each in pictures)
    assert "naive sold 131 tickets for 100 seats." in str(pictures[0]["alt"])
    assert html.count("<figcaption>") == len(pictures)


def test_durability_and_versions_are_in_plain_sight(html):
    """What was promised to the disk is said at the top and again with the settings."""
    start, _, rest = html.partition("<table")
    for part in (start, re.sub(r"<(?:figure|img).*?>", "", rest)):
        assert "fsync on, full_page_writes on, synchronous_commit on" in part
    assert re.search(r"<dt>fsync</dt><dd>on</dd>", html)
    assert re.search(r"<dt>memory.shared_buffers</dt><dd>128MB</dd>", html)
    assert re.search(r"<dt>ticketlab</dt><dd>0.1.0</dd>", html)


def test_how_far_the_numbers_reach_stands_with_them(html):
    """Notes and limits are listed, not hidden."""
    assert "<li>Too little contention; try more buyers.</li>" in html
    assert "no violation found does not prove that there is none" in html


def test_a_violation_shows_its_check_and_its_first_rows_of_evidence(html):
    """Ten rows prove enough; the page says how many the run keeps."""
    text = Tags(html).text
    assert "event 0: 131 tickets for 100 seats, 31 too many (check no_oversell, trial 1)" in text
    assert f"purchase-{EVIDENCE_SHOWN - 1}" in text
    assert f"purchase-{EVIDENCE_SHOWN}" not in text
    assert "The evidence, the first 10 of 12 rows that the run keeps" in text


SOLD = {"event": 0, "outcome": "sold", "cause": "none", "quantity": 1, "version": 7}
LATE = {"buyer": 2, "invoked_ns": 1_000_000, "completed_ns": 9_500_000, "available": 3} | SOLD
EARLY = {"buyer": 1, "invoked_ns": 0, "completed_ns": 9_000_000, "available": 3} | SOLD


@pytest.fixture
def lost_update(trial, verdict, results):
    """A page of one violation: buyers 1 and 2 made the same version; its third row is an event of the ledger."""
    books = {"event": 0, "total": 100, "tickets": 131, "available": 3, "version": 7}
    wrong = verdict("naive", "INVALID", "31 too many", anomaly="lost update", evidence=[LATE, EARLY, books])
    return page.violations(Report(runs=[results(trial("naive", 131), verdicts=[wrong])])).html


def test_a_violation_is_told_as_a_story(lost_update):
    """Its name and its strategy, then who did what in the order of the calls, why it is wrong, and what that is."""
    text = Tags(lost_update).text
    told = [
        "Lost update · naive (control), repeat 1: 31 too many (check no_oversell, trial 1)",
        "Buyer 1 bought 1 ticket of event 0 (called 0.00 ms, answered 9.00 ms after the start)",
        "Buyer 2 bought 1 ticket of event 0 (called 1.00 ms, answered 9.50 ms after the start)",
        "Event 0 has 100 seats, 131 tickets in the ledger and 3 left in stock at version 7.",
        "Why it is wrong: Version 7 of event 0 can be made only once",
        "Lost update: Two sales were computed from the same stock",
        "In the field: lost update (P4).",
        "Lost update: buyer 1 and buyer 2 both made version 7 of event 0. Red: what is wrong.",
        "The evidence, row by row",
    ]
    places = [text.replace(" :", ":").index(each) for each in told]
    assert places == sorted(places)


def test_the_operations_of_a_story_are_drawn_and_the_evidence_is_folded(lost_update):
    """Below the story; rows that were not called and did not return are in no picture, and in no way of it."""
    assert '<figure id="timeline-1-no_oversell">' in lost_update
    assert re.search(r"<details>\s*<summary>The evidence, row by row</summary>", lost_update)


def test_the_timeline_is_of_the_operations_that_are_told_and_no_others(verdict, trial):
    """Of a long evidence those two that made one version."""
    crowd = [EARLY | {"buyer": 10 + number, "version": 20 + number, "available": None} for number in range(9)]
    wrong = verdict("naive", "INVALID", "31 too many", anomaly="lost update", evidence=[*crowd, EARLY, LATE])
    (shown,) = found(SimpleNamespace(verdicts=[wrong], measures=pd.DataFrame([trial("naive")])))["violations"]
    (axes,) = timeline_of(shown, "").draw().axes
    assert [each.get_text() for each in axes.get_yticklabels()] == ["buyer 1", "buyer 2"]
    assert [each.get_gid() for each in axes.patches] == ["operation", "wrong"] * 2


def test_evidence_that_is_no_operation_is_told_and_not_drawn(html):
    """What proves it is in the story, and whole in the folded table."""
    assert 'id="timeline-' not in html
    assert "<li>Buyer 1 asked for tickets: the answer is not known.</li>" in html
    assert "<details open>" not in html


def test_only_violations_are_listed_as_such(html):
    """What held is in the table, not among the violations."""
    assert "and the stock agrees" not in html


@of_words
def test_one_violation_of_a_kind_is_unfolded(trial, verdict, results):
    """The same flaw in three repeats is shown once at length; those of a strategy that claims to be safe come first."""
    flaws = [verdict("naive", "INVALID", f"flaw {number}", trial=number) for number in (1, 2, 3)]
    flaws.append(verdict("atomic", "INVALID", "flaw 4", trial=4))
    html = page_of(results(*[trial("naive", 131)] * 3, trial("atomic", 131), verdicts=flaws))
    shown = re.findall(r'<details class="violation" id="trial-(\d)-no_oversell"( open)?>', html)
    assert shown == [("4", " open"), ("1", " open"), ("2", ""), ("3", "")]


def test_every_number_leads_to_its_trials(html):
    """The table links to the trials of each row, and there the whole hash of each history stands."""
    assert '<td><a href="#trial-1">1</a></td>' in html
    assert '<tr id="trial-1">' in html
    assert f'title="{2:064x}">{2:064x}</code>' in html


def test_the_page_says_how_to_repeat_the_run(html):
    """The exact command and the folder are there."""
    assert "<code>ticketlab run --seed 7</code></pre>" in html
    assert "2026-01-02-compare" in html


def test_every_table_scrolls_in_a_box_of_its_own(html):
    """What is wider than a phone is moved by finger or by key, and the page stays where it is."""
    assert html.count('<div class="scroll" tabindex="0" role="region"') == html.count("<table>") > 2


def test_the_look_suits_paper_dark_rooms_and_notebooks():
    """A print style, both schemes, and those of JupyterLab; a notebook shows the same style sheet."""
    for part in ("@media print", "light-dark(", '[data-jp-theme-light="false"]'):
        assert part in page.css()
    assert page.css() in page.style()._repr_html_()


@of_words
def test_no_text_of_a_run_becomes_markup(trial, results):
    """What a run is called is shown, not obeyed."""
    html = page_of(results(trial("atomic"), name=HOSTILE, run=HOSTILE, command=HOSTILE, conditions=HOSTILE))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 6


@of_words
def test_a_hostile_strategy_is_a_name_like_any_other(trial, verdict, results):
    """The name of a strategy is escaped in text, attributes, evidence and settings."""
    evil = verdict(HOSTILE, "INVALID", HOSTILE, check=HOSTILE, evidence=[{HOSTILE: HOSTILE}])
    html = page_of(
        results(
            trial(HOSTILE, 131), verdicts=[evil], environment={HOSTILE: HOSTILE}, experiment={HOSTILE: HOSTILE},
            notes=[HOSTILE],
        )
    )  # fmt: skip
    assert "<script" not in html
    assert not any("script" in tag or "onerror" in attributes for tag, attributes in Tags(html).tags)


@of_words
def test_undecided_checks_are_told(trial, verdict, results):
    """UNKNOWN is no kind of VALID: what could not be decided is said, and why."""
    undecided = verdict("atomic", "UNKNOWN", "no purchase was answered")
    text = Tags(page_of(results(trial("atomic", verdict="UNKNOWN"), verdicts=[undecided]))).text
    assert "Undecided: atomic. The checks could not decide." in text
    assert "atomic, repeat 1, no_oversell: no purchase was answered" in text


@of_words
def test_the_number_of_buyers_is_named_where_it_differs(trial, verdict, results):
    """With several numbers of buyers a violation says at which one it was seen."""
    wrong = [verdict("naive", "INVALID", "31 too many")]
    html = page_of(results(trial("naive", 131), trial("naive", 131, buyers=4), verdicts=wrong))
    assert "naive (control), 16 buyers, repeat 1:" in Tags(html).text


def test_a_run_without_trials_is_still_a_page(results):
    """A run that was cut off before its first trial can be shown, and says so."""
    assert "No trial was run." in page_of(results())


def test_the_same_run_is_the_same_page(trial, results):
    """Neither a clock nor chance leaves a trace in the page."""
    again = [page_of(results(trial("naive", 131), trial("atomic"))) for _ in range(2)]
    assert again[0] == again[1]


@of_words
def test_several_runs_stand_side_by_side(trial, results):
    """A verdict and answers for each, what differs, the ratio to the first, and a warning of drift."""
    first = results(trial("atomic"), run="one", experiment={"seed": 1}, environment={"server": {"fsync": "on"}})
    faster = trial("atomic", purchases_per_s=500.0)
    second = results(faster, run="two", experiment={"seed": 1}, environment={"server": {"fsync": "off"}})
    text = Tags(page_of(first, second)).text
    assert "2 runs of Two ways to sell 100 tickets" in text
    assert text.count("Which strategy is safe?") == 2
    assert "what 1. one 2. two server.fsync on off How each strategy did" in text
    assert "atomic 16 2 VALID 500 (one repeat) 2.5, unclear" in text
    assert "drifts" in text
    assert '<figure id="comparison-figure">' in page.comparison(Report(runs=[first, second])).html


def test_a_chart_of_several_runs_says_which_of_them_was_less_durable(trial, results):
    """What all have in common is said of all, and durability of each where it is not the same."""
    first, weakened = (
        results(trial("atomic"), run="one", environment={"server": {"settings": {"synchronous_commit": each}}})
        for each in ("on", "off")
    )
    weaker = first.conditions.replace("synchronous_commit on", "synchronous_commit off")
    second = replace(weakened, run="two", conditions=weaker)
    drawn = comparison_of(Report(runs=[first, second])).draw()
    words = " ".join(" ".join(each.get_text() for each in drawn.texts).split())
    assert "· 16 buyers · synchronous_commit on in one, off in two · the rest differs" in words
    alike = comparison_of(Report(runs=[first, replace(first, run="two")])).draw()
    assert "fsync on, full_page_writes on, synchronous_commit on" in " ".join(each.get_text() for each in alike.texts)


def test_one_run_is_not_compared(html):
    """Neither a section nor a way to it."""
    assert "side by side" not in html


def test_a_chart_of_very_many_points_becomes_a_small_picture(trial):
    """Where SVG would be too large, the picture is a PNG."""
    few, many = (
        charts.throughput(pd.DataFrame([trial(f"strategy_{each}") for each in range(count)])) for count in (1, 2)
    )
    for place in range(300):
        many.text(place / 300, 0.5, "every letter is a path")
    for chart, kind in ((few, "svg+xml"), (many, "png")):
        picture = ReportImage(
            name="throughput", draw=lambda chart=chart: chart, finding=Caption(kind="a chart", title="shows")
        )
        assert picture.address.startswith(f"data:image/{kind};base64,")
