"""A saved run: its trials, and the results that follow from them. Opens no connection and starts no server.

    runs/<time>-<name>/
        experiment.json  environment.json
        trials/<n>/trial.json  history.parquet  events.parquet  tickets.parquet
        verdicts.json  measures.parquet  (report.html, made by `ticketlab.report_writer`)

Observations are saved before they are judged, so that a run can be judged again. `trial.json` is written last: a trial
without one was interrupted while it was being saved, and is not read.
"""

from __future__ import annotations

import json
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import TypeAdapter

from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.environment import DURABILITY
from ticketlab.errors import NotFoundError
from ticketlab.faults.schedule import Fault
from ticketlab.history.arrays import LoadPart
from ticketlab.history.measures import FaultMet, untested
from ticketlab.history.text import counted
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.folders import wrapping_read_errors, wrapping_write_errors
from ticketlab.runs.trial_data import Trial, TrialAnalysis, judge, trial_as_json

if TYPE_CHECKING:
    from ticketlab.report.explain import TrialVerdict
    from ticketlab.report.headline import Concern
    from ticketlab.report.model import RunResults


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """The part of environment.json that is required."""

    kind: str
    version: str
    why: str
    settings: Mapping[str, str]


class Run:
    """The results of an experiment, read from its folder. Frames and verdicts are computed on first use."""

    def __init__(self, folder: Path) -> None:
        """Read the run in `folder`.

        Raises:
            NotFoundError: there is no run in it, or no trial of it was completed.
            InvalidInputError: its files cannot be read, or have other contents.
        """
        if not (folder / "experiment.json").is_file():
            raise NotFoundError(f"There is no run in {folder}: no experiment.json. `ticketlab run` prints its folder.")
        self.folder = folder
        with wrapping_read_errors(folder):
            self.experiment = Experiment.read(folder / "experiment.json")
            self.environment: Mapping[str, Any] = json.loads((folder / "environment.json").read_text())
            self._server = TypeAdapter(_Server).validate_python(self.environment["server"])
            complete = [each.parent for each in folder.glob("trials/*/trial.json") if each.parent.name.isdecimal()]
            self.trials = [Trial.read(each) for each in sorted(complete, key=lambda path: int(path.name))]
        if not self.trials:
            raise NotFoundError(f"The run in {folder} ended before its first trial was over: nothing to judge.")

    @cached_property
    def _judged(self) -> list[TrialAnalysis]:
        return [judge(trial, max_failures=self.experiment.max_failures) for trial in self.trials]

    @property
    def verdicts(self) -> list[tuple[Trial, tuple[Verdict, ...]]]:
        """Each trial with its verdicts, in order of execution."""
        return [(each.trial, each.verdicts) for each in self._judged]

    @property
    def trial_verdicts(self) -> list[TrialVerdict]:
        """Every verdict with the setting of its trial, in order of execution."""
        return [verdict for each in self._judged for verdict in each.trial_verdicts]

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row per trial: `Trial.setting`, the fields of Measures, the columns of its progress, and `verdict`."""
        rows = [
            each.trial.setting
            | each.measures.as_dict()
            | each.progress.as_columns()
            | {"verdict": str(overall(each.verdicts))}
            for each in self._judged
        ]
        return pd.DataFrame(rows)

    @cached_property
    def stock(self) -> pd.DataFrame:
        """The available tickets after each sale: `strategy`, `buyers`, `pool_size`, `repeat`, `seconds`, `left`."""
        keys = ("strategy", "buyers", "pool_size", "repeat")
        curves = [each.stock.assign(**{key: each.trial.setting[key] for key in keys}) for each in self._judged]
        return pd.concat(curves, ignore_index=True)

    @cached_property
    def results(self) -> RunResults:
        """The results as reports, the terminal and the pytest plugin show them."""
        from ticketlab.checks.mutation_baseline import load_baseline
        from ticketlab.report.model import RunResults

        return RunResults(
            run=self.folder.resolve().name,
            name=self.experiment.name,
            command=self.experiment.command(),
            conditions=self.conditions,
            measures=self.measures,
            stock=self.stock,
            trials=self.trial_rows(),
            verdicts=self.trial_verdicts,
            experiment=self.experiment.as_dict(),
            environment=self.environment,
            notes=self.notes,
            wrong=self.failed_strategies,
            concerns=self.concerns,
            tried=self.tried,
            power=load_baseline(),
        )

    @property
    def summary(self) -> pd.DataFrame:
        """A row per strategy and setting, over the repeats; see `report.summary`."""
        return self.results.summary

    @property
    def failed_strategies(self) -> list[str]:
        """The strategies that claim to be safe and were not VALID in every trial.

        An interrupted trial that is UNKNOWN does not count: it may have no answers.
        """
        interrupted = pd.Series([trial.interrupted for trial in self.trials])
        verdicts = self.measures["verdict"]
        failed = (verdicts == Status.INVALID) | ((verdicts == Status.UNKNOWN) & ~interrupted)
        return list(self.measures.loc[self.measures["safe"] & failed, "strategy"].unique())

    @cached_property
    def concerns(self) -> list[Concern]:
        """Why the run is amber and not green; see `report.headline.concerns`."""
        from ticketlab.report.headline import concerns

        return concerns(
            self.measures,
            max_failures=self.experiment.max_failures,
            baskets=self.experiment.sells_baskets,
            own_tables=self.environment.get("own_tables", ()),
        )

    @property
    def untested(self) -> list[str]:
        """The faults that were not injected in every trial, in words."""
        return [fault.words for fault in self.untriggered_faults]

    @property
    def strict_failures(self) -> list[str]:
        """Why the run fails under --strict, in sentences; `failed_strategies` fail in any case."""
        from ticketlab.report.headline import strict_failures

        return strict_failures(self.concerns, self.untested, self.trial_verdicts)

    @property
    def tried(self) -> frozenset[LoadPart]:
        """The parts of a load that the run had; of its faults those that were injected in a trial."""
        kinds = {kind for trial in self.trials for kind, instants in trial.faults_ns.items() if instants}
        twice = {LoadPart.DOUBLE_CALLS} if any(each.double_calls for each in self._judged) else set()
        return self.experiment.load_parts | {LoadPart(str(kind)) for kind in kinds} | twice

    @property
    def undetected_controls(self) -> list[str]:
        """The controls with a VALID trial and no INVALID one."""
        controls = self.measures[~self.measures["safe"]]
        by_name = controls.groupby("strategy", sort=False)["verdict"].agg(set)
        return [str(name) for name, each in by_name.items() if Status.VALID in each and Status.INVALID not in each]

    @property
    def unversioned_strategies(self) -> list[str]:
        """The strategies with sales without a version of their event."""
        return list(dict.fromkeys(each.trial.strategy for each in self._judged if each.without_version))

    @property
    def double_called(self) -> Mapping[str, int]:
        """By strategy the number of purchase ids that were called more than once, in all its trials."""
        counts = self.measures.groupby("strategy", sort=False)["double_called"].sum()
        return {str(name): int(count) for name, count in counts.items()}

    @property
    def untriggered_faults(self) -> Mapping[Fault, int]:
        """The faults that were not injected, and in how many trials."""
        return Counter(Fault.parse(each.fault) for each in self.faults if each.met is None)

    @cached_property
    def faults(self) -> list[FaultMet]:
        """What each fault met in each trial."""
        return [each for judged in self._judged for each in judged.faults(self.experiment.faults)]

    @property
    def untested_faults(self) -> list[Fault]:
        """The faults that no trial tested: they were not injected, or met no purchase and no refund."""
        return [Fault.parse(each) for each in untested(self.faults)]

    @property
    def server(self) -> str:
        """The chosen server, and why, in a line."""
        return self._server.why

    @property
    def ended_early(self) -> bool:
        """Whether trials are missing, or the last one was interrupted."""
        return len(self.trials) < len(self.experiment.trials()) or any(each.interrupted for each in self.trials)

    @property
    def notes(self) -> list[str]:
        """Limits and causes of the results, in sentences, for tables and reports."""
        from ticketlab.report.limits import sentences, without_double_calls

        notes = []
        if self.ended_early:
            cut_short = ", the last of them cut short" if self.trials[-1].interrupted else ""
            planned = len(self.experiment.trials())
            notes.append(f"The run was ended early: {len(self.trials)} of {planned} trials were run{cut_short}.")
        for name in self.environment.get("own_strategies", ()):
            again = "" if ":" in name else "; to run it again, pass it to lab.run(…, own=[…])"
            source = f"its source is saved in environment.json{again}"
            notes.append(f"{name} is not one of ticketlab's strategies: {source}.")
        unseen = self.environment.get("unseen", {})
        notes += [f"{name} cannot be observed completely: {why}." for name, why in unseen.items()]
        notes += [
            f"{name} is a control, and no check detected it: try more buyers, more repeats, fewer events, or --basket "
            "2-3 for a control of baskets."
            for name in self.undetected_controls
        ]
        notes += [
            f"{name}: its sales report no version, so their order is not checked; the number of tickets is."
            for name in self.unversioned_strategies
        ]
        notes += [
            f"The {fault.words} was not injected in {count} of {len(self.trials)} trials: they ended before it. Use "
            "more seats, or more time."
            for fault, count in self.untriggered_faults.items()
        ]
        notes += sentences(self.faults)
        notes += self.unanswered
        if self.experiment.refunds:
            notes += self._refund_notes()
        if self.experiment.double_calls is None:
            safe = [trial for trial in self.trials if trial.safe]
            shares = {each.strategy: each.double_calls for each in safe if each.double_calls is not None}
            notes += without_double_calls(shares)
        weakened = self.durability_off
        if weakened:
            notes.append(f"Durability was off ({', '.join(weakened)}): the timings are not those of a safe server.")
        return notes

    @property
    def unanswered(self) -> list[str]:
        """The purchases without an answer, and the first message of each kind, in sentences."""
        counts = {name: int(self.measures[name].sum()) for name in ("failed", "unavailable", "unknown")}
        if not any(counts.values()):
            return []
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        said = ChainMap(*(dict(trial.said) for trial in self.trials))
        return [
            f"Not every purchase was answered: {listed}. Latencies do not include them.",
            *(f"The first that {ended} reported: {text}" for ended, text in said.items()),
        ]

    def _refund_notes(self) -> Iterator[str]:
        refunded = counted(int(self.measures["refunded"].sum()), "ticket")
        yield (
            f"{refunded} refunded: 'sold' counts only the others. A buyer stops after its first 'sold out', so seats "
            "refunded later may stay unsold."
        )
        counts = {name: int(self.measures[f"refunds_{name}"].sum()) for name in ("failed", "unknown")}
        if any(counts.values()):
            listed = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
            yield f"Not every refund succeeded: {listed}. None was repeated."

    @property
    def durability_off(self) -> list[str]:
        """The durability settings that the server ran without, such as "fsync off"."""
        settings = self._server.settings
        return [f"{name} {settings.get(name, '?')}" for name in DURABILITY if settings.get(name) != "on"]

    @property
    def conditions(self) -> str:
        """Server, durability, buyers, duration and repeats in one line, for tables and charts."""
        from ticketlab.report.limits import double_calls_condition

        server, experiment = self._server, self.experiment
        fewest, most = experiment.basket
        sizes = f"{most}" if fewest == most else f"{fewest} to {most}"
        baskets = f", baskets of {sizes}" if experiment.sells_baskets else ""
        limit = f", at most {experiment.purchases:,} purchases" if experiment.purchases is not None else ""
        return " · ".join(
            [
                f"PostgreSQL {server.version} ({server.kind})",
                ", ".join(f"{name} {server.settings.get(name, '?')}" for name in DURABILITY),
                f"{', '.join(map(str, experiment.buyers))} buyer{'s' if experiment.buyers != (1,) else ''}",
                f"pool of {', '.join(map(str, experiment.pool_sizes))}",
                f"{counted(experiment.events, 'event')} of {experiment.stock:,} seats{baskets}",
                *([f"{100 * experiment.refunds:g} % of the sales refunded"] if experiment.refunds else []),
                *double_calls_condition(trial.double_calls or 0.0 for trial in self.trials),
                f"at most {experiment.seconds:g} s{limit}",
                *([", ".join(fault.words for fault in experiment.faults)] if experiment.faults else []),
                counted(experiment.repeats, "repeat"),
            ]
        )

    def verdict_rows(self) -> list[dict[str, Any]]:
        """Every verdict as plain data; see `TrialVerdict.as_json`."""
        return [each.as_json() for each in self.trial_verdicts]

    def save_judgement(self) -> None:
        """Write verdicts.json and measures.parquet.

        Raises:
            InvalidInputError: the folder cannot be written.
        """
        verdicts = json.dumps(self.verdict_rows(), indent=2) + "\n"
        with wrapping_write_errors(self.folder):
            (self.folder / "verdicts.json").write_text(verdicts)
            self.measures.to_parquet(self.folder / "measures.parquet", index=False)

    def as_json(self) -> dict[str, Any]:
        """The run as `ticketlab run --json` prints it."""
        return {
            "run": str(self.folder),
            "environment": self.environment,
            "concerns": [asdict(concern) for concern in self.concerns],
            "trials": self.results.trials,
        }

    def trial_rows(self) -> list[dict[str, Any]]:
        """Every trial as plain data; see `trial_as_json`."""
        rows = zip(self.measures.to_dict("records"), self._judged, strict=True)
        return [trial_as_json(row, analysis, self.experiment.faults) for row, analysis in rows]
