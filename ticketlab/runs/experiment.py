"""What to run: strategies, buyers and repeats, and the order of the trials. Data only; runs nothing."""

import json
import random
import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, TypeAdapter

from ticketlab.checks.progress import MAX_FAILURES
from ticketlab.errors import InvalidInputError
from ticketlab.faults.schedule import Fault, FaultKind
from ticketlab.history.arrays import LoadPart
from ticketlab.load.plan import Plan

DEFAULT_STRATEGIES: Final = ("naive", "pessimistic", "optimistic", "serializable", "atomic", "coalesced")
"""What is compared when nothing else is asked for: a control that oversells, and five that do not."""

DOUBLE_CALLS: Final = 0.02
"""The share of purchases whose id is called twice, where nothing else is asked for and the strategy claims that an id
buys once. Small, for a second call takes the time of a first one and sells nothing."""

_MOST_REPEATS: Final = 1_000
_THOROUGH_PURCHASES: Final = 2_000
"""Purchases of a thorough trial, unless a number was given."""
_SHORTAGE: Final = 0.7
"""Seats of a thorough trial, as a share of the tickets that its purchases ask for: many mistakes show at the last."""
_MAY_CRASH: Final = ("auto", "embedded")
"""Kinds of server; what auto has chosen is known only at the start."""


def _fault(saved: object) -> object:
    """A fault from its text, as it is saved."""
    return Fault.parse(saved) if isinstance(saved, str) else saved


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """One strategy at one setting, once."""

    number: int
    """Its place in the order of execution, from 1."""
    strategy: str
    pool_size: int
    """Connections of the pool that its buyers share."""
    repeat: int
    """From 1."""
    plan: Plan
    double_calls: float | None = None
    """As the experiment has it."""

    def plan_for(self, *, idempotent: bool) -> Plan:
        """The plan for a strategy that claims, or does not claim, that a purchase id buys once.

        Its double calls are those that were asked for; where none were, DOUBLE_CALLS of a strategy that claims so and
        none of any other.
        """
        share = self.double_calls
        if share is None:
            share = DOUBLE_CALLS if idempotent else 0.0
        return replace(self.plan, double_calls=share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Strategies to compare: each by each number of buyers and each size of the pool, `repeats` times.

    Raises:
        InvalidInputError: a value can not be used.
    """

    name: str = "hot-event"
    """Part of the run folder's name."""
    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    """By the names of the registry; controls are welcome, for they prove that the checks can see."""
    buyers: tuple[int, ...] = (16,)
    """Numbers of buyers at once; a trial for each."""
    repeats: int = 3
    """Trials of each setting: with one there is no spread, and no interval."""
    seed: int = 1
    """Decides what the buyers want, and the order of the trials."""
    seconds: float = 4.0
    """A trial's longest time."""
    purchases: int | None = None
    """Purchases of a trial, of all buyers together; without it only time and stock end one."""
    stock: int = 1000
    """Seats of each event."""
    quantity: tuple[int, int] = (1, 1)
    """The fewest and the most tickets of an event in a purchase."""
    basket: tuple[int, int] = (1, 1)
    """The fewest and the most events of a purchase."""
    events: int = 1
    """How many events are bought from."""
    hot: float | None = None
    """The share of purchases that want the first event; without it all events are as likely."""
    refunds: float = 0.0
    """The share of sales that their buyers give back."""
    double_calls: float | None = None
    """The share of purchases whose id is called twice, by every strategy. Without it: DOUBLE_CALLS, and only by
    strategies that claim that a purchase id buys once."""
    max_failures: float = MAX_FAILURES
    """The share of purchases that may fail while seats are left; beyond it a trial made no progress."""
    warm_up_s: float = 0.3
    """How long buyers buy elsewhere before a trial; not recorded."""
    pool_sizes: tuple[int, ...] = (20,)
    """Connections of the pool that all buyers share; a trial for each."""
    server: str = "auto"
    """Its kind, auto, embedded, container or external, and perhaps its major version: `embedded:15`."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of PostgreSQL that the server is started with, by name."""
    faults: tuple[Annotated[Fault, BeforeValidator(_fault)], ...] = ()
    """What goes wrong in every trial, each once."""

    def __post_init__(self) -> None:
        faults = {
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
        wrong = [fault for fault, found in faults.items() if found]
        if wrong:
            raise InvalidInputError(f"An experiment needs {'; '.join(wrong)}.")
        self.trials()  # a load that can not be made is told before anything is started

    def trials(self) -> list[TrialPlan]:
        """Every trial, in random order within each repeat, so that a drift of the machine hits all alike.

        Within a repeat all strategies get the same wishes; each repeat draws its own.
        """
        generator = random.Random(self.seed)
        trials: list[TrialPlan] = []
        for repeat in range(1, self.repeats + 1):
            settings = list(product(self.strategies, self.buyers, self.pool_sizes))
            generator.shuffle(settings)
            for strategy, buyers, pool_size in settings:
                plan = self._plan(buyers=buyers, seed=self.seed * 1_000 + repeat)
                number = len(trials) + 1
                trials.append(
                    TrialPlan(
                        number=number,
                        strategy=strategy,
                        pool_size=pool_size,
                        repeat=repeat,
                        plan=plan,
                        double_calls=self.double_calls,
                    )
                )
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
        """Whether a purchase may be of several events: not every strategy can."""
        return self.basket != (1, 1)

    @property
    def load_parts(self) -> frozenset[LoadPart]:
        """What its purchases have beside single tickets of one event; faults and double calls are not among them."""
        parts = {
            LoadPart.QUANTITIES: self.quantity != (1, 1),
            LoadPart.EVENTS: self.events > 1,
            LoadPart.BASKETS: self.sells_baskets,
            LoadPart.REFUNDS: self.refunds > 0,
        }
        return frozenset(part for part, is_there in parts.items() if is_there)

    @property
    def crashes(self) -> bool:
        """Whether the server is to be crashed: not every one can."""
        return any(each.kind is FaultKind.CRASH for each in self.faults)

    def command(self) -> str:
        """The command line that runs this experiment again."""
        default = Experiment()
        words = ["ticketlab", "run"]
        if self.strategies != default.strategies:
            words += [word for each in self.strategies for word in ("--strategy", each)]
        for option, value, usual in (
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
        """An experiment as it was saved; fields that this version does not know are left out.

        Raises:
            OSError, ValueError: the file can not be read, or holds no experiment.
        """
        return TypeAdapter(cls).validate_json(path.read_bytes())


def limits_for_purchases(purchases: int, *, events: int) -> dict[str, Any]:
    """Where a number of purchases is to end a trial: time enough for them, and seats for half of them at most."""
    return {"seconds": 60.0, "stock": max(1, purchases // (2 * max(1, events)))}


def thorough(experiment: Experiment, *, given: Collection[str], baskets: bool, refunds: bool) -> Experiment:
    """An experiment that tries everything in each of its trials: quantities, events, baskets, refunds and all faults.

    There are seats for 70 % of the tickets that its purchases ask for, so that they run out. The faults come one after
    another, all of them while seats are left.

    Args:
        experiment: what was asked for.
        given: the fields that stay as they are.
        baskets: whether all its strategies sell baskets.
        refunds: whether tickets of all its strategies can be given back.
    """
    events = experiment.events if "events" in given else 3
    wanted: dict[str, Any] = {
        "quantity": (1, 3),
        "events": events,
        "basket": (1, 2) if baskets and events > 1 else (1, 1),
        "refunds": 0.1 if refunds else 0.0,
        "purchases": _THOROUGH_PURCHASES,
        "seconds": 60.0,
        "server": "embedded" if "url" not in given else experiment.server,
    }
    asked = replace(experiment, **{name: value for name, value in wanted.items() if name not in given})
    if "stock" not in given:
        tickets = _SHORTAGE * (asked.purchases or _THOROUGH_PURCHASES) * _tickets_of_a_purchase(asked)
        asked = replace(asked, stock=max(1, int(tickets / asked.events)))
    return asked if "faults" in given else replace(asked, faults=_every_fault(asked))


def _tickets_of_a_purchase(asked: Experiment) -> float:
    """How many tickets of all its events together a purchase asks for, on average."""
    return sum(asked.basket) / 2 * sum(asked.quantity) / 2


def _every_fault(asked: Experiment) -> tuple[Fault, ...]:
    """A fault of every kind that the server can have, spread over the purchases that find seats."""
    kinds = [each for each in FaultKind if each is not FaultKind.CRASH or asked.server.startswith("embedded")]
    with_seats = asked.stock * asked.events / _tickets_of_a_purchase(asked)
    purchases = min(asked.purchases or _THOROUGH_PURCHASES, with_seats)
    return tuple(
        Fault(kind=kind, after=max(1, int(purchases * place / (len(kinds) + 1))))
        for place, kind in enumerate(kinds, start=1)
    )


def _range(numbers: tuple[int, int]) -> str:
    fewest, most = numbers
    return str(fewest) if fewest == most else f"{fewest}-{most}"
