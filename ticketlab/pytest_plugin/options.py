"""Options, ini settings and marks of the plugin, and the run that they resolve to."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import pytest

from ticketlab import mutants
from ticketlab.runs.experiment import Experiment, limits_for_purchases
from ticketlab.tickets import Strategy
from ticketlab.tickets.user_code import PurchaseFunction, adopt

RUNS: Final = "ticketlab_runs"
"""The attribute by which a test's report carries its judged runs."""

Read: TypeAlias = Callable[[object], object]


def whole(value: object, *, least: int = 1) -> int:
    """A whole number, or a ValueError that says what was wanted."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ValueError(f"a whole number from {least}, such as 16")
    return number


def seed(value: object) -> int:
    """A whole number from 0."""
    return whole(value, least=0)


def seconds(value: object) -> float:
    """A time above 0."""
    return _number(value, "a number of seconds above 0, such as 2.5", lambda number: 0 < number < math.inf)


def share(value: object) -> float:
    """A share from 0 to 1."""
    return _number(value, "a share from 0 to 1, such as 0.1", lambda number: 0 <= number <= 1)


def true_or_false(value: object) -> bool:
    """True or false, also as a word."""
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ValueError("true or false")
    return word == "true"


def several(value: object) -> tuple[int, ...]:
    """A whole number, or several of them."""
    return tuple(whole(each) for each in _parts(value, ","))


def span(value: object) -> tuple[int, int]:
    """The fewest and the most; of a single number itself twice."""
    ends = [whole(each) for each in _parts(value, "-")]
    if len(ends) > 2 or ends != sorted(ends):  # noqa: PLR2004 - a range has two ends
        raise ValueError("a whole number such as 2, or a range such as (1, 4)")
    return ends[0], ends[-1]


def _parts(value: object, separator: str) -> list[object]:
    parts = value.split(separator) if isinstance(value, str) else value
    return list(parts) if isinstance(parts, list | tuple) and parts else [parts]


def _number(value: object, wanted: str, holds: Callable[[float], bool]) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not holds(number):
        raise ValueError(wanted)
    return number


def _kind(value: object) -> str:
    kinds = ("auto", "embedded", "container", "external")
    if str(value).partition(":")[0] not in kinds:
        raise ValueError(f"one of {', '.join(kinds)}, perhaps with a major version as in embedded:18")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Something that can be said on the command line and in the configuration file."""

    name: str
    metavar: str
    help: str
    read: Read
    is_switch: bool = False
    """Whether it takes no value on the command line."""

    @property
    def flag(self) -> str:
        """As it is said on the command line."""
        return flag_of(self.name)

    @property
    def ini(self) -> str:
        """As it is said in the configuration file, and where pytest keeps what the command line said."""
        return f"ticketlab_{self.name}"


def flag_of(name: str) -> str:
    """An option as it is said on the command line, by its name."""
    return f"--ticketlab-{name.replace('_', '-')}"


OPTIONS: Final = (
    Option(
        name="server",
        metavar="KIND[:VERSION]",
        help="Where the PostgreSQL comes from: auto (a container where an engine answers, else embedded; the default), "
        "embedded, container, or external (what --ticketlab-url or DB_* name; only in databases that are made there "
        "and dropped again).",
        read=_kind,
    ),
    Option(name="url", metavar="URL", help="Of the external server: postgresql://user:password@host/name.", read=_text),
    Option(name="seed", metavar="N", help="What the buyers want, and the order of the trials.", read=seed),
    Option(
        name="buyers",
        metavar="N",
        help="Buyers at once, or several numbers of them (4,16). Under xdist divided by the workers, but never below "
        "two.",
        read=several,
    ),
    Option(name="seconds", metavar="S", help="A trial's longest time.", read=seconds),
    Option(name="repeats", metavar="N", help="Trials of each setting.", read=whole),
    Option(
        name="double_calls",
        metavar="SHARE",
        help="Share of purchases whose id is called twice; without it 0.02 of a strategy that claims that an id buys "
        "once, and none of any other.",
        read=share,
    ),
    Option(
        name="strict",
        metavar="true|false",
        help="Fail a test too where a safe strategy made no progress, a fault was not injected or a check decided nothing.",
        read=true_or_false,
        is_switch=True,
    ),
    Option(
        name="runs",
        metavar="FOLDER",
        help="Where the runs of failed tests are kept; by default ticketlab-runs beside the JUnit XML, or else in the "
        "root directory. Those of passed tests are removed.",
        read=_text,
    ),
)
OF_THE_SESSION: Final = frozenset({"server", "url", "runs", "strict"})
"""The options that are no part of an experiment."""


def add(parser: pytest.Parser) -> None:
    """Add every option to pytest's own."""
    group = parser.getgroup("ticketlab", "ticketlab: judged runs on a real PostgreSQL")
    for each in OPTIONS:
        how: dict[str, Any] = {"action": "store_true"} if each.is_switch else {"metavar": each.metavar}
        group.addoption(each.flag, help=each.help, default=None, **how)
        parser.addini(each.ini, f"{each.help} ({each.flag} counts more.)", type="string", default=None)


def check(config: pytest.Config) -> None:
    """Read every option once.

    Raises:
        UsageError: a value can not be used; the text says where it stands, and what is wanted.
    """
    commanded(config)
    configured(config)


def commanded(config: pytest.Config) -> dict[str, Any]:
    """What the command line says, by the names of the options."""
    said = {each: config.getoption(each.ini) for each in OPTIONS}
    return {each.name: _read(each, value, each.flag) for each, value in said.items() if value is not None}


def configured(config: pytest.Config) -> dict[str, Any]:
    """What the configuration file says, by the names of the options."""
    said = {each: config.getini(each.ini) for each in OPTIONS}
    where = config.inipath.name if config.inipath else "-o"
    return {each.name: _read(each, value, f"{each.ini} ({where})") for each, value in said.items() if value}


def _read(option: Option, value: object, where: str) -> object:
    try:
        return option.read(value)
    except ValueError as error:
        raise pytest.UsageError(f"{where} takes {error}, not {value!r}.") from None


LOAD: Final[Mapping[str, Read]] = {
    "buyers": several,
    "seconds": seconds,
    "repeats": whole,
    "seed": seed,
    "purchases": whole,
    "stock": whole,
    "quantity": span,
    "events": whole,
    "basket": span,
    "hot": share,
    "refunds": share,
    "double_calls": share,
    "max_failures": share,
    "strict": true_or_false,
}
"""What a call of `ticketlab_run` and a stress mark may say of the load, and how it is read."""


def load(said: Mapping[str, object], what: str) -> dict[str, Any]:
    """Keywords of `what`, read.

    Raises:
        ValueError: a keyword that there is not, or a value that can not be used; the text says so.
    """
    unknown = [name for name in said if name not in LOAD]
    if unknown:
        raise ValueError(f"{what} takes no {', '.join(unknown)}. It takes {', '.join(LOAD)}.")
    return {name: _keyword(name, value, what) for name, value in said.items()}


def _keyword(name: str, value: object, what: str) -> object:
    try:
        return LOAD[name](value)
    except ValueError as error:
        raise ValueError(f"{what}: {name} is {error}, not {value!r}.") from None


NAME: Final = "stress"
STRATEGY: Final = "strategy"
HELP: Final = (
    "stress(buyers=32, seconds=5, repeats=3, strategy=...): the load under which the test's ticketlab_run buys. With "
    "a strategy (its name, module:name, a function that buys, a Strategy) the test is a run, made and judged before "
    "its body. Without keywords a label and no more."
)
_AS_DECORATOR: Final = re.compile(rf"@.*\bmark\.{NAME}\(\s*[\w.]+\s*\)")
_KEYWORD: Final = "The mark takes keywords alone: write @pytest.mark.stress(strategy=…)."


def load_of(item: pytest.Item) -> dict[str, Any]:
    """What the marks of a test, its class and its module say, the nearest first; `strategy` as it was given.

    Raises:
        CollectError: a mark says what it can not; the text names what it can.
    """
    said: dict[str, Any] = {}
    for mark in item.iter_markers(NAME):
        if mark.args:
            raise pytest.Collector.CollectError(f"{item.nodeid}: {_KEYWORD} It was given {mark.args[0]!r}.")
        said = {**mark.kwargs, **said}
    strategy = {STRATEGY: said.pop(STRATEGY)} if STRATEGY in said else {}
    try:
        return load(said, f"@pytest.mark.{NAME}") | strategy
    except ValueError as error:
        takes = f"{error} And {STRATEGY}." if "takes no" in str(error) else str(error)
        raise pytest.Collector.CollectError(f"{item.nodeid}: {takes}") from None


def explain(report: pytest.CollectReport) -> None:
    """Say why a module fails that has @pytest.mark.stress(buy): pytest marks buy then, and calls it with the test.

    That is pytest's rule for every mark that is given a function and nothing else.
    """
    if report.failed and _AS_DECORATOR.search(str(report.longrepr)):
        report.sections.append(("ticketlab", f"{_KEYWORD} Given a function alone, it marks that function."))


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
    known = not mutants.is_external(strategy.name) and mutants.get(strategy.name) is strategy
    return strategy.name, [] if known else [strategy]


def _fields(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in OF_THE_SESSION}


def _rounded(load: dict[str, Any]) -> dict[str, Any]:
    """Where a number of purchases is to end a trial, time enough for them and too few seats, if not said otherwise."""
    if "purchases" not in load:
        return load
    return limits_for_purchases(load["purchases"], events=load.get("events", 1)) | load


def _name(test: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", test).strip("-_")[:_LONGEST_NAME] or "test"


def _share(buyers: int, workers: int) -> int:
    return min(buyers, max(_FEWEST, buyers // workers))
