"""What a test asks for, as the Experiment to run. Runs nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from ticketlab.pytest_plugin import options
from ticketlab.runs.experiment import Experiment, limits_for_purchases
from ticketlab.tickets import Strategy, strategies
from ticketlab.tickets.user_code import PurchaseFunction, adopt

Given: TypeAlias = Strategy | Experiment | PurchaseFunction | str
"""What is to be judged: by its name or as it is, or a whole experiment."""

_LONGEST_NAME: Final = 60
_FEWEST: Final = 2
"""Buyers that a worker keeps: one alone meets nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRun:
    """What is to be run."""

    experiment: Experiment
    own: Sequence[Strategy | PurchaseFunction]
    """The strategies of it that are nobody else's."""
    divided: bool
    """Whether there would be more buyers, were it not for other workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What was said of the load, and where."""

    configured: Mapping[str, Any]
    marked: Mapping[str, Any]
    called: Mapping[str, Any]
    commanded: Mapping[str, Any]

    @property
    def strict(self) -> bool:
        """Whether a test fails where a strategy makes no progress or something was not tested."""
        said = {**self.configured, **self.marked, **self.called, **self.commanded}
        return bool(said.get("strict", False))

    @property
    def of_the_load(self) -> dict[str, Any]:
        """What counts of all that: the command line most, the configuration file least."""
        return _fields({**self.configured, **self.marked, **self.called, **self.commanded})

    @property
    def of_an_experiment(self) -> dict[str, Any]:
        """What counts beside an Experiment, which says already what a mark or a configuration file would."""
        return _fields({**self.called, **self.commanded})


def resolve_run(
    given: Given, said: LoadOptions, *, own: Sequence[Strategy | PurchaseFunction], test: str, workers: int
) -> ResolvedRun:
    """The experiment that a test asks for.

    Args:
        given: what it is about.
        said: what was said of its load.
        own: strategies of the test's own that an Experiment names.
        test: the name of the test, after which the run is called.
        workers: of xdist, which share the machine; 1 without.

    Raises:
        NotFoundError, InvalidInputError, OwnCodeError: there is no such strategy, or such a load can not be made.
    """
    if isinstance(given, Experiment):
        experiment, mine = replace(given, **said.of_an_experiment), list(own)
    else:
        name, mine = _strategy(given)
        experiment = Experiment(name=_name(test), strategies=(name,), **_rounded(said.of_the_load))
    buyers = tuple(dict.fromkeys(_share(each, workers) for each in experiment.buyers))
    divided = buyers != experiment.buyers
    return ResolvedRun(experiment=replace(experiment, buyers=buyers), own=mine, divided=divided)


def _strategy(given: Strategy | PurchaseFunction | str) -> tuple[str, list[Strategy | PurchaseFunction]]:
    """Its name, and itself where nobody would find it by that name."""
    if isinstance(given, str):
        return given, []
    strategy = adopt(given)
    known = not strategies.is_external(strategy.name) and strategies.get(strategy.name) is strategy
    return strategy.name, [] if known else [strategy]


def _fields(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in options.OF_THE_SESSION}


def _rounded(load: dict[str, Any]) -> dict[str, Any]:
    """Where a number of purchases is to end a trial, time enough for them and too few seats, if not said otherwise."""
    if "purchases" not in load:
        return load
    return limits_for_purchases(load["purchases"], events=load.get("events", 1)) | load


def _name(test: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", test).strip("-_")[:_LONGEST_NAME] or "test"


def _share(buyers: int, workers: int) -> int:
    return min(buyers, max(_FEWEST, buyers // workers))
