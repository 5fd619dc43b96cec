"""A saved trial, and its analysis: verdicts, measures, what its faults met. Opens no connection.

`trial.json` is written last: a trial without one was interrupted while it was being saved, and is not read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import TypeAdapter

from ticketlab import checks
from ticketlab.checks.side_effects import ProgressCount, progress
from ticketlab.checks.verdict import MAX_FAILURES, Verdict
from ticketlab.faults.schedule import Fault, FaultKind
from ticketlab.history import measures, recording
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.measures import FaultMet, Met, Span, met
from ticketlab.outcomes import RETRIES
from ticketlab.runs.folders import wrapping_read_errors

if TYPE_CHECKING:
    from ticketlab.report.explain import TrialVerdict

_PLAIN_COLUMNS = (
    *("trial", "strategy", "safe", "buyers", "pool_size", "repeat", "seconds", "sold", "refunded"),
    *("sales", "sold_out", "conflicts", "failed", "unavailable", "unknown", "oversold"),
    *("double_called", "refunds_failed", "refunds_unknown", "purchases_per_s", "retries", "verdict"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One saved trial."""

    folder: Path
    number: int
    strategy: str
    safe: bool
    """Whether the strategy claims to be safe; False for a control."""
    buyers: int
    pool_size: int
    """Connections of the pool that its buyers shared."""
    repeat: int
    interrupted: bool
    double_calls: float | None = None
    """The planned share of purchases whose id is called twice; None where it was not saved."""
    faults_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """By kind the instants at which the injected faults took effect, in ns since the trial's start."""
    faults_began_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them began; for a missing kind these are `faults_ns`."""
    faults_over_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was over; for a missing kind these are `faults_ns`."""
    said: Mapping[str, str] = field(default_factory=dict)
    """The first message of the database or the pool for each kind of operation that ended without an answer."""
    facts: Facts = field(default_factory=Facts)
    """What the lab knows of it beyond its history and its tables."""

    @property
    def crashes_ns(self) -> tuple[int, ...]:
        """The instants by which the server was dead."""
        return self.faults_ns.get(FaultKind.CRASH, ())

    def faults_of(self, kind: FaultKind) -> list[Span]:
        """When the faults of a kind began and ended, in order."""
        instants = self.faults_ns.get(kind, ())
        began, over = self.faults_began_ns.get(kind, instants), self.faults_over_ns.get(kind, instants)
        return list(map(Span, began, over))

    @property
    def setting(self) -> dict[str, Any]:
        """What distinguishes it from the other trials, as plain data."""
        return {
            "trial": self.number,
            "strategy": self.strategy,
            "safe": self.safe,
            "buyers": self.buyers,
            "pool_size": self.pool_size,
            "repeat": self.repeat,
        }

    @property
    def history_sha256(self) -> str:
        """The SHA-256 of history.parquet, in hexadecimal: ties a reported number to the file."""
        with wrapping_read_errors(self.folder), (self.folder / "history.parquet").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def history(self) -> pd.DataFrame:
        """All operations, as the buyers saw them."""
        return recording.read(self.folder / "history.parquet")

    def ledger(self) -> Ledger:
        """What the database held at the end."""
        return replace(Ledger.read(self.folder), crashes_ns=self.crashes_ns, facts=self.facts)

    def write_history(self, observed: pd.DataFrame) -> None:
        """Save the history. Called first, as reading the ledger may fail."""
        self.folder.mkdir(parents=True)
        recording.write(observed, self.folder / "history.parquet")

    def write_ledger(self, ledger: Ledger) -> None:
        """Save the ledger, and last of all trial.json."""
        ledger.write(self.folder)
        fields = asdict(replace(self, facts=ledger.facts))
        del fields["folder"]
        unfinished = self.folder / "trial.json.tmp"
        unfinished.write_text(json.dumps(fields, indent=2) + "\n")
        unfinished.rename(self.folder / "trial.json")  # atomic: never a partial file

    @staticmethod
    def read(folder: Path) -> Trial:
        """The trial saved in a folder."""
        saved = json.loads((folder / "trial.json").read_text())
        return _of_fields().validate_python({**saved, "folder": folder})


@cache
def _of_fields() -> TypeAdapter[Trial]:
    return TypeAdapter(Trial)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAnalysis:
    """The results of one trial."""

    trial: Trial
    verdicts: tuple[Verdict, ...]
    measures: measures.Measures
    stock: pd.DataFrame
    without_version: int
    """Sales without a version of their event."""
    met: Mapping[FaultKind, tuple[Met, ...]]
    """By kind the operations that each injected fault met, in order."""
    progress: ProgressCount
    double_calls: int
    """Purchases whose id another purchase had before."""

    @property
    def trial_verdicts(self) -> list[TrialVerdict]:
        """Each verdict with what its views show of the trial."""
        from ticketlab.report import explain

        trial = self.trial
        about: Mapping[str, Any] = {"crashes_ns": trial.crashes_ns, "autocommit": trial.facts.autocommit}
        return [explain.TrialVerdict(**trial.setting, **about, verdict=each) for each in self.verdicts]

    def faults(self, planned: Sequence[Fault]) -> list[FaultMet]:
        """What each of the experiment's faults met in this trial."""
        left = {kind: list(met) for kind, met in self.met.items()}
        in_order = sorted(planned, key=lambda fault: fault.after)
        met = {fault: left[fault.kind].pop(0) for fault in in_order if left[fault.kind]}
        return [FaultMet(fault=str(fault), strategy=self.trial.strategy, met=met.get(fault)) for fault in planned]


def judge(trial: Trial, *, max_failures: float = MAX_FAILURES) -> TrialAnalysis:
    """Read a trial's files, measure it, and run every check.

    Args:
        trial: the saved trial.
        max_failures: the largest share of failures with which it made progress.

    Raises:
        InvalidInputError: its files cannot be read, or have other contents.
    """
    with wrapping_read_errors(trial.folder):
        case = IndexedHistory(trial.history(), trial.ledger())
        measured = measures.measure(case)
        stock = measures.stock_over_time(case)
    return TrialAnalysis(
        trial=trial,
        verdicts=checks.decide(case),
        measures=measured,
        stock=stock,
        without_version=case.sales_without_version,
        met={kind: met(case.history, case.ledger, trial.faults_of(kind)) for kind in FaultKind},
        progress=progress(case, faults_ns=list(chain(*trial.faults_ns.values())), limit=max_failures),
        double_calls=int((case.purchases & case.is_first_line).sum() - (case.count_by_id(case.purchases) > 0).sum()),
    )


def trial_as_json(row: Mapping[Any, Any], analysis: TrialAnalysis, planned: Sequence[Fault] = ()) -> dict[str, Any]:
    """A trial as `ticketlab run --json` prints it: its measures, and its verdicts without their evidence.

    Args:
        row: its row of `Run.measures`.
        analysis: the rest of its results.
        planned: the faults of its experiment.
    """
    trial = analysis.trial
    verdicts = [each.as_json() for each in analysis.trial_verdicts]
    # JSON has no NaN: a trial without any attempt has no latency.
    latency = {name: None if pd.isna(row[f"{name}_ms"]) else row[f"{name}_ms"] for name in measures.PERCENTILES}
    return {
        **{name: row[name] for name in _PLAIN_COLUMNS},
        "progress": analysis.progress.as_dict(),
        "history_sha256": trial.history_sha256,
        "retries_by_cause": {str(cause): row[column] for cause, column in RETRIES.items()},
        "latency_ms": latency,
        "faults": [fault.as_json() for fault in analysis.faults(planned)],
        "checks": {
            each["check"]: {name: each[name] for name in ("status", "anomaly", "summary", "story")} for each in verdicts
        },
    }
