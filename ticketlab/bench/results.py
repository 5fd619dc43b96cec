"""A hot-event bench as data: its plan, its trials, and the medians, ratios and notes that follow. Pure.

`BenchResults.as_json()`, which `ticketlab bench hot-event --json` prints, is

    {"server": {"kind", "version", "why", "settings": {name: value}},
     "conditions": {"buyers": [...], "repeats", "seconds", "seed", "pool_size", "cpus", "interval",
                    "limit_tickets", "ended_early"},
     "contenders": {name: {"kind": "strategy" | "peer" | "bare" | "limit",
                           "buyers": {"16": {"purchases_per_s": median or null, "range": [low, high] or null,
                                             "repeats": [...],
                                             "to_pgbench_for_update": {"median", "range": [low, high]},
                                             "to_pgbench_one_statement": ..., "to_limit": ..., "to_bare": ...}}}},
     "errors": ["a claim that the ledger does not prove"], "notes": [...]}

Speeds are sales (of the limit tickets) per second. A ratio is there where both its sides are; a number of buyers is
there where it was measured; where a claim is unproven the speed is null.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

import pandas as pd

from ticketlab import environment
from ticketlab.bench import _subjects
from ticketlab.bench._subjects import Subject, SubjectKind
from ticketlab.environment import DURABILITY
from ticketlab.load import Plan
from ticketlab.outcomes import MAX_INTEGER
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import strategies

if TYPE_CHECKING:
    from ticketlab.servers import Server

BUYERS: Final = (1, 8, 16, 32, 64, 256)
_SEATS: Final = 1_000_000
_SEATS_PER_S: Final = 100_000
"""Several times what the fastest subject sells one by one, so that nothing sells out."""


def safe_strategies() -> tuple[str, ...]:
    """The names of all strategies that claim to be safe."""
    return tuple(each.name for each in strategies.registry().values() if each.safe)


class ScheduledTrial(NamedTuple):
    """One trial of one subject."""

    subject: str
    buyers: int
    repeat: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotEvent:
    """One event with more seats than can be sold, sold one ticket per purchase by one subject after another.

    Raises:
        InvalidInputError: a value is out of range.
    """

    strategies: tuple[str, ...] = field(default_factory=safe_strategies)
    """The names of the strategies to measure."""
    buyers: tuple[int, ...] = BUYERS
    """Numbers of concurrent buyers; a trial for each."""
    repeats: int = 3
    """Trials of each subject at each number of buyers."""
    seconds: float = 1.0
    """How long a trial takes, beside its warm-up."""
    seed: int = 1
    """Reproduces the same purchase requests and the same schedule."""
    pool_size: int = 20
    """Connections of the pool."""
    server: str = "auto"
    """A kind of server; see `Experiment`."""

    def __post_init__(self) -> None:
        # An experiment with these values has the same limits; it raises before anything is started.
        Experiment(
            strategies=self.strategies,
            buyers=self.buyers,
            repeats=self.repeats,
            seconds=self.seconds,
            seed=self.seed,
            pool_sizes=(self.pool_size,),
            server=self.server,
        )

    @property
    def connections(self) -> int:
        """The most connections: those of the pool, which stays open, and one per buyer of subjects without a pool."""
        return self.pool_size + max(self.buyers)

    @property
    def seats(self) -> int:
        """Seats of the event, more than can be sold in the time."""
        return min(MAX_INTEGER, _SEATS + int(_SEATS_PER_S * self.seconds))

    def load(self, trial: ScheduledTrial) -> Plan:
        """The load of one trial; the same purchases for all subjects of a repeat."""
        return Plan(buyers=trial.buyers, seconds=self.seconds, stock=self.seats, seed=self.seed * 1_000 + trial.repeat)

    def schedule(self, subjects: Iterable[str]) -> Iterator[ScheduledTrial]:
        """Every trial. In each repeat all subjects follow one another at each number of buyers, both shuffled.

        So a drift of the machine affects all alike, and the trials that are compared are close in time.
        """
        generator = random.Random(self.seed)
        names = list(subjects)
        for repeat in range(1, self.repeats + 1):
            for buyers in generator.sample(self.buyers, len(self.buyers)):
                for name in generator.sample(names, len(names)):
                    yield ScheduledTrial(name, buyers, repeat)


BASES: Final = (_subjects.FOR_UPDATE, _subjects.ONE_STATEMENT, _subjects.LIMIT)
"""The subjects that all others are compared with."""
COLLAPSE_BUYERS: Final = 64
_COLLAPSE: Final = 0.5
_NOTED_CONFLICTS: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTrial:
    """One trial of one subject."""

    subject: str
    buyers: int
    repeat: int
    per_s: float
    purchases: int
    conflicts: int = 0
    unanswered: int = 0
    error: str = ""
    """Why the claim is not proven; "" where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of some repeats, in their order, and their median and range."""

    values: tuple[float, ...]
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The spread of at least one value."""
        values = tuple(values)
        return cls(values=values, median=median(values), low=min(values), high=max(values))

    def as_json(self) -> dict[str, Any]:
        """Median and range as plain data."""
        return {"median": self.median, "range": [self.low, self.high]}


Cells: TypeAlias = Mapping[tuple[str, int], Spread]
"""By subject and number of buyers; a missing cell was not measured, or not proven."""


@dataclass(frozen=True, kw_only=True)
class BenchResults:
    """The trials of a bench, and the server they were run on."""

    plan: HotEvent
    """What was to be measured."""
    server: Server
    """Where every trial ran."""
    subjects: Sequence[Subject]
    """In the order of the tables."""
    trials: Sequence[BenchTrial]
    """In order of execution."""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per trial, with the fields of BenchTrial."""
        return pd.DataFrame([asdict(trial) for trial in self.trials])

    @cached_property
    def speeds(self) -> Cells:
        """Sales per second; of the limit, tickets."""
        return speeds(self.frame)

    @cached_property
    def ratios(self) -> Mapping[str, Cells]:
        """By base each subject's speed over that of the base; as `bare` a strategy's over that of its bare SQL."""
        found = {base: ratios(self.frame, base) for base in BASES}
        found["bare"] = {
            cell: spread
            for subject in self.subjects
            for cell, spread in ratios(self.frame, _subjects.bare_name(subject.name)).items()
            if cell[0] == subject.name
        }
        return found

    @property
    def errors(self) -> list[str]:
        """The claims that the ledger does not prove, a sentence each."""
        return [
            f"{trial.subject}, {trial.buyers} buyers, repeat {trial.repeat}: {trial.error}."
            for trial in self.trials
            if trial.error
        ]

    @property
    def ended_early(self) -> bool:
        """Whether trials are missing."""
        return len(self.trials) < len(list(self.plan.schedule([subject.name for subject in self.subjects])))

    @property
    def notes(self) -> list[str]:
        """Limits and causes of the numbers, in sentences."""
        notes = []
        if self.ended_early:
            notes.append(f"The bench was ended early, after {len(self.trials)} trials.")
        if not any(subject.kind is SubjectKind.PEER for subject in self.subjects):
            notes.append("pgbench is left out: no PostgreSQL installation on this machine has one that runs.")
        costs = {subject.name: subject.cost for subject in self.subjects if subject.kind is SubjectKind.STRATEGY}
        weakened = [name for name in DURABILITY if self.server.settings.get(name) != "on"]
        if weakened:
            notes.append(f"Durability was off ({', '.join(weakened)}): the speeds are not those of a safe server.")
        return [*notes, *collapses(self.speeds, costs), *failures(self.frame)]

    @property
    def conditions(self) -> str:
        """Server, durability, pool, time, repeats and processors in one line."""
        plan, cpus = self.plan, environment.cpus()
        settings = [f"{name} {self.server.settings.get(name, '?')}" for name in (*DURABILITY, "max_connections")]
        return " · ".join(
            [
                f"PostgreSQL {self.server.version} ({self.server.kind})",
                ", ".join(settings),
                f"pool of {plan.pool_size}",
                f"{plan.seconds:g} s a trial",
                f"{plan.repeats} repeat{'s' if plan.repeats != 1 else ''}",
                f"seed {plan.seed}",
                f"{cpus} CPU{'s' if cpus != 1 else ''} for server and buyers together, one of them for Python's buyers",
            ]
        )

    @property
    def interval(self) -> str:
        """What the ranges are, and their confidence."""
        if self.plan.repeats == 1:
            return "a single repeat: at least 3 show how far repeats differ"
        return (
            f"medians of {self.plan.repeats} repeats and their range, smallest to largest; of independent repeats it "
            f"contains the true median with probability {range_holds(self.plan.repeats):.0%}"
        )

    def as_json(self) -> dict[str, Any]:
        """The results as plain data; see the module's docstring."""
        plan, server = self.plan, self.server
        return {
            "server": {
                "kind": server.kind,
                "version": server.version,
                "why": server.why,
                "settings": dict(server.settings),
            },
            "conditions": {
                **{name: getattr(plan, name) for name in ("repeats", "seconds", "seed", "pool_size")},
                "buyers": list(plan.buyers),
                "cpus": environment.cpus(),
                "interval": self.interval,
                "limit_tickets": _subjects.LIMIT_TICKETS,
                "ended_early": self.ended_early,
            },
            "contenders": {
                subject.name: {"kind": str(subject.kind), "buyers": self._cells_as_json(subject.name)}
                for subject in self.subjects
            },
            "errors": self.errors,
            "notes": self.notes,
        }

    def _cells_as_json(self, name: str) -> dict[str, Any]:
        measured = {trial.buyers for trial in self.trials if trial.subject == name}
        return {str(buyers): self._cell_as_json((name, buyers)) for buyers in self.plan.buyers if buyers in measured}

    def _cell_as_json(self, cell: tuple[str, int]) -> dict[str, Any]:
        speed = self.speeds.get(cell)
        return {
            "purchases_per_s": speed.median if speed else None,
            "range": [speed.low, speed.high] if speed else None,
            "repeats": list(speed.values) if speed else [],
            **{f"to_{base}": cells[cell].as_json() for base, cells in self.ratios.items() if cell in cells},
        }


def range_holds(repeats: int) -> float:
    """The probability that the range of this many independent repeats contains the true median: 1 - 2^(1-n).

    It does not where all repeats fall on one side of it, each with probability 1/2: the sign test's interval.
    """
    return float(1 - 2.0 ** (1 - repeats))


def speeds(trials: pd.DataFrame) -> Cells:
    """Sales per second; `trials` as `BenchResults.frame`."""
    return _spreads(_proven(trials))


def ratios(trials: pd.DataFrame, to: str) -> Cells:
    """Each subject's speed over that of `to`, paired: trials of the same repeat and number of buyers.

    The spread is that of the pairs' ratios, so that a slow minute of the machine, which slows both, cancels out.
    """
    proven = _proven(trials)
    base = proven.loc[(proven["subject"] == to) & (proven["per_s"] > 0), ["buyers", "repeat", "per_s"]]
    pairs = proven[proven["subject"] != to].merge(base, on=["buyers", "repeat"], suffixes=("", "_base"))
    return _spreads(pairs.assign(per_s=pairs["per_s"] / pairs["per_s_base"]))


def collapses(cells: Cells, costs: Mapping[str, str]) -> list[str]:
    """A sentence for each subject that sells less than half of its best at 64 buyers, with its cost.

    Args:
        cells: the speeds.
        costs: by the name of a strategy what it costs by design.
    """
    notes = []
    for name, cost in costs.items():
        medians = {buyers: spread.median for (subject, buyers), spread in cells.items() if subject == name}
        if COLLAPSE_BUYERS not in medians:
            continue
        best = max(medians, key=lambda buyers: medians[buyers])
        share = medians[COLLAPSE_BUYERS] / medians[best]
        if share < _COLLAPSE:
            notes.append(
                f"{name} collapses: {medians[COLLAPSE_BUYERS]:,.0f} sales/s at {COLLAPSE_BUYERS} buyers, "
                f"{share:.2f} of its best ({medians[best]:,.0f} at {best}). Its cost: {cost}."
            )
    return notes


def failures(trials: pd.DataFrame) -> list[str]:
    """Sentences on subjects with more than 1 % of purchases given up after conflicts, or any without an answer."""
    sums = trials.groupby(["subject", "buyers"], sort=False)[["purchases", "conflicts", "unanswered"]].sum()
    shares = sums.div(sums["purchases"].clip(lower=1), axis="index").reset_index()
    notes = []
    for column, limit, words in (
        ("conflicts", _NOTED_CONFLICTS, "gave up after conflicts"),
        ("unanswered", 0.0, "failed or got no answer"),
    ):
        for name, rows in shares[shares[column] > limit].groupby("subject", sort=False):
            counts = rows.sort_values("buyers")[["buyers", column]].itertuples(index=False, name=None)
            listed = ", ".join(f"{share:.2%} at {buyers}" for buyers, share in counts)
            notes.append(f"{name}: purchases that {words}, by buyers: {listed}.")
    return notes


def _spreads(trials: pd.DataFrame) -> Cells:
    """The spread of `per_s` in each cell, its values in order of the repeats."""
    values: dict[tuple[str, int], list[float]] = {}
    columns = trials.sort_values("repeat", kind="stable")[["subject", "buyers", "per_s"]]
    for subject, buyers, per_s in columns.itertuples(index=False, name=None):
        values.setdefault((subject, buyers), []).append(per_s)
    return {cell: Spread.of(repeats) for cell, repeats in values.items()}


def _proven(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of the cells in which every claim was proven: a median of the others would hide the error."""
    unproven = trials.loc[trials["error"] != "", ["subject", "buyers"]].drop_duplicates()
    marked = trials.merge(unproven, how="left", on=["subject", "buyers"], indicator=True)
    return marked[marked["_merge"] == "left_only"].drop(columns="_merge")
