"""The same report as markdown and as JSON: what it says, and that no name breaks it."""

import json
import math
import re
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from ticketlab.report.json_report import as_json
from ticketlab.report.markdown import files, markdown
from ticketlab.report.model import Report

HOSTILE = "<script>|`*_[x](http://evil)\n# no heading"


@pytest.fixture(scope="module")
def run(trial, verdict, results):
    return results(
        trial("naive", 131), trial("atomic", p50_ms=math.nan),
        verdicts=[verdict("naive", "INVALID", "31 too many", rows=12), verdict("atomic", "VALID", "well", trial=2)],
        experiment={"seed": 7}, environment={"server": {"fsync": "on"}}, notes=["A note."],
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(run):
    return markdown(Report(runs=[run]), PurePosixPath("report_files"))


def lines_with(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


class TestMarkdown:
    def test_the_verdict_comes_first_and_in_words(self, text):
        """Then the answers, then the table."""
        assert text.startswith("<!-- ticketlab report -->\n# Two ways to sell 100 tickets\n")
        parts = [
            text.index(each) for each in ("**No violation found.**", "**Which strategy is safe?**", "| strategy |")
        ]
        assert parts == sorted(parts)

    def test_every_row_of_a_table_has_the_cells_of_its_head(self, text):
        """A table that is one to GitHub: nothing between its lines, as many bars in each."""
        for table in [part.splitlines() for part in text.split("\n\n") if part.startswith("| ")]:
            assert set(table[1]) <= set("|-: ")
            assert len({line.replace("\\|", "").count("|") for line in table}) == 1

    def test_figures_lie_beside_it_with_alt_texts_and_captions(self, text):
        """Each has its file, and says what it shows."""
        pictures = lines_with(text, "![")
        assert len(pictures) >= 5
        assert pictures[0].endswith("](report_files/1-tickets_sold.png)")
        assert "naive sold 131 tickets for 100 seats" in pictures[0]

    def test_without_a_folder_it_has_captions_only(self, run):
        """On standard output there is nothing beside it."""
        text = markdown(Report(runs=[run]), None)
        assert "![" not in text
        assert "Tickets in the database" in text

    def test_every_number_can_be_traced(self, text):
        """The trials of each row, and the whole hash of each trial's history."""
        assert lines_with(text, "| atomic |")[0].endswith("| 2 |")
        assert lines_with(text, "| 2 |")[0].endswith(f"| VALID | {2:064x} |")

    def test_limits_evidence_and_the_command_are_there(self, text):
        """What a reader of the page has, a reader of this has."""
        for words in (
            "- A note.",
            "no violation found does not prove",
            "purchase-9",
            "The evidence, the first 10 of 12 rows",
        ):
            assert words in text
        assert text.count("```\nticketlab run --seed 7\n") == 1
        assert "  ```\n  ticketlab run --seed 7\n  ```" in text

    def test_a_violation_is_told_as_a_story(self, trial, verdict, results):
        """Its name, who did what, why that is wrong, what the field calls it; then the evidence, folded."""
        row = {"buyer": 7, "event": 0, "quantity": 2, "outcome": "sold_out", "version": 9, "available": 3}
        wrong = verdict("atomic", "INVALID", "1 was false", anomaly="false sold out", evidence=[row])
        text = markdown(Report(runs=[results(trial("atomic"), verdicts=[wrong])]), None)
        told = [
            "<details open><summary><b>False sold out</b> · atomic, repeat 1: 1 was false (check no_oversell, trial 1)",
            "1. Buyer 7 asked for 2 tickets of event 0: the answer was 'sold out', version 9, 3 left.",
            "**Why it is wrong:** The buyer asked for 2 tickets of event 0 and was told 'sold out', but the reported",
            "*False sold out:* A buyer was told 'sold out' although",
            "<details><summary>The evidence, row by row</summary>",
            "| buyer | event |",
        ]
        places = [text.index(each) for each in told]
        assert places == sorted(places)
        assert text.count("<details") == text.count("</details>")

    def test_a_hostile_name_is_a_name_like_any_other(self, trial, verdict, results):
        """It makes no markup, no cell and no heading."""
        evil = verdict(HOSTILE, "INVALID", HOSTILE, check=HOSTILE, evidence=[{HOSTILE: HOSTILE}])
        run = results(
            trial(HOSTILE, 131), name=HOSTILE, run=HOSTILE, conditions=HOSTILE, command=f"```{HOSTILE}",
            verdicts=[evil], notes=[HOSTILE], environment={HOSTILE: HOSTILE},
        )  # fmt: skip
        text = markdown(Report(runs=[run, run]), PurePosixPath("files"))
        fenced = text.split("````")[1::2]
        assert len(fenced) == 4
        outside = "".join(text.split("````")[::2])
        assert "<script>" not in outside.replace("\\<script", "")
        assert not lines_with(outside, "# no")

    def test_every_picture_has_its_file_and_every_file_is_shown(self, trial, verdict, results):
        """Those of each run, of their comparison, and the operations that prove a violation."""
        operation = {"buyer": 1, "invoked_ns": 0, "completed_ns": 1_000_000, "version": 101}
        wrong = verdict("naive", "INVALID", "31 too many", evidence=[operation])
        report = Report(runs=[results(trial("naive", 131), run=name, verdicts=[wrong]) for name in ("one", "two")])
        shown = re.findall(r"\]\(files/(.+?)\)", markdown(report, PurePosixPath("files")))
        assert len(set(shown)) == len(shown)
        made = files(report)
        assert set(made) == set(shown) > {"0-comparison.png", "1-timeline-1-no_oversell.png", "2-tickets_sold.png"}
        assert all(content.startswith(b"\x89PNG") for content in made.values())

    def test_several_runs_stand_side_by_side(self, run):
        """What differs, and the ratio to the first run."""
        text = markdown(Report(runs=[run, run]), None)
        assert "## The runs side by side" in text
        assert "drifts" in text
        assert lines_with(text, "| atomic | 16 | 2 |")


class TestJson:
    def test_it_can_be_read_by_anybody(self, run):
        """Plain JSON: what there is none of is null."""
        told = json.loads(json.dumps(as_json(Report(runs=[run])), allow_nan=False))
        assert told["runs"][0]["summary"][1]["p50_ms"] is None

    def test_it_says_what_the_page_says(self, run):
        """Verdict, answers, numbers, violations with evidence, trials with hashes, limits, and how to repeat it."""
        (told,) = as_json(Report(runs=[run]))["runs"]
        assert told["status"] == "VALID"
        assert list(told["answers"]) == ["safe", "fastest", "lost", "sure", "repeat"]
        assert told["command"] == "ticketlab run --seed 7"
        assert [each["history_sha256"] for each in told["trials"]] == [f"{number:064x}" for number in (1, 2)]
        assert [len(each["evidence"]) for each in told["violations"]] == [12]
        assert "naive sold 131 tickets" in told["figures"]["tickets_sold"]
        assert told["notes"] == ["A note."]
        assert len(told["limits"]) == 3

    def test_several_runs_are_compared(self, run):
        """Only then there is anything to compare."""
        assert set(as_json(Report(runs=[run]))) == {"ticketlab_report", "runs"}
        told = as_json(Report(runs=[run, replace(run, run="again")]))
        assert told["differences"] == []
        assert [each["ratio"] for each in told["comparison"]] == [1.0] * 4
