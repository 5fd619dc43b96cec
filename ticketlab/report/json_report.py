"""A report as plain JSON data, for further processing."""

import math
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from ticketlab.checks.verdict import Status
from ticketlab.report._answers import ReportAnswer, answers, limits
from ticketlab.report.captions import captions_of
from ticketlab.report.model import DRIFT_WARNING, Report, RunResults, differences, side_by_side

VERSION: Final = 1
"""Increased if a field is removed or changes its meaning; new fields may be added at any time."""


def as_json(report: Report) -> dict[str, Any]:
    """The content of the page by name: `runs`; with several runs also `differences` and `comparison`."""
    fields: dict[str, Any] = {"ticketlab_report": VERSION, "runs": [_run(each) for each in report.runs]}
    if report.several:
        fields |= {"differences": differences(report), "comparison": side_by_side(report).to_dict("records")}
        fields |= {"warning": DRIFT_WARNING}
    plain: dict[str, Any] = jsonable(fields)
    return plain


def _answer(answer: ReportAnswer) -> dict[str, Any]:
    return {"question": answer.question, "sentences": answer.sentences, "details": answer.details}


def jsonable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """A value as JSON can hold it: plain numbers instead of numpy's, null instead of NaN."""
    if isinstance(value, dict):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run(run: RunResults) -> dict[str, Any]:
    return {
        "run": run.run,
        "status": run.headline.status,
        "verdict": run.headline.sentences,
        "concerns": [asdict(each) for each in run.concerns],
        "answers": {each.key: _answer(each) for each in answers(run)},
        "conditions": run.conditions,
        "notes": run.notes,
        "limits": limits(run),
        "command": run.command,
        "summary": run.summary.to_dict("records"),
        "figures": {name: each.caption for name, each in captions_of(run.measures, run.stock).items()},
        "trials": run.trials,
        "violations": [each.as_json() for each in run.verdicts if each.verdict.status is not Status.VALID],
        "experiment": run.experiment,
        "environment": run.environment,
    }
