"""A run on disk: what was observed, and what follows from it. Opens no connection and starts no server.

    runs/<time>-<name>/
        experiment.json  environment.json
        trials/<n>/trial.json  history.parquet  events.parquet  tickets.parquet
        verdicts.json  measures.parquet  report.html

What was observed is saved before it is judged, so that a run can be judged again. `trial.json` is written last: a
trial without one was cut off while it was being saved, and is not read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter

from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.evidence import checks, history, measures
from ticketlab.evidence.checks import Status, Verdict
from ticketlab.evidence.ledger import Ledger
from ticketlab.experiment import Experiment
from ticketlab.report.summary import summarise

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One saved trial."""

    folder: Path
    number: int
    strategy: str
    safe: bool
    """Whether the strategy claims to be safe; False for a control."""
    buyers: int
    repeat: int
    interrupted: bool

    def history(self) -> pd.DataFrame:
        """Every purchase, as its buyer saw it."""
        return history.read(self.folder / "history.parquet")

    def ledger(self) -> Ledger:
        """What the database held in the end."""
        return Ledger.read(self.folder)

    def write_history(self, observed: pd.DataFrame) -> None:
        """Save what the buyers saw: first, for the ledger may prove out of reach."""
        self.folder.mkdir(parents=True)
        history.write(observed, self.folder / "history.parquet")

    def write_ledger(self, ledger: Ledger) -> None:
        """Save what the database holds, and last of all that the trial is complete."""
        ledger.write(self.folder)
        described = {key: value for key, value in asdict(self).items() if key != "folder"}
        unfinished = self.folder / "trial.json.tmp"
        unfinished.write_text(json.dumps(described, indent=2) + "\n")
        unfinished.rename(self.folder / "trial.json")  # whole or not at all

    @classmethod
    def read(cls, folder: Path) -> Self:
        """A trial as it was saved."""
        saved = json.loads((folder / "trial.json").read_text())
        return TypeAdapter(cls).validate_python({**saved, "folder": folder})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """The part of environment.json that results can not be read without."""

    kind: str
    version: str
    why: str
    settings: Mapping[str, str]


class Run:
    """The results of an experiment, read from its folder. Frames and verdicts are worked out when first asked for."""

    def __init__(self, folder: Path) -> None:
        """Read the run in `folder`.

        Raises:
            NotFoundError: there is no run in it, or not a single trial of it was completed.
            InvalidInputError: its files can not be read, or do not hold what they should.
        """
        if not (folder / "experiment.json").is_file():
            raise NotFoundError(f"There is no run in {folder}: no experiment.json. `ticketlab run` prints its folder.")
        self.folder = folder
        with _reading(folder):
            self.experiment = Experiment.read(folder / "experiment.json")
            self.environment: Mapping[str, Any] = json.loads((folder / "environment.json").read_text())
            self._server = TypeAdapter(_Server).validate_python(self.environment["server"])
            complete = [each.parent for each in folder.glob("trials/*/trial.json") if each.parent.name.isdecimal()]
            self.trials = [Trial.read(each) for each in sorted(complete, key=lambda path: int(path.name))]
        if not self.trials:
            raise NotFoundError(f"The run in {folder} was ended before its first trial was over: nothing to judge.")

    @cached_property
    def _judged(self) -> list[tuple[Trial, tuple[Verdict, ...], dict[str, Any], pd.DataFrame]]:
        judged = []
        for trial in self.trials:
            with _reading(trial.folder):
                observed, ledger = trial.history(), trial.ledger()
                numbers = measures.measure(observed, ledger).as_dict()
                stock = measures.stock_over_time(observed, ledger)
            judged.append((trial, checks.judge(observed, ledger), numbers, stock))
        return judged

    @property
    def verdicts(self) -> list[tuple[Trial, tuple[Verdict, ...]]]:
        """What each check found of each trial, in order of execution."""
        return [(trial, verdicts) for trial, verdicts, *_ in self._judged]

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row a trial: `trial`, `strategy`, `safe`, `buyers`, `repeat`, the fields of Measures, `verdict`."""
        rows = [
            _setting(trial) | numbers | {"verdict": str(checks.overall(verdicts))}
            for trial, verdicts, numbers, _ in self._judged
        ]
        return pd.DataFrame(rows)

    @cached_property
    def stock(self) -> pd.DataFrame:
        """What was left after each sale: `strategy`, `buyers`, `repeat`, `seconds`, `left`."""
        return pd.concat(
            [
                stock.assign(strategy=trial.strategy, buyers=trial.buyers, repeat=trial.repeat)
                for trial, *_, stock in self._judged
            ],
            ignore_index=True,
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row a strategy and number of buyers, over the repeats; see `report.summary`."""
        return summarise(self.measures)

    @property
    def wrong(self) -> list[str]:
        """The strategies that claim to be safe and were not found VALID in every trial.

        A trial that was cut short before anybody was answered shows nothing, and is not held against them.
        """
        interrupted = [trial.interrupted for trial in self.trials]
        held_against = (self.measures["verdict"] == Status.INVALID) | (
            (self.measures["verdict"] == Status.UNKNOWN) & ~pd.Series(interrupted)
        )
        return list(self.measures.loc[self.measures["safe"] & held_against, "strategy"].unique())

    @property
    def uncaught(self) -> list[str]:
        """The controls that no trial found INVALID, though at least one decided."""
        controls = self.measures[~self.measures["safe"]]
        found = controls.groupby("strategy", sort=False)["verdict"].agg(set)
        return [
            str(name) for name, verdicts in found.items() if Status.VALID in verdicts and Status.INVALID not in verdicts
        ]

    @property
    def server(self) -> str:
        """Which server the run took, and why, in a line."""
        return self._server.why

    @property
    def ended_early(self) -> bool:
        """Whether trials are missing, or the last one was cut short."""
        return len(self.trials) < len(self.experiment.trials()) or any(each.interrupted for each in self.trials)

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the table, in sentences."""
        notes = []
        if self.ended_early:
            cut_short = ", the last of them cut short" if self.trials[-1].interrupted else ""
            planned = len(self.experiment.trials())
            notes.append(f"The run was ended early: {len(self.trials)} of {planned} trials were made{cut_short}.")
        notes += [
            f"{name} is a control and was not caught: too little contention to see its oversell. "
            "Try more buyers, more repeats, or fewer events."
            for name in self.uncaught
        ]
        answered = [(name, int(self.measures[name].sum())) for name in ("failed", "unavailable", "unknown")]
        if any(count for _, count in answered):
            counts = ", ".join(f"{count:,} {name}" for name, count in answered if count)
            notes.append(f"Not every purchase was answered: {counts}. They are in no latency.")
        weakened = self.durability_off
        if weakened:
            notes.append(f"Durability was off ({', '.join(weakened)}): the timings are not those of a safe server.")
        return notes

    @property
    def durability_off(self) -> list[str]:
        """The durability settings that the server ran without, such as "fsync off"."""
        settings = self._server.settings
        return [f"{name} {settings[name]}" for name in DURABILITY if settings.get(name) != "on"]

    @property
    def conditions(self) -> str:
        """Server, durability, buyers, duration and repeats in one line, for tables and charts."""
        server, ran = self._server, self.experiment
        limit = f", at most {ran.purchases:,} purchases" if ran.purchases is not None else ""
        return " · ".join(
            [
                f"PostgreSQL {server.version} ({server.kind})",
                ", ".join(f"{name} {server.settings.get(name, '?')}" for name in DURABILITY),
                f"{', '.join(map(str, ran.buyers))} buyer{'s' if ran.buyers != (1,) else ''}",
                f"{ran.events} event{'s' if ran.events != 1 else ''} of {ran.stock:,} seats",
                f"at most {ran.seconds:g} s{limit}",
                f"{ran.repeats} repeat{'s' if ran.repeats != 1 else ''}",
            ]
        )

    def verdict_rows(self) -> list[dict[str, Any]]:
        """Every verdict as plain data: the trial's setting, `check`, `status`, `summary`, `evidence`."""
        return [
            _setting(trial)
            | {
                "check": each.check,
                "status": str(each.status),
                "summary": each.summary,
                "evidence": list(each.evidence),
            }
            for trial, verdicts in self.verdicts
            for each in verdicts
        ]

    def save_judgement(self) -> None:
        """Write verdicts.json and measures.parquet.

        Raises:
            InvalidInputError: the folder can not be written.
        """
        verdicts = json.dumps(self.verdict_rows(), indent=2) + "\n"
        with _writing(self.folder):
            (self.folder / "verdicts.json").write_text(verdicts)
            self.measures.to_parquet(self.folder / "measures.parquet", index=False)

    @property
    def report(self) -> Path:
        """Where the report is written."""
        return self.folder / "report.html"

    def write_report(self) -> Path:
        """Write the report, one HTML file that needs no network; returns its path."""
        from ticketlab.report import page  # draws with Matplotlib, which takes its time

        shown = page.Page(
            title=f"ticketlab: {self.experiment.name}",
            run=self.folder.name,
            command=self.experiment.command(),
            conditions=self.conditions,
            measures=self.measures,
            stock=self.stock,
            verdicts=self.verdict_rows(),
            environment=self.environment,
            notes=self.notes,
        )
        rendered = page.render(shown)
        with _writing(self.folder):
            self.report.write_text(rendered, encoding="utf-8")
        return self.report

    def as_json(self) -> dict[str, Any]:
        """The run as `ticketlab run --json` prints it."""
        rows = zip(self.measures.to_dict("records"), self.verdicts, strict=True)
        return {
            "run": str(self.folder),
            "environment": self.environment,
            "trials": [_trial_as_json(row, verdicts) for row, (_, verdicts) in rows],
        }


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Around reading saved files: whatever is wrong with them is told as one error that names the folder."""
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"The files in {folder} can not be read as those of a run: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"Nothing can be written to {folder}: {error.strerror}.") from error


def _setting(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "strategy": trial.strategy,
        "safe": trial.safe,
        "buyers": trial.buyers,
        "repeat": trial.repeat,
    }


_PLAIN = ("strategy", "buyers", "repeat", "seconds", "sold", "sold_out", "conflicts", "failed", "unavailable")
_PLAIN_TOO = ("unknown", "oversold", "purchases_per_s", "retries", "verdict")


def _trial_as_json(row: Mapping[Any, Any], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    # JSON knows no NaN: a trial in which nothing was worked on has no latency.
    latency = {name: None if pd.isna(row[f"{name}_ms"]) else row[f"{name}_ms"] for name in measures.PERCENTILES}
    return {
        **{name: row[name] for name in _PLAIN + _PLAIN_TOO},
        "latency_ms": latency,
        "checks": {each.check: {"status": str(each.status), "summary": each.summary} for each in verdicts},
    }
