"""A report as plain data, for those who go on computing with it."""

from dataclasses import asdict
from typing import Any, Final

from ticketlab.report import charts
from ticketlab.report.answers import Answer, answers
from ticketlab.report.caveats import limits
from ticketlab.report.jsonable import jsonable
from ticketlab.report.model import Report, RunResults
from ticketlab.report.side_by_side import DRIFT_WARNING, differences, side_by_side
from ticketlab.report.summary import summarise

VERSION: Final = 1
"""Counted up where a field goes or changes its meaning; new ones may come at any time."""


def as_json(report: Report) -> dict[str, Any]:
    """What the page says, by name: a run each in `runs`; with several runs `differences` and `comparison` too."""
    told: dict[str, Any] = {"ticketlab_report": VERSION, "runs": [_run(each) for each in report.runs]}
    if report.several:
        compared = {"differences": differences(report), "comparison": side_by_side(report).to_dict("records")}
        told |= compared | {"warning": DRIFT_WARNING}
    plain: dict[str, Any] = jsonable(told)
    return plain


def _answer(answer: Answer) -> dict[str, Any]:
    return {"question": answer.question, "sentences": answer.sentences, "details": answer.details}


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
        "summary": summarise(run.measures).to_dict("records"),
        "figures": {name: found.caption for name, found in charts.captions_of(run.measures, run.stock).items()},
        "trials": run.trials,
        "violations": [each for each in run.verdicts if each["status"] != "VALID"],
        "experiment": run.experiment,
        "environment": run.environment,
    }
