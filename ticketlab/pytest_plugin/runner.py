"""Provides a test's server and databases, runs its experiments, and removes the runs of passed tests."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import mutants, servers
from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.pytest_plugin import messages, options
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment, limits_for_purchases
from ticketlab.runs.folders import new, wrapping_write_errors
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations
from ticketlab.tickets.user_code import PurchaseFunction, adopt

if TYPE_CHECKING:
    from ticketlab.runs.run import Run

DatabaseFactory: TypeAlias = Callable[[], AbstractContextManager[Database]]


@contextmanager
def server(commanded: Mapping[str, Any], configured: Mapping[str, Any]) -> Iterator[servers.Server]:
    """The server that the options select, with its default durability settings."""
    chosen = {**configured, **commanded}
    with ExitStack() as stack:
        with failing_without_traceback():
            kind, url = servers.resolve(chosen.get("server", "auto"), chosen.get("url"))
            running = stack.enter_context(servers.open(kind, url=url))
        yield running


@contextmanager
def template(on: servers.Server) -> Iterator[str]:
    """The name of a migrated database without open connections, which PostgreSQL requires of a template."""
    with ExitStack() as stack:
        with failing_without_traceback():
            url = stack.enter_context(servers.scratch_database(on.url, prefix="ticketlab_template"))
            with Database(Settings.from_url(url)) as database:
                migrations.upgrade(database)
        yield str(conninfo_to_dict(url)["dbname"])


@contextmanager
def copies(on: servers.Server, template: str) -> Iterator[DatabaseFactory]:
    """A factory of open copies of the template. While one is in use the next is created, so that tests do not wait."""
    ahead: list[Future[tuple[ExitStack, str]]] = []

    def create() -> tuple[ExitStack, str]:
        stack = ExitStack()
        return stack, stack.enter_context(servers.scratch_database(on.url, template=template))

    with ThreadPoolExecutor(1, thread_name_prefix="ticketlab-copies") as maker:

        @contextmanager
        def lend() -> Iterator[Database]:
            with failing_without_traceback():
                stack, url = (ahead.pop() if ahead else maker.submit(create)).result()
            ahead.append(maker.submit(create))
            with stack:
                with failing_without_traceback():
                    database = stack.enter_context(Database(Settings.from_url(url)))
                yield database

        try:
            yield lend
        finally:
            for each in ahead:
                if each.exception() is None:  # a failed copy was not requested by a test
                    each.result()[0].close()


@contextmanager
def failing_without_traceback() -> Iterator[None]:
    """Fail the test with the message of an expected error alone: the lab's traceback would not help the user."""
    try:
        yield
    except TicketlabError as error:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        raise pytest.fail.Exception(text, pytrace=False) from None


Given: TypeAlias = Strategy | Experiment | PurchaseFunction | str
"""A strategy, its name, a purchase function, or a whole experiment."""

_LONGEST_NAME: Final = 60
_FEWEST: Final = 2
"""Buyers per worker at least: a single buyer has no concurrency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRun:
    """The experiment of one call, and how it was derived."""

    experiment: Experiment
    own: Sequence[Strategy | PurchaseFunction]
    """Its strategies that cannot be found by name."""
    divided: bool
    """Whether xdist workers share the buyers that were requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The keywords of the load, by their source."""

    configured: Mapping[str, Any]
    marked: Mapping[str, Any]
    called: Mapping[str, Any]
    commanded: Mapping[str, Any]

    @property
    def strict(self) -> bool:
        """Whether a test fails also without progress, or if something was not tested."""
        return bool(self._all.get("strict", False))

    @property
    def of_the_load(self) -> dict[str, Any]:
        """The fields of a new experiment."""
        return _fields(self._all)

    @property
    def of_an_experiment(self) -> dict[str, Any]:
        """The fields that replace those of a given Experiment: only from the call and the command line."""
        return _fields({**self.called, **self.commanded})

    @property
    def _all(self) -> dict[str, Any]:
        """Precedence: command line, call, mark, configuration file."""
        return {**self.configured, **self.marked, **self.called, **self.commanded}


def resolve_run(
    given: Given, load: LoadOptions, *, own: Sequence[Strategy | PurchaseFunction], test: str, workers: int
) -> ResolvedRun:
    """The experiment of one call of `ticketlab_run`.

    Args:
        given: the strategy or experiment.
        load: the keywords of its load.
        own: the test's own strategies that an Experiment names.
        test: the name of the test, which becomes the name of the run.
        workers: the number of xdist workers, which share the buyers; 1 without xdist.

    Raises:
        NotFoundError, InvalidInputError, OwnCodeError: there is no such strategy, or the load is invalid.
    """
    if isinstance(given, Experiment):
        experiment, unnamed = replace(given, **load.of_an_experiment), list(own)
    else:
        strategy, unnamed = _strategy(given)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", test).strip("-_")[:_LONGEST_NAME] or "test"
        experiment = Experiment(name=name, strategies=(strategy,), **_with_limits(load.of_the_load))
    shares = (min(buyers, max(_FEWEST, buyers // workers)) for buyers in experiment.buyers)
    buyers = tuple(dict.fromkeys(shares))
    divided = buyers != experiment.buyers
    return ResolvedRun(experiment=replace(experiment, buyers=buyers), own=unnamed, divided=divided)


def _strategy(given: Strategy | PurchaseFunction | str) -> tuple[str, list[Strategy | PurchaseFunction]]:
    """The name of the strategy, and the strategy itself if it cannot be found by its name."""
    if isinstance(given, str):
        return given, []
    strategy = adopt(given)
    known = not mutants.is_external(strategy.name) and mutants.get(strategy.name) is strategy
    return strategy.name, [] if known else [strategy]


def _fields(load: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in load.items() if name not in options.OF_THE_SESSION}


def _with_limits(load: dict[str, Any]) -> dict[str, Any]:
    """If purchases are limited, add seconds and seats that suit their number, unless these are given."""
    if "purchases" not in load:
        return load
    return limits_for_purchases(load["purchases"], events=load.get("events", 1)) | load


_KEPT: Final = "ticketlab-runs"


class Runner:
    """The value of the fixture `ticketlab_run`: a call makes and checks a run. Keeps the runs of its test."""

    def __init__(self, item: pytest.Item, server: servers.Server, *, template: str, out: Path) -> None:
        self._item = item
        self._here = item.config.invocation_params.dir
        self._workers = _workers(item.config)
        self._server = server
        self._template = template
        self._out = out
        self._runs: list[Run] = []
        self._kept: list[Path] = []
        self._rows: list[dict[str, Any]] = []

    @property
    def last(self) -> Run:
        """The last run; at first the run of the strategy in the test's mark.

        Raises:
            LookupError: there is no run yet.
        """
        if not self._runs:
            raise LookupError("No run was made yet: call ticketlab_run, or name a strategy in the stress mark.")
        return self._runs[-1]

    def __call__(self, given: Given, /, *, own: Sequence[Strategy | PurchaseFunction] = (), **load: object) -> Run:
        """Make a run and check it.

        Args:
            given: the name of a strategy, "module:name", a purchase function, a Strategy, or an Experiment. An
                Experiment defines its load; only this call's keywords and the command line change it.
            own: the test's own strategies that an Experiment names.
            **load: keywords of `options.LOAD` that replace those of the mark and of the ini settings.

        Raises:
            pytest.fail.Exception: a strategy that claims to be safe has a violation or an undecided verdict, the run
                could not be made, or the test is strict and `Run.strict_failures` has reasons.
        """
        with failing_without_traceback():
            layers = self._load_options(load)
            plan = resolve_run(given, layers, own=own, test=self._item.name, workers=self._workers)
            run = lab.run_on(self._server, plan.experiment, own=plan.own, out=self._out, template=self._template)
        if run.ended_early:  # by Ctrl-C: the lab saves the run, and the session must end too
            raise KeyboardInterrupt
        self._runs.append(run)
        self._rows += messages.rows(run, test=self._item.nodeid, workers=self._workers if plan.divided else 1)
        reasons = run.strict_failures if layers.strict else []
        if run.failed_strategies or reasons:
            failure = self._failure(run, reasons, divided=plan.divided)
            self._rows[-1]["failure"] = failure
            pytest.fail(failure, pytrace=False)
        return run

    def attach_rows(self, report: pytest.TestReport) -> None:
        """Attach the runs since the last report. If the test's body failed, its runs are kept too."""
        if report.failed and report.when != "teardown" and not self._kept:
            places = [messages.shown(self._keep(each), self._here) for each in self._runs]
            report.sections += [("ticketlab", f"The run is saved in {place}") for place in places]
        if any(row["failure"] for row in self._rows):
            _shorten_crash(report)
        setattr(report, options.RUNS, self._rows)
        self._rows = []

    def remove_runs(self) -> None:
        """Remove the runs, except those kept in place because they could not be copied."""
        for each in self._runs:
            if each.folder not in self._kept:
                shutil.rmtree(each.folder)

    def _load_options(self, load: dict[str, object]) -> LoadOptions:
        marked = {name: value for name, value in options.load_of(self._item).items() if name != options.STRATEGY}
        try:
            called = options.load(load, "ticketlab_run")
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        config = self._item.config
        return LoadOptions(
            configured=options.configured(config), marked=marked, called=called, commanded=options.commanded(config)
        )

    def _failure(self, run: Run, reasons: Sequence[str], *, divided: bool) -> str:
        kept, xml = self._keep(run), _junit(self._item.config)
        return messages.failure(
            run,
            reasons,
            kept=messages.shown(kept, self._here),
            report=messages.write_report(run, xml.parent / f"ticketlab-{kept.name}.md", here=self._here) if xml else "",
            command=messages.command(self._item, run.experiment, divided=divided),
        )

    def _keep(self, run: Run) -> Path:
        """Copy the run to the folder of kept runs; if that cannot be written, keep the run where it is."""
        place = _place(self._item.config)
        try:
            kept = new(place, run.folder.name)
            with wrapping_write_errors(kept):
                shutil.copytree(run.folder, kept, dirs_exist_ok=True)
        except InvalidInputError:
            kept = run.folder
        self._kept.append(kept)
        return kept


def _shorten_crash(report: pytest.TestReport) -> None:
    """Keep one line in pytest's list of failures, where continuous integration would print the explanation again."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.partition("\n")[0]


def _place(config: pytest.Config) -> Path:
    """The folder of kept runs: from the options, else beside the JUnit XML, else in the root directory."""
    if folder := options.commanded(config).get("runs"):
        return config.invocation_params.dir / str(folder)
    if folder := options.configured(config).get("runs"):
        return config.rootpath / str(folder)
    xml = _junit(config)
    return (xml.parent if xml else config.rootpath) / _KEPT


def _junit(config: pytest.Config) -> Path | None:
    """The path of the JUnit XML that pytest writes, if any."""
    xml = config.getoption("xmlpath", None)
    return config.invocation_params.dir / str(xml) if xml else None


def _workers(config: pytest.Config) -> int:
    """The number of xdist workers; 1 without xdist.

    PYTEST_XDIST_WORKER_COUNT is not used: a pytest process that a worker starts inherits it.
    """
    return int(config.workerinput["workercount"]) if messages.is_worker(config) else 1  # type: ignore[attr-defined]
