"""Runs a test's experiments, lends servers and databases, and removes what passed."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from psycopg.conninfo import conninfo_to_dict

from ticketlab import servers
from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.pytest_plugin import messages, options
from ticketlab.pytest_plugin.options import Given, LoadOptions, resolve_run
from ticketlab.runs import lab
from ticketlab.runs.run import Run
from ticketlab.runs.trial_data import wrapping_write_errors
from ticketlab.settings import Settings
from ticketlab.tickets import Database, Strategy, migrations
from ticketlab.tickets.user_code import PurchaseFunction

DatabaseFactory: TypeAlias = Callable[[], AbstractContextManager[Database]]


@contextmanager
def server(commanded: Mapping[str, Any], configured: Mapping[str, Any]) -> Iterator[servers.Server]:
    """The server that the options ask for, with the durability that it has by itself."""
    asked = {**configured, **commanded}
    with ExitStack() as stack:
        with failing_without_traceback():
            kind, url = servers.resolve(asked.get("server", "auto"), asked.get("url"))
            running = stack.enter_context(servers.open(kind, url=url))
        yield running


@contextmanager
def template(on: servers.Server) -> Iterator[str]:
    """The name of a migrated database, in which nobody is any more."""
    with ExitStack() as stack:
        with failing_without_traceback():
            url = stack.enter_context(servers.scratch_database(on.url, prefix="ticketlab_template"))
            with Database(Settings.from_url(url)) as database:
                migrations.upgrade(database)
        yield str(conninfo_to_dict(url)["dbname"])


@contextmanager
def copies(on: servers.Server, template: str) -> Iterator[DatabaseFactory]:
    """What lends copies of the template, open. While one is in use the next is made, so that nobody waits for it."""
    ahead: list[Future[tuple[ExitStack, str]]] = []

    def made() -> tuple[ExitStack, str]:
        stack = ExitStack()
        return stack, stack.enter_context(servers.scratch_database(on.url, template=template))

    with ThreadPoolExecutor(1, thread_name_prefix="ticketlab-copies") as maker:

        @contextmanager
        def lend() -> Iterator[Database]:
            with failing_without_traceback():
                stack, url = (ahead.pop() if ahead else maker.submit(made)).result()
            ahead.append(maker.submit(made))
            with stack, ExitStack() as held:
                with failing_without_traceback():
                    lent = held.enter_context(Database(Settings.from_url(url)))
                yield lent

        try:
            yield lend
        finally:
            for each in ahead:
                if each.exception() is None:  # one that could not be made was wanted by nobody
                    each.result()[0].close()


@contextmanager
def failing_without_traceback() -> Iterator[None]:
    """Let what ticketlab foresees fail a test with its sentences alone: the lab's traceback is nobody's concern."""
    try:
        yield
    except TicketlabError as error:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        raise pytest.fail.Exception(text, pytrace=False) from None


_KEPT: Final = "ticketlab-runs"


class Runner:
    """What the fixture `ticketlab_run` is: called, it makes a run and judges it; it knows the runs of its test."""

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
        """The run that was made last: of a test whose mark names a strategy, at first the one that the mark asked for.

        Raises:
            LookupError: none was made yet.
        """
        if not self._runs:
            raise LookupError("No run was made yet: call ticketlab_run, or name a strategy in the stress mark.")
        return self._runs[-1]

    def __call__(self, given: Given, /, *, own: Sequence[Strategy | PurchaseFunction] = (), **load: object) -> Run:
        """Make a run and judge it.

        Args:
            given: a strategy's name, "module:name", a function that buys, a Strategy, or an Experiment. An Experiment
                says its load itself: of what else was said only this call's keywords and the command line count.
            own: strategies of the test's own that an Experiment names.
            **load: what differs from the mark's and the session's load; the keywords of `options.LOAD`.

        Raises:
            pytest.fail.Exception: what claims to be safe was found wrong or not decided, or nothing could be run; where
                the test is strict also what `Run.strict_failures` says.
        """
        with failing_without_traceback():
            said = self._said(load)
            wanted = resolve_run(given, said, own=own, test=self._item.name, workers=self._workers)
            run = lab.run_on(self._server, wanted.experiment, own=wanted.own, out=self._out, template=self._template)
        if run.ended_early:  # it was Ctrl-C, which the lab makes a run of, and which is meant for the session
            raise KeyboardInterrupt
        self._runs.append(run)
        self._rows += messages.rows(run, test=self._item.nodeid, workers=self._workers if wanted.divided else 1)
        reasons = run.strict_failures if said.strict else []
        if run.failed_strategies or reasons:
            failure = self._failure(run, reasons, divided=wanted.divided)
            self._rows[-1]["failure"] = failure
            pytest.fail(failure, pytrace=False)
        return run

    def attach_rows(self, report: pytest.TestReport) -> None:
        """Give the report what was judged since the last one. Where a test failed by itself, its runs are kept too."""
        if report.failed and report.when != "teardown" and not self._kept:
            places = [messages.shown(self._keep(each), self._here) for each in self._runs]
            report.sections += [("ticketlab", f"The run is kept: {place}") for place in places]
        if any(row["failure"] for row in self._rows):
            _in_a_line(report)
        setattr(report, options.RUNS, self._rows)
        self._rows = []

    def remove_runs(self) -> None:
        """Remove the runs; of those that are kept there are copies. One that an error tells of is left to pytest."""
        for each in self._runs:
            if each.folder not in self._kept:
                shutil.rmtree(each.folder)

    def _said(self, load: dict[str, object]) -> LoadOptions:
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
        """Copy the run to where it stays; where nothing can be written it stays where it is."""
        place = _place(self._item.config)
        try:
            kept = lab.new(place, run.folder.name)
            with wrapping_write_errors(kept):
                shutil.copytree(run.folder, kept, dirs_exist_ok=True)
        except InvalidInputError:
            kept = run.folder
        self._kept.append(kept)
        return kept


def _in_a_line(report: pytest.TestReport) -> None:
    """Shorten what the list of failures says: in continuous integration pytest would tell the story there once more."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.partition("\n")[0]


def _place(config: pytest.Config) -> Path:
    """Where runs are kept: where the options say, or beside the JUnit XML, or in the root directory."""
    if asked := options.commanded(config).get("runs"):
        return config.invocation_params.dir / str(asked)
    if asked := options.configured(config).get("runs"):
        return config.rootpath / str(asked)
    xml = _junit(config)
    return (xml.parent if xml else config.rootpath) / _KEPT


def _junit(config: pytest.Config) -> Path | None:
    """The JUnit XML that pytest is to write."""
    xml = config.getoption("xmlpath", None)
    return config.invocation_params.dir / str(xml) if xml else None


def _workers(config: pytest.Config) -> int:
    """The workers of xdist among which this one is; 1 without.

    Not from PYTEST_XDIST_WORKER_COUNT: a pytest that a worker starts is none of them.
    """
    return int(config.workerinput["workercount"]) if messages.is_worker(config) else 1  # type: ignore[attr-defined]
