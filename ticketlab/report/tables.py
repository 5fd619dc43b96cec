"""The contents of a report's tables, in every format. Pure: frames in, rows of plain values out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.history.recording import RETRIES
from ticketlab.report.captions import change_text, rate_text
from ticketlab.report.comparison import side_by_side
from ticketlab.report.concerns import Concern, doubts, is_amber
from ticketlab.report.explain import story_of
from ticketlab.report.model import Report, RunResults
from ticketlab.report.phrases import display_name, matching_rows, setting_parts, varying_columns
from ticketlab.report.summary import summarise

EVIDENCE_SHOWN: Final = 10
"""Rows of evidence that are shown for one violation; the run keeps more."""
UNFOLDED: Final = 3
"""Violations that are shown expanded."""
SECTIONS: Final = {
    "answers": "Five answers",
    "comparison": "The runs side by side",
    "strategies": "The strategies in numbers",
    "figures": "Figures",
    "violations": "Violations",
    "conditions": "Server, durability and limits",
    "trace": "Where each number comes from",
    "repeat": "How to repeat it",
}
"""The sections of a report below its verdict: anchor and title of each."""


def strategy_rows(run: RunResults) -> list[dict[str, Any]]:
    """The summary as the table shows it, each row with the numbers of its trials."""
    rows = summarise(run.measures)
    trials = [list(matching_rows(run.measures, row)["trial"]) for _, row in rows.iterrows()]
    return [{**row, "trials": numbers} for row, numbers in zip(_records(rows, run.concerns), trials, strict=True)]


def comparison_rows(report: Report) -> list[dict[str, Any]]:
    """The strategies of several runs as the table shows them, those of one setting together."""
    rows = side_by_side(report)
    changes = [change_text(row) if row["place"] > 1 else "" for _, row in rows.iterrows()]
    return _records(rows.assign(change=changes))


def _records(rows: pd.DataFrame, concerns: Sequence[Concern] = ()) -> list[dict[str, Any]]:
    """Rows of a summary for a table: names, speeds with their range, and the verdict in words."""
    names = [display_name(*each) for each in zip(rows["strategy"], rows["safe"], strict=True)]
    rates = [rate_text(row) for _, row in rows.iterrows()]
    verdicts = [", ".join([row["verdict"], *doubts(row, concerns)]) for _, row in rows.iterrows()]
    amber = [is_amber(row, concerns) for _, row in rows.iterrows()]
    shown = rows.assign(name=names, rate=rates, verdict_text=verdicts, is_amber=amber)
    return [{str(key): value for key, value in row.items()} for row in shown.to_dict("records")]


def pools_differ(*runs: RunResults) -> bool:
    """Whether the trials differ in pool size; if not, it is in the conditions and not in the table."""
    return "pool_size" in varying_columns(pd.concat([each.measures for each in runs]))


def causes_of(measures: pd.DataFrame) -> dict[str, str]:
    """The causes of retries that occurred, each with the column that counts it."""
    return {str(cause): column for cause, column in RETRIES.items() if not measures.empty and measures[column].any()}


def found(run: RunResults) -> dict[str, Any]:
    """The violations of a run, those of strategies that claim to be safe first, and the undecided checks."""
    verdicts = [{**each, "name": _name(each, run.measures)} for each in run.verdicts]
    wrong = [_with_evidence(each) for each in verdicts if each["status"] == Status.INVALID]
    wrong.sort(key=lambda each: not each["safe"])
    return {
        "violations": [{**each, "unfolded": each in first_of_a_kind(wrong)[:UNFOLDED]} for each in wrong],
        "undecided": [each for each in verdicts if each["status"] == Status.UNKNOWN],
    }


def _name(verdict: Mapping[str, Any], measures: pd.DataFrame) -> str:
    """The trial of a verdict in words: its strategy, its setting if there are several, its repeat."""
    setting = setting_parts(pd.Series(verdict), measures)
    return ", ".join([display_name(verdict["strategy"], verdict["safe"]), *setting, f"repeat {verdict['repeat']}"])


def first_of_a_kind(violations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first violation of each strategy and check."""
    kinds = {(each["strategy"], each["check"]): each for each in reversed(violations)}
    return [each for each in violations if kinds[each["strategy"], each["check"]] is each]


def _with_evidence(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict with its story, and the columns and rows of its evidence to show."""
    evidence: Sequence[Mapping[str, Any]] = list(verdict.get("evidence", ()))
    shown = evidence[:EVIDENCE_SHOWN]
    columns = list(dict.fromkeys(column for row in shown for column in row))
    return {
        **verdict,
        "story": story_of(verdict),
        "columns": columns,
        "cells": [["" if (cell := row.get(column)) is None else cell for column in columns] for row in shown],
        "kept": len(evidence),
    }
