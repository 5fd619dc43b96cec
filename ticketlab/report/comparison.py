"""Several runs side by side: the differences of their settings, and the speeds of their strategies. Pure."""

from typing import Any, Final

import pandas as pd

from ticketlab.report.captions import changes_of
from ticketlab.report.model import Report, flat
from ticketlab.report.phrases import GROUP
from ticketlab.report.summary import summarise

DRIFT_WARNING: Final = (
    "These runs were made at different times, and the speed of a shared machine drifts: compare strategies within one "
    "run, and distrust a difference between runs that is smaller than the spread of the repeats."
)
ABSENT: Final = "—"


def differences(report: Report) -> list[dict[str, Any]]:
    """The settings of experiment and environment that differ between the runs: `what`, and the `values` by run."""
    described = [flat({**each.experiment, **each.environment}) for each in report.runs]
    names = dict.fromkeys(name for each in described for name in each)
    rows = [{"what": name, "values": [each.get(name, ABSENT) for each in described]} for name in names]
    return [row for row in rows if len(set(row["values"])) > 1]


def side_by_side(report: Report) -> pd.DataFrame:
    """One row per strategy, setting and run.

    The columns of `summarise`; `run` and its `place` from 1; and the `ratio` of its sales per second to the first run's
    with `low`, `high` and `clear`, as `captions.changes_of` has them: 1 for the first run, NaN if there is none.
    """
    each_run = enumerate(report.runs, start=1)
    rows = pd.concat([summarise(run.measures).assign(run=run.run, place=place) for place, run in each_run])
    columns = ["ratio", "low", "high", "clear"]
    rows = rows.merge(changes_of(labelled_measures(report))[["run", *GROUP, *columns]], on=["run", *GROUP], how="left")
    rows.loc[(rows["place"] == 1) & (rows["per_s"] > 0), "ratio"] = 1.0
    rows["clear"] = rows["clear"].eq(True)  # NaN without a change
    settings = rows.groupby(list(GROUP), sort=False).ngroup()
    return rows.iloc[settings.argsort(kind="stable")].reset_index(drop=True)


def labelled_measures(report: Report) -> pd.DataFrame:
    """The measures of all runs in one frame, with the column `run`."""
    return pd.concat([each.measures.assign(run=each.run) for each in report.runs], ignore_index=True)
