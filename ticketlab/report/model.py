"""The data of a report: the results of one or several runs as plain records, and the contents of its tables. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ticketlab.checks.verdict import Status
from ticketlab.outcomes import RETRIES
from ticketlab.report.captions import change_text, changes_of, rate_text
from ticketlab.report.headline import Concern, Headline, doubts, headline, is_amber
from ticketlab.report.phrases import (
    GROUP,
    SETTING,
    display_name,
    join_names,
    matching_rows,
    setting_parts,
    varying_columns,
)
from ticketlab.report.summary import summarise

if TYPE_CHECKING:
    from ticketlab.checks.mutation_baseline import MutationBaseline
    from ticketlab.checks.verdict import Verdict
    from ticketlab.history.arrays import LoadPart
    from ticketlab.report.explain import Story, TrialVerdict


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResults:
    """The results of one run, and all that a reader needs to judge them: what every view of a run reads."""

    run: str
    """The name of its folder."""
    name: str
    """The name of its experiment."""
    command: str
    """The command that repeats the run."""
    conditions: str
    """Server, durability, buyers, duration and repeats, in one line."""
    measures: pd.DataFrame
    stock: pd.DataFrame
    """Both as `ticketlab.report.charts` describes them."""
    trials: Sequence[Mapping[str, Any]] = ()
    """As `ticketlab check --json` prints them: `trial`, its setting and numbers, `verdict`, `progress` (see
    `checks.side_effects.ProgressCount.as_dict`), `history_sha256`."""
    verdicts: Sequence[TrialVerdict] = ()
    """Of all trials, in order of execution."""
    experiment: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the experiment."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Settings and versions: texts, or sections of texts by name."""
    notes: Sequence[str] = ()
    """Sentences that a reader must know besides the numbers."""
    wrong: Sequence[str] = ()
    """The strategies that claim to be safe but were not shown to be; see `ticketlab.runs.run.Run.wrong`."""
    concerns: Sequence[Concern] = ()
    """Why the run is amber although it has no violation."""
    tried: Collection[LoadPart] = ()
    """The parts of a load that the run had."""
    power: MutationBaseline | None = None
    """What the checks detected in their calibration, if that is known."""

    @cached_property
    def headline(self) -> Headline:
        """The verdict on the run."""
        return headline(self.measures, self.power, concerns=self.concerns, tried=self.tried)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per strategy and setting, over the repeats; see `report.summary`."""
        return summarise(self.measures)

    def verdicts_of(self, strategy: str, *statuses: Status) -> list[TrialVerdict]:
        """The verdicts on a strategy with one of these statuses, in order of execution."""
        return [each for each in self.verdicts if each.strategy == strategy and each.verdict.status in statuses]

    @property
    def sections(self) -> dict[str, dict[str, str]]:
        """Settings and versions by section; those without a section are in the first, "general"."""
        single = {name: value for name, value in self.environment.items() if not isinstance(value, Mapping)}
        sections = {name: flat(value) for name, value in self.environment.items() if isinstance(value, Mapping)}
        named = {"general": flat(single), **sections}
        return {name: values for name, values in named.items() if values}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """One run, or several to compare: the first is the baseline."""

    runs: Sequence[RunResults]

    @property
    def several(self) -> bool:
        """Whether there are runs to compare."""
        return len(self.runs) > 1

    @property
    def title(self) -> str:
        """The name of the experiment, or the names of those that are compared."""
        names = list(dict.fromkeys(each.name for each in self.runs))
        return f"{len(self.runs)} runs of {join_names(names)}" if self.several else names[0]


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings as texts by their dotted names."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            texts |= flat(value, f"{above}{name}.")
        else:
            texts[f"{above}{name}"] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return texts


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
    rows = pd.concat([run.summary.assign(run=run.run, place=place) for place, run in each_run])
    columns = ["ratio", "low", "high", "clear"]
    rows = rows.merge(changes_of(labelled_measures(report))[["run", *GROUP, *columns]], on=["run", *GROUP], how="left")
    rows.loc[(rows["place"] == 1) & (rows["per_s"] > 0), "ratio"] = 1.0
    rows["clear"] = rows["clear"].eq(True)  # NaN without a change
    settings = rows.groupby(list(GROUP), sort=False).ngroup()
    return rows.iloc[settings.argsort(kind="stable")].reset_index(drop=True)


def labelled_measures(report: Report) -> pd.DataFrame:
    """The measures of all runs in one frame, with the column `run`."""
    return pd.concat([each.measures.assign(run=each.run) for each in report.runs], ignore_index=True)


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
    rows = run.summary
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownVerdict:
    """A verdict that is not VALID, as a report shows it."""

    trial: int
    verdict: Verdict
    name: str
    """The trial in words: its strategy, its setting if there are several, its repeat."""
    story: Story
    unfolded: bool = False
    """Whether it is expanded, with a timeline."""

    @property
    def columns(self) -> list[str]:
        """The columns of the evidence that is shown."""
        return list(dict.fromkeys(column for row in self.verdict.evidence[:EVIDENCE_SHOWN] for column in row))

    @property
    def cells(self) -> list[list[Any]]:
        """Its rows; a cell without a value is empty."""
        columns, shown = self.columns, self.verdict.evidence[:EVIDENCE_SHOWN]
        return [["" if (cell := row.get(column)) is None else cell for column in columns] for row in shown]


def found(run: RunResults) -> dict[str, list[ShownVerdict]]:
    """The violations of a run, those of strategies that claim to be safe first, and the undecided checks."""
    wrong, undecided = (
        [each for each in run.verdicts if each.verdict.status is status] for status in (Status.INVALID, Status.UNKNOWN)
    )
    wrong.sort(key=lambda each: not each.safe)
    unfolded = first_of_a_kind(wrong)[:UNFOLDED]
    return {
        "violations": [_shown(each, run.measures, unfolded=each in unfolded) for each in wrong],
        "undecided": [_shown(each, run.measures) for each in undecided],
    }


def _shown(found: TrialVerdict, measures: pd.DataFrame, *, unfolded: bool = False) -> ShownVerdict:
    setting = setting_parts(pd.Series({name: getattr(found, name) for name in SETTING}), measures)
    name = ", ".join([display_name(found.strategy, found.safe), *setting, f"repeat {found.repeat}"])
    return ShownVerdict(trial=found.trial, verdict=found.verdict, name=name, story=found.story, unfolded=unfolded)


def first_of_a_kind(violations: Sequence[TrialVerdict]) -> list[TrialVerdict]:
    """The first violation of each strategy and check."""
    kinds = {(each.strategy, each.verdict.check): each for each in reversed(violations)}
    return [each for each in violations if kinds[each.strategy, each.verdict.check] is each]
