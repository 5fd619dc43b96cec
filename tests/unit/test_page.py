"""The page: what it says, that it needs nothing else, and that it trusts no name."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from ticketlab.evidence.history import RETRIES
from ticketlab.report import charts
from ticketlab.report.page import EVIDENCE_SHOWN, Page, data_uri, render

CONDITIONS = "PostgreSQL 18.6 (embedded) · fsync on, full_page_writes on, synchronous_commit on · 16 buyers"
HOSTILE = '<script>alert("1")</script>'


def trial(strategy: str, tickets: int = 100, **fields: object) -> dict[str, object]:
    """One row of measures."""
    over = max(0, tickets - 100)
    row = {
        "trial": 0, "strategy": strategy, "safe": strategy != "naive", "buyers": 16, "repeat": 0, "seconds": 0.5,
        "seats": 100, "tickets": tickets, "oversold": over, "sold": tickets, "sales": tickets, "sold_out": 16,
        "conflicts": 0, "failed": 0, "unavailable": 0, "unknown": 0, "purchases_per_s": 200.0, "p50_ms": 2.0,
        "p95_ms": 4.0, "p99_ms": 8.0, "retries": 0, **dict.fromkeys(RETRIES.values(), 0),
        "verdict": "INVALID" if over else "VALID",
    }  # fmt: skip
    return row | fields


def verdict(strategy: str, status: str, summary: str, rows: int = 0) -> dict[str, object]:
    evidence = [{"buyer": 1, "purchase_id": f"purchase-{row}", "version": 100 + row} for row in range(rows)]
    return {
        "trial": 0, "strategy": strategy, "buyers": 16, "repeat": 0, "check": "no_oversell", "status": status,
        "summary": summary, "evidence": evidence,
    }  # fmt: skip


def page_of(*trials: dict[str, object], **fields: object) -> str:
    measures = pd.DataFrame(trials, columns=list(trial("atomic")))
    curves = [
        {"strategy": each["strategy"], "repeat": 0, "buyers": 16, "seconds": step / 10, "left": 100 - step}
        for each in trials
        for step in range(int(str(each["tickets"])) + 1)
    ]
    stock = pd.DataFrame(curves, columns=["strategy", "repeat", "buyers", "seconds", "left"])
    made = {
        "title": "Two ways to sell 100 tickets", "run": "2026-01-02-compare", "command": "ticketlab run --seed 7",
        "conditions": CONDITIONS, "measures": measures, "stock": stock,
    }  # fmt: skip
    return render(Page(**(made | fields)))


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
        if self.tags and self.tags[-1][0] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html() -> str:
    return page_of(
        trial("naive", 131), trial("atomic"),
        verdicts=[
            verdict("naive", "INVALID", "event 0: 131 tickets for 100 seats, 31 too many", rows=12),
            verdict("atomic", "VALID", "100 tickets for 100 seats, and the stock agrees"),
        ],
        environment={"ticketlab": "0.1.0", "server": {"fsync": "on", "memory": {"shared_buffers": "128MB"}}},
        notes=["Too little contention; try more buyers."],
    )  # fmt: skip


def test_the_page_asks_nothing_of_a_network_or_another_file(html):
    """Every address is a picture within the page or a place in it."""
    addresses = [
        value or "" for _, attributes in Tags(html).tags for name, value in attributes.items()
        if name in {"src", "href", "srcset", "data", "action", "poster"}
    ]  # fmt: skip
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe", html)
    assert re.findall(r"url\((?!data:)", html) == []


def test_the_verdict_comes_first_and_in_words(html):
    """Before any table or chart the page says who held and who was caught."""
    start = html[: html.index("<table")]
    assert "No violation found" in start
    assert "atomic: 1 trial without a violation." in start
    assert "The control naive was caught, as it must be: 131 tickets for 100 seats." in start
    assert html.index("<table") < html.index("<img") < html.index("Violations</h2>") < html.index("How to repeat it")


def test_the_oversell_is_told_in_red(html):
    """The number of tickets beyond the seats stands in the table, in the colour of a violation."""
    assert '<td class="bad">31</td>' in html
    assert "131 of 100" in html
    assert '<td class="INVALID">INVALID</td>' in html


def test_retries_stand_by_their_cause_where_there_were_any(html):
    """A column for each cause that occurred, a row for each strategy; without retries no such table."""
    assert "Why purchases were tried again" not in html
    tried = page_of(trial("atomic"), trial("optimistic", retries=2_841, retries_stale_version=2_841))
    text = Tags(tried).text
    assert "strategy buyers stale version atomic 16 0 optimistic 16 2,841" in text
    assert "deadlock" not in text
    assert tried.count('<div class="scroll"') == tried.count("<table>") == 2


def test_every_picture_has_a_text_in_its_place(html):
    """Five charts, each with an alt text that states its finding, and a caption."""
    pictures = [attributes for tag, attributes in Tags(html).tags if tag == "img"]
    assert len(pictures) == 5
    assert all(len(each["alt"] or "") > 30 for each in pictures)
    assert "naive sold 131 tickets for 100 seats." in str(pictures[0]["alt"])
    assert html.count("<figcaption>") == 5


def test_durability_and_versions_are_in_plain_sight(html):
    """What was promised to the disk is said at the top and again with the settings."""
    text = Tags(html).text
    assert text.count("fsync on, full_page_writes on, synchronous_commit on") == 2
    assert re.search(r"<dt>fsync</dt><dd>on</dd>", html)
    assert re.search(r"<dt>memory.shared_buffers</dt><dd>128MB</dd>", html)
    assert re.search(r"<dt>ticketlab</dt><dd>0.1.0</dd>", html)


def test_a_violation_shows_its_check_and_its_first_rows_of_evidence(html):
    """Ten rows prove enough; the page says how many the run keeps."""
    text = Tags(html).text
    assert "event 0: 131 tickets for 100 seats, 31 too many (check no_oversell, trial 0)" in text
    assert f"purchase-{EVIDENCE_SHOWN - 1}" in text
    assert f"purchase-{EVIDENCE_SHOWN}" not in text
    assert "The first 10 of 12 rows that the run keeps." in text


def test_only_violations_are_listed_as_such(html):
    """What held is in the table, not among the violations."""
    assert "and the stock agrees" not in html


def test_the_page_says_how_to_repeat_the_run(html):
    """The exact command, the folder and the notes are there."""
    assert "<pre><code>ticketlab run --seed 7</code></pre>" in html
    assert "2026-01-02-compare" in html
    assert "<li>Too little contention; try more buyers.</li>" in html


def test_the_page_suits_phones_paper_and_dark_rooms(html):
    """A viewport, a print style, a dark scheme, and boxes that scroll by themselves."""
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media print" in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert html.count('<div class="scroll"') == html.count("<table>")


def test_no_text_of_a_run_becomes_markup():
    """What a run is called is shown, not obeyed."""
    html = page_of(trial("atomic"), title=HOSTILE, run=HOSTILE, command=HOSTILE, conditions=HOSTILE)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 6


def test_a_hostile_strategy_is_a_name_like_any_other():
    """The name of a strategy is escaped in text, attributes, evidence and settings."""
    evil = verdict(HOSTILE, "INVALID", HOSTILE) | {"evidence": [{HOSTILE: HOSTILE}]}
    html = page_of(trial(HOSTILE, 131), verdicts=[evil], environment={HOSTILE: HOSTILE}, notes=[HOSTILE])
    assert "<script" not in html
    assert not any("script" in tag or "onerror" in attributes for tag, attributes in Tags(html).tags)


def test_undecided_checks_are_told():
    """UNKNOWN is no kind of VALID: what could not be decided is said, and why."""
    html = page_of(
        trial("atomic", verdict="UNKNOWN"), verdicts=[verdict("atomic", "UNKNOWN", "no purchase was answered")]
    )
    text = Tags(html).text
    assert "atomic: the checks could not decide." in text
    assert "atomic, repeat 0, no_oversell: no purchase was answered" in text


def test_the_number_of_buyers_is_named_where_it_differs():
    """With several numbers of buyers a violation says at which one it was seen."""
    html = page_of(
        trial("naive", 131), trial("naive", 131, buyers=4), verdicts=[verdict("naive", "INVALID", "31 too many")]
    )
    assert "naive (control) , 16 buyers, repeat 0:" in Tags(html).text


def test_a_run_without_trials_is_still_a_page():
    """A run that was cut off before its first trial can be shown, and says so."""
    html = page_of()
    assert "No trial was run: there is nothing to show." in html
    assert "<table" not in html


def test_the_same_run_is_the_same_page():
    """Neither a clock nor chance leaves a trace in the page."""
    again = [page_of(trial("naive", 131), trial("atomic")) for _ in range(2)]
    assert again[0] == again[1]


def test_a_chart_of_very_many_points_becomes_a_small_picture():
    """Where SVG would be too large, the picture is a PNG."""
    few, many = (
        charts.throughput(pd.DataFrame([trial(f"strategy_{each}") for each in range(count)])) for count in (1, 2)
    )
    for place in range(300):
        many.text(place / 300, 0.5, "every letter is a path")
    assert data_uri(few).startswith("data:image/svg+xml;base64,")
    assert data_uri(many).startswith("data:image/png;base64,")
