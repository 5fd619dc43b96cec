"""The data of a report: the results of one or several runs, as plain records. Opens no file."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from ticketlab.checks.mutation_baseline import MutationBaseline
from ticketlab.history.arrays import LoadPart
from ticketlab.report.concerns import Concern
from ticketlab.report.headline import Headline, headline
from ticketlab.report.phrases import join_names

DURABILITY: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""The settings of PostgreSQL that make a commit durable; shown with every number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunResults:
    """The results of one run, and all that a reader needs to judge them."""

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
    `checks.progress.ProgressCount.as_dict`), `history_sha256`."""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """Each with `trial`, its setting, `check`, `status`, `summary` and `evidence` (rows); if they are known also with
    `anomaly`, `crashes_ns`, `autocommit` and `story` (sentences)."""
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

    @property
    def headline(self) -> Headline:
        """The verdict on the run."""
        return headline(self.measures, self.power, concerns=self.concerns, tried=self.tried)

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
