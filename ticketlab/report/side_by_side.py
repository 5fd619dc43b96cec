"""Several runs beside one another: what differs between them, and how their strategies did. Pure."""

from typing import Any, Final

import pandas as pd

from ticketlab.report.model import Report, flat
from ticketlab.report.setting import GROUP
from ticketlab.report.summary import summarise

DRIFT: Final = (
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
    """A row a strategy, setting and run: those of `summarise`, with `run`, its `place` from 1, and a `ratio`.

    The ratio to the first run is that of the medians of purchases per second; NaN where the first run has none.
    """
    each_run = enumerate(report.runs, start=1)
    rows = pd.concat([summarise(run.measures).assign(run=run.run, place=place) for place, run in each_run])
    first = rows[rows["place"] == 1].set_index(list(GROUP))["per_s"]
    base = first.reindex(pd.MultiIndex.from_frame(rows[list(GROUP)])).to_numpy()
    rows["ratio"] = (rows["per_s"] / base).where(base > 0)
    settings = rows.groupby(list(GROUP), sort=False).ngroup()
    return rows.iloc[settings.argsort(kind="stable")].reset_index(drop=True)


def labelled_measures(report: Report) -> pd.DataFrame:
    """The measures of all runs in one frame, with the column `run`."""
    return pd.concat([each.measures.assign(run=each.run) for each in report.runs], ignore_index=True)
