"""The plugin's options, ini settings and marks, and their parsers. Depends on pytest alone: every session loads it."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pytest

RUNS: Final = "ticketlab_runs"
"""The attribute of a test's report that contains its runs."""

Read: TypeAlias = Callable[[object], object]


def whole(value: object, *, least: int = 1) -> int:
    """A whole number; the ValueError of an invalid value describes a valid one, as in all parsers here."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ValueError(f"a whole number from {least}, such as 16")
    return number


def seed(value: object) -> int:
    """Parse a seed, a whole number from 0."""
    return whole(value, least=0)


def seconds(value: object) -> float:
    """Parse a duration above 0 s."""
    return _number(value, "a number of seconds above 0, such as 2.5", lambda number: 0 < number < math.inf)


def share(value: object) -> float:
    """Parse a share from 0 to 1."""
    return _number(value, "a share from 0 to 1, such as 0.1", lambda number: 0 <= number <= 1)


def true_or_false(value: object) -> bool:
    """Parse a boolean or the word for it."""
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ValueError("true or false")
    return word == "true"


def several(value: object) -> tuple[int, ...]:
    """Parse one or more whole numbers."""
    return tuple(whole(each) for each in _parts(value, ","))


def span(value: object) -> tuple[int, int]:
    """Parse a range to its ends; a single number is both."""
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
        raise ValueError("a non-empty text")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option on the command line, which is also an ini setting."""

    name: str
    metavar: str
    help: str
    read: Read
    is_switch: bool = False
    """Whether it takes no value on the command line."""

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return flag_of(self.name)

    @property
    def ini(self) -> str:
        """The name of the ini setting, and of the attribute in which pytest stores the command line's value."""
        return f"ticketlab_{self.name}"


def flag_of(name: str) -> str:
    """The option on the command line, from its name."""
    return f"--ticketlab-{name.replace('_', '-')}"


OPTIONS: Final = (
    Option(
        name="server",
        metavar="KIND[:VERSION]",
        help="Where PostgreSQL comes from: auto (a container if an engine answers, else embedded; the default), "
        "embedded, container, or external (--ticketlab-url or the DB_* variables; tests use only databases that they "
        "create and drop).",
        read=_kind,
    ),
    Option(name="url", metavar="URL", help="The external server: postgresql://user:password@host/name.", read=_text),
    Option(
        name="seed",
        metavar="N",
        help="Seed of the requests and the order of the trials; default 1.",
        read=seed,
    ),
    Option(
        name="buyers",
        metavar="N",
        help="Concurrent buyers, one number or several (4,16); default 16. With xdist the workers share them, at least "
        "two each.",
        read=several,
    ),
    Option(
        name="seconds",
        metavar="S",
        help="Longest duration of a trial, in seconds; default 4, or 60 if purchases are limited.",
        read=seconds,
    ),
    Option(name="repeats", metavar="N", help="Trials per strategy and setting; default 3.", read=whole),
    Option(
        name="double_calls",
        metavar="SHARE",
        help="Share of the purchases whose purchase id is called twice, 0 to 1; default 0.02 for idempotent "
        "strategies, 0 for others.",
        read=share,
    ),
    Option(
        name="strict",
        metavar="true|false",
        help="Fail a test also if a safe strategy made no progress, a fault was not injected, or a check was "
        "undecided; default false.",
        read=true_or_false,
        is_switch=True,
    ),
    Option(
        name="runs",
        metavar="FOLDER",
        help="Folder in which the runs of failed tests are saved; default ticketlab-runs beside the JUnit XML, else in "
        "the root directory. Runs of passed tests are removed.",
        read=_text,
    ),
)
OF_THE_SESSION: Final = frozenset({"server", "url", "runs", "strict"})
"""The options that are not fields of an experiment."""


def add(parser: pytest.Parser) -> None:
    """Add every option to pytest's own."""
    group = parser.getgroup("ticketlab", "ticketlab: concurrent purchases on a real PostgreSQL, checked")
    for each in OPTIONS:
        how: dict[str, Any] = {"action": "store_true"} if each.is_switch else {"metavar": each.metavar}
        group.addoption(each.flag, help=each.help, default=None, **how)
        parser.addini(each.ini, f"{each.help} ({each.flag} takes precedence.)", type="string", default=None)


def check(config: pytest.Config) -> None:
    """Parse every option once.

    Raises:
        UsageError: a value is invalid; the text names the option or setting and a valid value.
    """
    commanded(config)
    configured(config)


def commanded(config: pytest.Config) -> dict[str, Any]:
    """The options that the command line sets, by name."""
    values = {option: config.getoption(option.ini) for option in OPTIONS}
    return {option.name: _read(option, value, option.flag) for option, value in values.items() if value is not None}


def configured(config: pytest.Config) -> dict[str, Any]:
    """The options that the configuration file sets, by name."""
    values = {option: config.getini(option.ini) for option in OPTIONS}
    where = config.inipath.name if config.inipath else "-o"
    return {option.name: _read(option, value, f"{option.ini} ({where})") for option, value in values.items() if value}


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
"""The keywords of `ticketlab_run` and of the stress mark, and their parsers."""


def load(keywords: Mapping[str, object], what: str) -> dict[str, Any]:
    """Parse the keywords of `what`.

    Raises:
        ValueError: a keyword is unknown or a value is invalid; the text names it and `what`.
    """
    unknown = [name for name in keywords if name not in LOAD]
    if unknown:
        raise ValueError(f"{what} takes no {', '.join(unknown)}. It takes {', '.join(LOAD)}.")
    return {name: _keyword(name, value, what) for name, value in keywords.items()}


def _keyword(name: str, value: object, what: str) -> object:
    try:
        return LOAD[name](value)
    except ValueError as error:
        raise ValueError(f"{what}: {name} is {error}, not {value!r}.") from None


NAME: Final = "stress"
STRATEGY: Final = "strategy"
HELP: Final = (
    "stress(buyers=32, seconds=5, repeats=3, strategy=...): the load of the test's ticketlab_run. With a strategy (its "
    "name, module:name, a purchase function, or a Strategy) the plugin runs and checks it before the test's body. "
    "Without keywords the mark is only a label."
)
_AS_DECORATOR: Final = re.compile(rf"@.*\bmark\.{NAME}\(\s*[\w.]+\s*\)")
_KEYWORD: Final = "The mark takes only keywords: write @pytest.mark.stress(strategy=…)."


def load_of(item: pytest.Item) -> dict[str, Any]:
    """The parsed keywords of the marks of a test, its class and its module; the nearest takes precedence.

    Raises:
        CollectError: a mark is invalid; the text names the valid keywords.
    """
    keywords: dict[str, Any] = {}
    for mark in item.iter_markers(NAME):
        if mark.args:
            raise pytest.Collector.CollectError(f"{item.nodeid}: {_KEYWORD} It was given {mark.args[0]!r}.")
        keywords = {**mark.kwargs, **keywords}
    strategy = {STRATEGY: keywords.pop(STRATEGY)} if STRATEGY in keywords else {}
    try:
        return load(keywords, f"@pytest.mark.{NAME}") | strategy
    except ValueError as error:
        message = f"{error} Also {STRATEGY}." if "takes no" in str(error) else str(error)
        raise pytest.Collector.CollectError(f"{item.nodeid}: {message}") from None


def explain(report: pytest.CollectReport) -> None:
    """Explain the error of a module that has @pytest.mark.stress(buy): pytest marks `buy` itself, not the test.

    pytest does so for every mark whose only argument is a function.
    """
    if report.failed and _AS_DECORATOR.search(str(report.longrepr)):
        report.sections.append(("ticketlab", f"{_KEYWORD} Given only a function, it marks that function."))
