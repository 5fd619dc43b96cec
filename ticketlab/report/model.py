"""What a report is made of: what one or several runs found, as plain records. Draws nothing, and opens no file."""

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
"""The settings of PostgreSQL that decide what a commit is worth: on by default, and told with every number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunResults:
    """What one run found, and all that a reader needs to judge it."""

    run: str
    """What the run is called: the name of its folder."""
    name: str
    """What its experiment is called."""
    command: str
    """What to type to repeat the run."""
    conditions: str
    """Server, durability, buyers, duration and repeats, in one line."""
    measures: pd.DataFrame
    stock: pd.DataFrame
    """Both as `ticketlab.report.charts` describes them."""
    trials: Sequence[Mapping[str, Any]] = ()
    """As `ticketlab check --json` prints them: `trial`, its setting, its numbers, `verdict`, `progress` (see
    `evidence.progress.ProgressCount.as_dict`), `history_sha256`."""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """Each with `trial`, its setting, `check`, `status`, `summary` and `evidence` (rows); where it is known with
    `anomaly`, `crashes_ns`, `autocommit` and `story` (sentences)."""
    experiment: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, by field."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Settings and versions: texts, or sections of texts by name."""
    notes: Sequence[str] = ()
    """What a reader must know beside the numbers, in sentences."""
    wrong: Sequence[str] = ()
    """The strategies that claim to be safe and were not shown to be; see `ticketlab.runs.run.Run.wrong`."""
    concerns: Sequence[Concern] = ()
    """Why the run is amber where it has no violation."""
    tried: Collection[LoadPart] = ()
    """The parts of a load that the run had."""
    power: MutationBaseline | None = None
    """What the checks were measured to catch, where that is known."""

    @property
    def headline(self) -> Headline:
        """The verdict on the run."""
        return headline(self.measures, self.power, concerns=self.concerns, tried=self.tried)

    @property
    def sections(self) -> dict[str, dict[str, str]]:
        """Settings and versions by section; single ones stand in the first."""
        single = {name: value for name, value in self.environment.items() if not isinstance(value, Mapping)}
        sections = {name: flat(value) for name, value in self.environment.items() if isinstance(value, Mapping)}
        named = {"general": flat(single), **sections}
        return {name: values for name, values in named.items() if values}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """One run, or several to be compared: the first is what the others are measured against."""

    runs: Sequence[RunResults]

    @property
    def several(self) -> bool:
        """Whether there is anything to compare."""
        return len(self.runs) > 1

    @property
    def title(self) -> str:
        """The name of the experiment, or of those that are compared."""
        names = list(dict.fromkeys(each.name for each in self.runs))
        return f"{len(self.runs)} runs of {join_names(names)}" if self.several else names[0]


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings as texts, the deeper ones under the names above them."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        texts |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": _text(value)}
    return texts


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
