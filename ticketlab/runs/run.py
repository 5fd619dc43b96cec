"""A run on disk: what was observed, and what follows from it. Opens no connection and starts no server.

    runs/<time>-<name>/
        experiment.json  environment.json
        trials/<n>/trial.json  history.parquet  events.parquet  tickets.parquet
        verdicts.json  measures.parquet  (report.html, made by `ticketlab.publish`)

What was observed is saved before it is judged, so that a run can be judged again. `trial.json` is written last: a
trial without one was cut off while it was being saved, and is not read.
"""

import json
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.errors import NotFoundError
from ticketlab.faults.schedule import Fault
from ticketlab.history.arrays import LoadPart
from ticketlab.report.concerns import Concern, concerns, strict_failures
from ticketlab.report.faults import FaultMet, double_calls_condition, sentences, untested, without_double_calls
from ticketlab.report.model import DURABILITY
from ticketlab.report.phrases import pluralize
from ticketlab.report.summary import summarise
from ticketlab.runs.experiment import Experiment
from ticketlab.runs.trial_data import (
    Trial,
    TrialAnalysis,
    judge,
    trial_as_json,
    verdict_as_json,
    wrapping_read_errors,
    wrapping_write_errors,
)


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
        with wrapping_read_errors(folder):
            self.experiment = Experiment.read(folder / "experiment.json")
            self.environment: Mapping[str, Any] = json.loads((folder / "environment.json").read_text())
            self._server = TypeAdapter(_Server).validate_python(self.environment["server"])
            complete = [each.parent for each in folder.glob("trials/*/trial.json") if each.parent.name.isdecimal()]
            self.trials = [Trial.read(each) for each in sorted(complete, key=lambda path: int(path.name))]
        if not self.trials:
            raise NotFoundError(f"The run in {folder} was ended before its first trial was over: nothing to judge.")

    @cached_property
    def _judged(self) -> list[TrialAnalysis]:
        return [judge(trial, max_failures=self.experiment.max_failures) for trial in self.trials]

    @property
    def verdicts(self) -> list[tuple[Trial, tuple[Verdict, ...]]]:
        """What each check found of each trial, in order of execution."""
        return [(each.trial, each.verdicts) for each in self._judged]

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row a trial: what `Trial.setting` has, the fields of Measures, the columns of its progress, `verdict`."""
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
        """What was left after each sale: `strategy`, `buyers`, `pool_size`, `repeat`, `seconds`, `left`."""
        told_apart = ("strategy", "buyers", "pool_size", "repeat")
        curves = [each.stock.assign(**{name: each.trial.setting[name] for name in told_apart}) for each in self._judged]
        return pd.concat(curves, ignore_index=True)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row a strategy and number of buyers, over the repeats; see `report.summary`."""
        return summarise(self.measures)

    @property
    def failed_strategies(self) -> list[str]:
        """The strategies that claim to be safe and were not found VALID in every trial.

        A trial that was cut short before anybody was answered shows nothing, and is not held against them.
        """
        interrupted = [trial.interrupted for trial in self.trials]
        held_against = (self.measures["verdict"] == Status.INVALID) | (
            (self.measures["verdict"] == Status.UNKNOWN) & ~pd.Series(interrupted)
        )
        return list(self.measures.loc[self.measures["safe"] & held_against, "strategy"].unique())

    @cached_property
    def concerns(self) -> list[Concern]:
        """Why the run is amber and not green; see `report.concerns`."""
        own_tables = self.environment.get("own_tables", ())
        asked = self.experiment
        return concerns(
            self.measures, max_failures=asked.max_failures, baskets=asked.sells_baskets, own_tables=own_tables
        )

    @property
    def untested(self) -> list[str]:
        """The faults that did not come in every trial, in words. Faults that met no purchase belong here too."""
        return [fault.words for fault in self.untriggered_faults]

    @property
    def strict_failures(self) -> list[str]:
        """Why the run fails under --strict, in sentences; what `wrong` has fails in any case."""
        return strict_failures(self.concerns, self.untested, self.verdict_rows())

    @property
    def tried(self) -> frozenset[LoadPart]:
        """The parts of a load that the run had; of faults those that came in a trial."""
        kinds = {kind for trial in self.trials for kind, instants in trial.faults_ns.items() if instants}
        twice = {LoadPart.DOUBLE_CALLS} if any(each.double_calls for each in self._judged) else set()
        return self.experiment.load_parts | {LoadPart(str(kind)) for kind in kinds} | twice

    @property
    def undetected_controls(self) -> list[str]:
        """The controls that no trial found INVALID, though at least one decided."""
        controls = self.measures[~self.measures["safe"]]
        found = controls.groupby("strategy", sort=False)["verdict"].agg(set)
        return [
            str(name) for name, verdicts in found.items() if Status.VALID in verdicts and Status.INVALID not in verdicts
        ]

    @property
    def unversioned_strategies(self) -> list[str]:
        """The strategies with sales that carry no version of their event."""
        return list(dict.fromkeys(each.trial.strategy for each in self._judged if each.without_version))

    @property
    def double_called(self) -> Mapping[str, int]:
        """By strategy how many purchase ids were called more than once, all its trials together."""
        counts = self.measures.groupby("strategy", sort=False)["double_called"].sum()
        return {str(name): int(count) for name, count in counts.items()}

    @property
    def untriggered_faults(self) -> Mapping[Fault, int]:
        """The faults that did not come, and in how many trials."""
        return Counter(Fault.parse(each.fault) for each in self.faults if each.met is None)

    @cached_property
    def faults(self) -> list[FaultMet]:
        """What each fault met in each trial."""
        return [each for judged in self._judged for each in judged.faults(self.experiment.faults)]

    @property
    def untested_faults(self) -> list[Fault]:
        """The faults that no trial tested: they did not come, or met no purchase and no refund."""
        return [Fault.parse(each) for each in untested(self.faults)]

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
        notes += self._of_own_strategies()
        notes += [
            f"{name} is a control and was not caught: try more buyers, more repeats, fewer events, or --basket 2-3 "
            "for a control of baskets."
            for name in self.undetected_controls
        ]
        notes += [
            f"{name}: its sales carry no version, so the order is not decided; the count of tickets is."
            for name in self.unversioned_strategies
        ]
        notes += [
            f"The {fault.words} did not come in {count} of {len(self.trials)} trials: they were over before it. Give "
            "them more seats, or more time."
            for fault, count in self.untriggered_faults.items()
        ]
        notes += sentences(self.faults)
        notes += self.unanswered
        notes += self._of_refunds()
        if self.experiment.double_calls is None:
            notes += without_double_calls(self._double_calls)
        weakened = self.durability_off
        if weakened:
            notes.append(f"Durability was off ({', '.join(weakened)}): the timings are not those of a safe server.")
        return notes

    def _of_own_strategies(self) -> Iterator[str]:
        """Where the source of what is not ticketlab's can be found, and what could not be seen of it."""
        for name in self.environment.get("own_strategies", ()):
            again = "" if ":" in name else ", and to run it again takes lab.run(…, own=[…])"
            yield f"{name} is none of ticketlab's strategies: its source is kept in environment.json{again}."
        for name, unseen in self.environment.get("unseen", {}).items():
            yield f"Of {name} not all can be seen: {unseen}."

    @property
    def unanswered(self) -> list[str]:
        """How many purchases ended without an answer, and what was said of the first of each kind, in sentences."""
        counts = {name: int(self.measures[name].sum()) for name in ("failed", "unavailable", "unknown")}
        if not any(counts.values()):
            return []
        counted_up = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        said = ChainMap(*(dict(trial.said) for trial in self.trials))
        return [
            f"Not every purchase was answered: {counted_up}. They are in no latency.",
            *(f"The first that {ended} said: {text}" for ended, text in said.items()),
        ]

    def _of_refunds(self) -> Iterator[str]:
        """What refunds do to the numbers, and how many of them came to nothing."""
        if not self.experiment.refunds:
            return
        came_back = pluralize(int(self.measures["refunded"].sum()), "ticket")
        yield (
            f"{came_back} came back: sold are those that did not. A buyer who was told that an event is sold out "
            "asks no more, so seats that came back later may be left."
        )
        answered = [(name, int(self.measures[f"refunds_{name}"].sum())) for name in ("failed", "unknown")]
        if any(count for _, count in answered):
            counts = ", ".join(f"{count:,} {name}" for name, count in answered if count)
            yield f"Not every refund was made: {counts}. None was asked for again."

    @property
    def _double_calls(self) -> dict[str, float]:
        """By strategy the share of purchases whose id was to be called twice; controls are left out."""
        return {each.strategy: each.double_calls for each in self.trials if each.safe and each.double_calls is not None}

    @property
    def durability_off(self) -> list[str]:
        """The durability settings that the server ran without, such as "fsync off"."""
        settings = self._server.settings
        return [f"{name} {settings.get(name, '?')}" for name in DURABILITY if settings.get(name) != "on"]

    @property
    def conditions(self) -> str:
        """Server, durability, buyers, duration and repeats in one line, for tables and charts."""
        server, ran = self._server, self.experiment
        fewest, most = ran.basket
        sizes = f"{most}" if fewest == most else f"{fewest} to {most}"
        baskets = f", baskets of {sizes}" if ran.sells_baskets else ""
        refunds = [f"{100 * ran.refunds:g} % of the sales given back"] if ran.refunds else []
        called_twice = double_calls_condition(trial.double_calls or 0.0 for trial in self.trials)
        faults = [", ".join(each.words for each in ran.faults)] if ran.faults else []
        limit = f", at most {ran.purchases:,} purchases" if ran.purchases is not None else ""
        return " · ".join(
            [
                f"PostgreSQL {server.version} ({server.kind})",
                ", ".join(f"{name} {server.settings.get(name, '?')}" for name in DURABILITY),
                f"{', '.join(map(str, ran.buyers))} buyer{'s' if ran.buyers != (1,) else ''}",
                f"pool of {', '.join(map(str, ran.pool_sizes))}",
                f"{ran.events} event{'s' if ran.events != 1 else ''} of {ran.stock:,} seats{baskets}",
                *refunds,
                *called_twice,
                f"at most {ran.seconds:g} s{limit}",
                *faults,
                f"{ran.repeats} repeat{'s' if ran.repeats != 1 else ''}",
            ]
        )

    def verdict_rows(self) -> list[dict[str, Any]]:
        """Every verdict as plain data: the trial's setting, `crashes_ns` and `autocommit`, and `verdict_as_json`."""
        return [
            {
                **trial.setting,
                "crashes_ns": list(trial.crashes_ns),
                "autocommit": trial.facts.autocommit,
                **verdict_as_json(trial, each),
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
        with wrapping_write_errors(self.folder):
            (self.folder / "verdicts.json").write_text(verdicts)
            self.measures.to_parquet(self.folder / "measures.parquet", index=False)

    def as_json(self) -> dict[str, Any]:
        """The run as `ticketlab run --json` prints it."""
        told = {"run": str(self.folder), "environment": self.environment}
        return told | {"concerns": [asdict(each) for each in self.concerns], "trials": self.trial_rows()}

    def trial_rows(self) -> list[dict[str, Any]]:
        """Every trial as plain data: its setting, the SHA-256 of its history, its numbers and its verdicts."""
        rows = zip(self.measures.to_dict("records"), self._judged, strict=True)
        return [trial_as_json(row, judged, self.experiment.faults) for row, judged in rows]
