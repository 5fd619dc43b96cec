"""A trial on disk, and what follows from it. Opens no connection.

`trial.json` is written last: a trial without one was cut off while it was being saved, and is not read.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter

from ticketlab import checks
from ticketlab.checks.progress import MAX_FAILURES, ProgressCount, progress
from ticketlab.checks.verdict import Status, Verdict
from ticketlab.errors import InvalidInputError
from ticketlab.faults.schedule import Fault, FaultKind
from ticketlab.history import measures, recording
from ticketlab.history.index import IndexedHistory
from ticketlab.history.ledger import Facts, Ledger
from ticketlab.history.measures import Met, Span, met
from ticketlab.report.explain import story_of
from ticketlab.report.faults import FaultMet

_SETTING = ("trial", "strategy", "safe", "buyers", "pool_size", "repeat")
_OF_PURCHASES = ("sales", "sold_out", "conflicts", "failed", "unavailable", "unknown", "oversold")
_COUNTS = ("seconds", "sold", "refunded", *_OF_PURCHASES, "double_called", "refunds_failed", "refunds_unknown")
_PLAIN = (*_SETTING, *_COUNTS, "purchases_per_s", "retries", "verdict")


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
    """The share of purchases whose id was to be called twice; None where it was not saved."""
    faults_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """Of each kind of fault the instants at which it came, in ns since the trial's start."""
    faults_began_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was begun; of a kind that is missing that is taken to be the instant."""
    faults_over_ns: Mapping[FaultKind, tuple[int, ...]] = field(default_factory=dict)
    """When each of them was over; of a kind that is missing only the instants are known."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What the database or the pool said where operations ended without an answer: of each kind the first."""
    facts: Facts = field(default_factory=Facts)
    """What the lab knows of it beside its history and its tables."""

    @property
    def crashes_ns(self) -> tuple[int, ...]:
        """The instants by which the server was dead."""
        return self.faults_ns.get(FaultKind.CRASH, ())

    def faults_of(self, kind: FaultKind) -> list[Span]:
        """When the faults of a kind were, in order."""
        instants = self.faults_ns.get(kind, ())
        began, over = self.faults_began_ns.get(kind, instants), self.faults_over_ns.get(kind, instants)
        return list(map(Span, began, over))

    @property
    def all_faults_ns(self) -> tuple[int, ...]:
        """The instants of all faults, whatever their kind."""
        return tuple(instant for kind in self.faults_ns.values() for instant in kind)

    @property
    def setting(self) -> dict[str, Any]:
        """What tells it from the others, as plain data."""
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
        """The SHA-256 of history.parquet, in hexadecimal: whoever holds the file can tell that a number is of it."""
        with wrapping_read_errors(self.folder), (self.folder / "history.parquet").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def history(self) -> pd.DataFrame:
        """Every purchase, as its buyer saw it."""
        return recording.read(self.folder / "history.parquet")

    def ledger(self) -> Ledger:
        """What the database held in the end."""
        return replace(Ledger.read(self.folder), crashes_ns=self.crashes_ns, facts=self.facts)

    def write_history(self, observed: pd.DataFrame) -> None:
        """Save what the buyers saw: first, for the ledger may prove out of reach."""
        self.folder.mkdir(parents=True)
        recording.write(observed, self.folder / "history.parquet")

    def write_ledger(self, ledger: Ledger) -> None:
        """Save what the database holds, and last of all that the trial is complete."""
        ledger.write(self.folder)
        described = {key: value for key, value in asdict(replace(self, facts=ledger.facts)).items() if key != "folder"}
        unfinished = self.folder / "trial.json.tmp"
        unfinished.write_text(json.dumps(described, indent=2) + "\n")
        unfinished.rename(self.folder / "trial.json")  # whole or not at all

    @classmethod
    def read(cls, folder: Path) -> Self:
        """A trial as it was saved."""
        saved = json.loads((folder / "trial.json").read_text())
        return TypeAdapter(cls).validate_python({**saved, "folder": folder})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAnalysis:
    """What follows from one trial."""

    trial: Trial
    verdicts: tuple[Verdict, ...]
    measures: measures.Measures
    stock: pd.DataFrame
    without_version: int
    """Sales that carry no version of their event."""
    met: Mapping[FaultKind, tuple[Met, ...]]
    """Of each kind of fault what those that came met, in order."""
    progress: ProgressCount
    double_calls: int
    """Purchases whose id another purchase had before."""

    def faults(self, wanted: Sequence[Fault]) -> list[FaultMet]:
        """What each of the faults that its experiment wanted met in this trial."""
        left = {kind: list(met) for kind, met in self.met.items()}
        met = {each: left[each.kind].pop(0) for each in sorted(wanted, key=lambda each: each.after) if left[each.kind]}
        return [FaultMet(fault=str(each), strategy=self.trial.strategy, met=met.get(each)) for each in wanted]


def judge(trial: Trial, *, max_failures: float = MAX_FAILURES) -> TrialAnalysis:
    """Read a trial, measure it, and let every check judge it.

    Args:
        trial: what was saved.
        max_failures: the largest share of failures with which it made progress.

    Raises:
        InvalidInputError: its files can not be read, or do not hold what they should.
    """
    with wrapping_read_errors(trial.folder):
        observed, ledger = trial.history(), trial.ledger()
        measured = measures.measure(observed, ledger)
        stock = measures.stock_over_time(observed, ledger)
    case = IndexedHistory(observed, ledger)
    return TrialAnalysis(
        trial=trial,
        verdicts=checks.decide(case),
        measures=measured,
        stock=stock,
        without_version=case.sales_without_version,
        met={kind: met(observed, ledger, trial.faults_of(kind)) for kind in FaultKind},
        progress=progress(case, faults_ns=trial.all_faults_ns, limit=max_failures),
        double_calls=int((case.purchases & case.is_first_line).sum() - (case.count_by_id(case.purchases) > 0).sum()),
    )


def trial_as_json(row: Mapping[Any, Any], judged: TrialAnalysis, wanted: Sequence[Fault] = ()) -> dict[str, Any]:
    """A trial as `ticketlab run --json` prints it: its row of measures, and its verdicts without what proves them.

    `wanted` are the faults of its experiment.
    """
    trial, verdicts = judged.trial, judged.verdicts
    # JSON knows no NaN: a trial in which nothing was worked on has no latency.
    latency = {name: None if pd.isna(row[f"{name}_ms"]) else row[f"{name}_ms"] for name in measures.PERCENTILES}
    return {
        **{name: row[name] for name in _PLAIN},
        "progress": judged.progress.as_dict(),
        "history_sha256": trial.history_sha256,
        "retries_by_cause": {str(cause): row[column] for cause, column in recording.RETRIES.items()},
        "latency_ms": latency,
        "faults": [each.as_json() for each in judged.faults(wanted)],
        "checks": {each.check: _summary_fields(verdict_as_json(trial, each)) for each in verdicts},
    }


def verdict_as_json(trial: Trial, verdict: Verdict) -> dict[str, Any]:
    """`check`, `status`, `anomaly` and `story` (what is INVALID has a name, and is told), `summary`, `evidence`."""
    found = {
        "check": verdict.check,
        "status": str(verdict.status),
        "anomaly": str(verdict.anomaly or ""),
        "summary": verdict.summary,
        "evidence": list(verdict.evidence),
    }
    known = {"crashes_ns": trial.crashes_ns, "autocommit": trial.facts.autocommit}
    return found | {"story": story_of(found | known).sentences if verdict.status is Status.INVALID else []}


def _summary_fields(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict of a trial without what proves it, which the run's folder has."""
    return {name: verdict[name] for name in ("status", "anomaly", "summary", "story")}


@contextmanager
def wrapping_read_errors(folder: Path) -> Iterator[None]:
    """Around reading saved files: whatever is wrong with them is told as one error that names the folder."""
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"The files in {folder} cannot be read as those of a run: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def wrapping_write_errors(folder: Path) -> Iterator[None]:
    """Around writing files: what stands in the way is told as one error that names the folder."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"Nothing can be written to {folder}: {error.strerror}.") from error
