"""Several runs beside one another: what differs between them, and how their strategies did. Pure."""

from typing import Any, Final

import pandas as pd

from ticketlab.report.findings import changes_of
from ticketlab.report.grouping import GROUP
from ticketlab.report.model import Report, flat
from ticketlab.report.summary import summarise

DRIFT_WARNING: Final = (
    "These runs were made at different times, and a machine that others use drifts between them: a difference smaller "
    "than the spread of the repeats says nothing, and strategies are best compared within one run."
)
ABSENT: Final = "—"


def differences(report: Report) -> list[dict[str, Any]]:
    """What was asked for and what it ran on, where the runs do not agree: `what`, and the `values` of the runs."""
    described = [flat({**each.experiment, **each.environment}) for each in report.runs]
    names = dict.fromkeys(name for each in described for name in each)
    rows = [{"what": name, "values": [each.get(name, ABSENT) for each in described]} for name in names]
    return [row for row in rows if len(set(row["values"])) > 1]


def side_by_side(report: Report) -> pd.DataFrame:
    """A row a strategy, setting and run: those of `summarise`, with `run`, its `place` from 1, and its change.

    That is the `ratio` of its purchases per second to those of the first run, its limits `low` and `high`, and whether
    it is `clear`, as `findings.changes_of` has them; NaN where the first run has none, and of the first run itself 1.
    """
    each_run = enumerate(report.runs, start=1)
    rows = pd.concat([summarise(run.measures).assign(run=run.run, place=place) for place, run in each_run])
    columns = ["ratio", "low", "high", "clear"]
    rows = rows.merge(changes_of(labelled_measures(report))[["run", *GROUP, *columns]], on=["run", *GROUP], how="left")
    rows.loc[(rows["place"] == 1) & (rows["per_s"] > 0), "ratio"] = 1.0
    rows["clear"] = rows["clear"].eq(True)  # where there is no change it is NaN
    settings = rows.groupby(list(GROUP), sort=False).ngroup()
    return rows.iloc[settings.argsort(kind="stable")].reset_index(drop=True)


def labelled_measures(report: Report) -> pd.DataFrame:
    """The measures of all runs in one frame, with the column `run`."""
    return pd.concat([each.measures.assign(run=each.run) for each in report.runs], ignore_index=True)
