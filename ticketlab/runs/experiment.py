"""An experiment as data: strategies, buyers and repeats, and the order of its trials. Runs nothing."""

import json
import random
import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, TypeAdapter

from ticketlab.checks.verdict import MAX_FAILURES
from ticketlab.errors import check_values
from ticketlab.faults.schedule import Fault, FaultKind
from ticketlab.history.arrays import LoadPart
from ticketlab.history.recording import LiveCounts
from ticketlab.load.plan import Plan

DEFAULT_STRATEGIES: Final = ("naive", "pessimistic", "optimistic", "serializable", "atomic", "coalesced")
"""What is compared by default: a control that oversells, and five that do not."""

DOUBLE_CALLS: Final = 0.02
"""The default share of purchases whose id is called twice, for strategies that claim that an id buys once. Small, as a
second call takes as long as a first one and sells nothing."""

_MOST_REPEATS: Final = 1_000
_THOROUGH_PURCHASES: Final = 2_000
"""The default number of purchases of a thorough trial."""
_SHORTAGE: Final = 0.7
"""Seats of a thorough trial as a share of the tickets requested: many mistakes show only with the last seats."""
_MAY_CRASH: Final = ("auto", "embedded")
"""Kinds of server that an experiment may crash. Which kind `auto` chooses is known only at the start."""


def _fault(saved: object) -> object:
    """Parse a fault that was saved as text."""
    return Fault.parse(saved) if isinstance(saved, str) else saved


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """One strategy at one setting, once."""

    number: int
    """In order of execution, from 1."""
    strategy: str
    pool_size: int
    """Connections of the pool that its buyers share."""
    repeat: int
    """From 1."""
    plan: Plan
    double_calls: float | None = None
    """The experiment's."""

    def plan_for(self, *, idempotent: bool) -> Plan:
        """The plan with its double calls: by default DOUBLE_CALLS if the strategy claims that an id buys once."""
        default = DOUBLE_CALLS if idempotent else 0.0
        return replace(self.plan, double_calls=default if self.double_calls is None else self.double_calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run is."""

    trial: int
    """The current trial, from 1; 0 while the server starts."""
    trials: int
    doing: str
    """The current step, in a few words."""
    plan: TrialPlan | None = None
    """The current trial of an experiment; None before the first and after the last, and in a bench."""
    so_far: LiveCounts = field(default_factory=LiveCounts)
    """The counts of the current trial."""
    finished: int = 0
    """Trials that are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Strategies to compare, each with each number of buyers and each pool size, `repeats` times.

    Raises:
        InvalidInputError: a value is out of range.
    """

    name: str = "hot-event"
    """Part of the run folder's name."""
    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    """Names in the registry. A control shows that the checks detect violations."""
    buyers: tuple[int, ...] = (16,)
    """Numbers of concurrent buyers; a trial for each."""
    repeats: int = 3
    """Trials of each setting. At least 3 repeats show whether a difference holds."""
    seed: int = 1
    """Reproduces the same purchase requests and the same order of the trials."""
    seconds: float = 4.0
    """The longest time of a trial."""
    purchases: int | None = None
    """Purchases of a trial, of all buyers together; without it only time and stock end one."""
    stock: int = 1000
    """Seats of each event."""
    quantity: tuple[int, int] = (1, 1)
    """The fewest and the most tickets of an event in a purchase."""
    basket: tuple[int, int] = (1, 1)
    """The fewest and the most events of a purchase."""
    events: int = 1
    """The number of events on sale."""
    hot: float | None = None
    """The share of purchases that ask for the first event; without it all events are equally likely."""
    refunds: float = 0.0
    """The share of sales that are refunded."""
    double_calls: float | None = None
    """The share of purchases whose id is called twice, for every strategy. Without it: DOUBLE_CALLS, and only for
    strategies that claim that a purchase id buys once."""
    max_failures: float = MAX_FAILURES
    """The share of purchases that may fail while seats are left; above it a trial made no progress."""
    warm_up_s: float = 0.3
    """How long buyers buy from another event before a trial; not recorded."""
    pool_sizes: tuple[int, ...] = (20,)
    """Connections of the pool that all buyers share; a trial for each."""
    server: str = "auto"
    """The server's kind (auto, embedded, container or external), optionally with a major version: `embedded:15`."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    """PostgreSQL settings of the server, by name."""
    faults: tuple[Annotated[Fault, BeforeValidator(_fault)], ...] = ()
    """The faults to inject in every trial, each once."""

    def __post_init__(self) -> None:
        errors = {
            "at least one strategy": not self.strategies,
            "at least one number of buyers": not self.buyers,
            f"from one to {_MOST_REPEATS:,} repeats": not 1 <= self.repeats <= _MOST_REPEATS,
            "each strategy once": len(set(self.strategies)) < len(self.strategies),
            "each number of buyers once": len(set(self.buyers)) < len(self.buyers),
            "a pool of at least one connection": min(self.pool_sizes, default=0) < 1,
            "each size of the pool once": len(set(self.pool_sizes)) < len(self.pool_sizes),
            "a share from 0 to 1 of purchases that may fail (max_failures)": not 0 <= self.max_failures <= 1,
            "each fault once": len(set(self.faults)) < len(self.faults),
            "a server of kind embedded, as only such a one can be crashed (--server embedded)": (
                self.crashes and self.server.partition(":")[0] not in _MAY_CRASH
            ),
            "a name of letters, digits, - and _": not self.name.replace("-", "").replace("_", "").isalnum(),
        }
        check_values("An experiment needs", errors)
        self.trials()  # raises for an invalid load before anything is started

    def trials(self) -> list[TrialPlan]:
        """Every trial, in random order within each repeat, so that a drift of the machine affects all alike.

        Within a repeat all strategies get the same purchase requests; each repeat has its own.
        """
        generator = random.Random(self.seed)
        trials: list[TrialPlan] = []
        for repeat in range(1, self.repeats + 1):
            settings = list(product(self.strategies, self.buyers, self.pool_sizes))
            generator.shuffle(settings)
            for strategy, buyers, pool_size in settings:
                trial = TrialPlan(
                    number=len(trials) + 1,
                    strategy=strategy,
                    pool_size=pool_size,
                    repeat=repeat,
                    plan=self._plan(buyers=buyers, seed=self.seed * 1_000 + repeat),
                    double_calls=self.double_calls,
                )
                trials.append(trial)
        return trials

    def _plan(self, *, buyers: int, seed: int) -> Plan:
        return Plan(
            buyers=buyers,
            seconds=self.seconds,
            purchases=self.purchases,
            events=self.events,
            stock=self.stock,
            quantity=self.quantity,
            basket=self.basket,
            hot=self.hot,
            refunds=self.refunds,
            double_calls=self.double_calls or 0.0,
            warm_up_s=self.warm_up_s,
            seed=seed,
        )

    @property
    def sells_baskets(self) -> bool:
        """Whether a purchase may be of several events, which not every strategy supports."""
        return self.basket != (1, 1)

    @property
    def load_parts(self) -> frozenset[LoadPart]:
        """What its purchases have beyond single tickets of one event, apart from faults and double calls."""
        parts = {
            LoadPart.QUANTITIES: self.quantity != (1, 1),
            LoadPart.EVENTS: self.events > 1,
            LoadPart.BASKETS: self.sells_baskets,
            LoadPart.REFUNDS: self.refunds > 0,
        }
        return frozenset(part for part, is_used in parts.items() if is_used)

    @property
    def crashes(self) -> bool:
        """Whether a fault crashes the server, which not every kind allows."""
        return any(each.kind is FaultKind.CRASH for each in self.faults)

    def command(self) -> str:
        """The command line that runs this experiment again."""
        default = Experiment()
        words = ["ticketlab", "run"]
        if self.strategies != default.strategies:
            words += [word for each in self.strategies for word in ("--strategy", each)]
        for option, value, usual in (  # usual: the command line's default; None where it differs from the field's
            ("--buyers", ",".join(map(str, self.buyers)), "16"),
            ("--stock", self.stock, None),
            ("--quantity", _range(self.quantity), "1"),
            ("--basket", _range(self.basket), "1"),
            ("--events", self.events, default.events),
            ("--hot", self.hot, default.hot),
            ("--refunds", f"{self.refunds:g}", f"{default.refunds:g}"),
            ("--double-calls", None if self.double_calls is None else f"{self.double_calls:g}", None),
            ("--max-failures", f"{self.max_failures:g}", f"{default.max_failures:g}"),
            ("--seconds", f"{self.seconds:g}", None),
            ("--purchases", self.purchases, default.purchases),
            ("--repeats", self.repeats, default.repeats),
            ("--warm-up", f"{self.warm_up_s:g}", f"{default.warm_up_s:g}"),
            ("--pool-size", ",".join(map(str, self.pool_sizes)), "20"),
            ("--seed", self.seed, None),
            ("--server", self.server, None),
            ("--name", self.name, default.name),
        ):
            if value != usual:
                words += [option, str(value)]
        words += [word for name, value in self.server_settings.items() for word in ("--set", f"{name}={value}")]
        words += [word for each in self.faults for word in ("--fault", str(each))]
        return shlex.join(words)

    def as_dict(self) -> dict[str, Any]:
        """Every field as plain data, faults as their texts."""
        return asdict(self) | {"faults": [str(each) for each in self.faults]}

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """An experiment as it was saved; fields that this version does not know are ignored.

        Raises:
            OSError, ValueError: the file cannot be read, or holds no experiment.
        """
        return TypeAdapter(cls).validate_json(path.read_bytes())


def limits_for_purchases(purchases: int, *, events: int) -> dict[str, Any]:
    """Values for an experiment whose trials end by a number of purchases: enough time, and seats for at most half."""
    return {"seconds": 60.0, "stock": max(1, purchases // (2 * max(1, events)))}


def thorough(experiment: Experiment, *, given: Collection[str], baskets: bool, refunds: bool) -> Experiment:
    """The experiment with all parts of a load in each trial: quantities, events, baskets, refunds and all faults.

    There are seats for 70 % of the tickets requested, so that they run out. The faults follow one another while seats
    are left.

    Args:
        experiment: the values to start from.
        given: the fields to keep.
        baskets: whether all its strategies sell baskets.
        refunds: whether tickets of all its strategies can be refunded.
    """
    events = experiment.events if "events" in given else 3
    changes: dict[str, Any] = {
        "quantity": (1, 3),
        "events": events,
        "basket": (1, 2) if baskets and events > 1 else (1, 1),
        "refunds": 0.1 if refunds else 0.0,
        "purchases": _THOROUGH_PURCHASES,
        "seconds": 60.0,
        "server": "embedded" if "url" not in given else experiment.server,
    }
    changed = replace(experiment, **{name: value for name, value in changes.items() if name not in given})
    if "stock" not in given:
        tickets = _SHORTAGE * (changed.purchases or _THOROUGH_PURCHASES) * _tickets_per_purchase(changed)
        changed = replace(changed, stock=max(1, int(tickets / changed.events)))
    return changed if "faults" in given else replace(changed, faults=_every_fault(changed))


def _tickets_per_purchase(experiment: Experiment) -> float:
    """The mean number of tickets that a purchase asks for."""
    return sum(experiment.basket) / 2 * sum(experiment.quantity) / 2


def _every_fault(experiment: Experiment) -> tuple[Fault, ...]:
    """A fault of every kind that the server allows, spread over the purchases before it is sold out."""
    kinds = [kind for kind in FaultKind if kind is not FaultKind.CRASH or experiment.server.startswith("embedded")]
    with_seats = experiment.stock * experiment.events / _tickets_per_purchase(experiment)
    purchases = min(experiment.purchases or _THOROUGH_PURCHASES, with_seats)
    return tuple(
        Fault(kind=kind, after=max(1, int(purchases * place / (len(kinds) + 1))))
        for place, kind in enumerate(kinds, start=1)
    )


def _range(numbers: tuple[int, int]) -> str:
    fewest, most = numbers
    return str(fewest) if fewest == most else f"{fewest}-{most}"
