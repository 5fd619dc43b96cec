"""What came of a bench: the trials, and what follows from them. Opens nothing.

`Results.as_json()`, which `ticketlab bench hot-event --json` prints, is

    {"server": {"kind", "version", "why", "settings": {name: value}},
     "conditions": {"buyers": [...], "repeats", "seconds", "seed", "pool_size", "cpus", "interval",
                    "limit_tickets", "ended_early"},
     "contenders": {name: {"kind": "strategy" | "peer" | "bare" | "limit",
                           "buyers": {"16": {"purchases_per_s": median or null, "range": [low, high] or null,
                                             "repeats": [...],
                                             "to_pgbench_for_update": {"median", "range": [low, high]},
                                             "to_pgbench_one_statement": ..., "to_limit": ..., "to_bare": ...}}}},
     "errors": ["a claim that the ledger does not prove"], "notes": [...]}

Speeds are purchases (of the limit tickets) per second. A ratio is there where both its sides are; a number of buyers is
there where it was measured; of a cell with an unproven claim the speed is null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import pandas as pd

from ticketlab import environment
from ticketlab.bench import bulk_insert, statistics, subjects
from ticketlab.bench.plan import HotEvent
from ticketlab.bench.statistics import Cells, Spread
from ticketlab.bench.subject import Contender, Kind
from ticketlab.report.model import DURABILITY
from ticketlab.servers import Server

BASES: Final = (subjects.FOR_UPDATE, subjects.ONE_STATEMENT, subjects.LIMIT)
"""The contenders that all others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One turn of one contender."""

    contender: str
    buyers: int
    repeat: int
    per_s: float
    purchases: int
    conflicts: int = 0
    unanswered: int = 0
    fault: str = ""
    """Why the claim is not proven; "" where it is."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """The trials of a bench, and where they were made."""

    bench: HotEvent
    """What was asked for."""
    server: Server
    """Where all had their turns."""
    contenders: Sequence[Contender]
    """Who had them, in the order of the tables."""
    trials: Sequence[Trial]
    """Those that were made, in order of execution."""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a trial, with the fields of Trial."""
        return pd.DataFrame([asdict(each) for each in self.trials])

    @cached_property
    def speeds(self) -> Cells:
        """Purchases per second, of the limit tickets."""
        return statistics.speeds(self.frame)

    @cached_property
    def ratios(self) -> Mapping[str, Cells]:
        """By each base what the others reach of it, and as `bare` what a strategy reaches of its own bare loop."""
        names = [each.name for each in self.contenders]
        found = {base: statistics.ratios(self.frame, base) for base in BASES}
        found["bare"] = {
            cell: spread
            for name in names
            for cell, spread in statistics.ratios(self.frame, subjects.bare_name(name)).items()
            if cell[0] == name
        }
        return found

    @property
    def errors(self) -> list[str]:
        """The claims that the ledger does not prove, a sentence each."""
        return [
            f"{each.contender}, {each.buyers} buyers, repeat {each.repeat}: {each.fault}."
            for each in self.trials
            if each.fault
        ]

    @property
    def ended_early(self) -> bool:
        """Whether trials are missing."""
        return len(self.trials) < len(list(self.bench.turns([each.name for each in self.contenders])))

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the numbers, in sentences."""
        notes = []
        if self.ended_early:
            notes.append(f"The bench was ended early, after {len(self.trials)} trials.")
        if not any(each.kind is Kind.PEER for each in self.contenders):
            notes.append("pgbench is left out: no PostgreSQL installation on this machine has one that runs.")
        costs = {each.name: each.cost for each in self.contenders if each.kind is Kind.STRATEGY}
        weakened = [each for each in DURABILITY if self.server.settings.get(each) != "on"]
        if weakened:
            notes.append(f"Durability was off ({', '.join(weakened)}): the speeds are not those of a safe server.")
        return [*notes, *statistics.collapses(self.speeds, costs), *statistics.failures(self.frame)]

    @property
    def conditions(self) -> str:
        """Server, durability, pool, time, repeats and processors in one line."""
        bench, cpus = self.bench, environment.cpus()
        settings = [f"{name} {self.server.settings.get(name, '?')}" for name in (*DURABILITY, "max_connections")]
        return " · ".join(
            [
                f"PostgreSQL {self.server.version} ({self.server.kind})",
                ", ".join(settings),
                f"pool of {bench.pool_size}",
                f"{bench.seconds:g} s a trial",
                f"{bench.repeats} repeat{'s' if bench.repeats != 1 else ''}",
                f"seed {bench.seed}",
                f"{cpus} CPU{'s' if cpus != 1 else ''} for server and buyers together, one of them for Python's buyers",
            ]
        )

    @property
    def interval(self) -> str:
        """What the ranges are, and how sure."""
        if self.bench.repeats == 1:
            return "a single repeat: nothing is known of how far another would differ"
        held = statistics.range_holds(self.bench.repeats)
        return (
            f"medians of {self.bench.repeats} repeats and their range, smallest to largest; of independent repeats it "
            f"holds the true median with probability {held:.0%}"
        )

    def as_json(self) -> dict[str, Any]:
        """The results as plain data; see the module's docstring."""
        bench, server = self.bench, self.server
        return {
            "server": {
                "kind": server.kind,
                "version": server.version,
                "why": server.why,
                "settings": dict(server.settings),
            },
            "conditions": {
                **{name: getattr(bench, name) for name in ("repeats", "seconds", "seed", "pool_size")},
                "buyers": list(bench.buyers),
                "cpus": environment.cpus(),
                "interval": self.interval,
                "limit_tickets": bulk_insert.TICKETS,
                "ended_early": self.ended_early,
            },
            "contenders": {
                each.name: {"kind": str(each.kind), "buyers": self._cells_as_json(each.name)}
                for each in self.contenders
            },
            "errors": self.errors,
            "notes": self.notes,
        }

    def _cells_as_json(self, name: str) -> dict[str, Any]:
        measured = {each.buyers for each in self.trials if each.contender == name}
        return {str(buyers): self._cell_as_json((name, buyers)) for buyers in self.bench.buyers if buyers in measured}

    def _cell_as_json(self, cell: tuple[str, int]) -> dict[str, Any]:
        speed = self.speeds.get(cell)
        told = _spread_as_json(speed) if speed else {"median": None, "range": None}
        return {
            "purchases_per_s": told["median"],
            "range": told["range"],
            "repeats": list(speed.values) if speed else [],
            **{f"to_{base}": _spread_as_json(cells[cell]) for base, cells in self.ratios.items() if cell in cells},
        }


def _spread_as_json(spread: Spread) -> dict[str, Any]:
    return {"median": spread.median, "range": [spread.low, spread.high]}
