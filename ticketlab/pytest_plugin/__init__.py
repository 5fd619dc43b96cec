"""The pytest plugin: fixtures for a PostgreSQL server, a migrated database, and checked runs in users' tests.

    @pytest.mark.stress(strategy=buy, buyers=32)
    def test_no_seat_is_sold_twice(): ...

Wherever ticketlab is installed every pytest session loads this file, so it imports only `options` and pytest; a fixture
imports the lab when a test requests it. `options` reads the command line, the ini settings and the marks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

from ticketlab.pytest_plugin import options

if TYPE_CHECKING:
    from ticketlab.pytest_plugin.runner import DatabaseFactory, Runner
    from ticketlab.servers import Server
    from ticketlab.tickets import Database

_FIXTURE: Final = "ticketlab_run"
_RUNNER: Final = pytest.StashKey["Runner"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and an ini setting for each."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and reject invalid options before collection."""
    config.addinivalue_line("markers", options.HELP)
    options.check(config)


@pytest.fixture(scope="session")
def ticketlab_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    """A running PostgreSQL (ticketlab.servers.Server): one per session, with xdist one per worker."""
    from ticketlab.pytest_plugin import runner

    with runner.server(options.commanded(pytestconfig), options.configured(pytestconfig)) as server:
        yield server


@pytest.fixture(scope="session")
def _ticketlab_template(ticketlab_server: Server) -> Iterator[str]:
    """The name of the migrated database from which the others are copied."""
    from ticketlab.pytest_plugin import runner

    with runner.template(ticketlab_server) as name:
        yield name


@pytest.fixture(scope="session")
def _ticketlab_copies(ticketlab_server: Server, _ticketlab_template: str) -> Iterator[DatabaseFactory]:
    """A factory of copies of the template."""
    from ticketlab.pytest_plugin import runner

    with runner.copies(ticketlab_server, _ticketlab_template) as lend:
        yield lend


@pytest.fixture
def ticketlab_database(_ticketlab_copies: DatabaseFactory) -> Iterator[Database]:
    """A ticketlab.Database for one test: migrated, empty, dropped after the test."""
    with _ticketlab_copies() as database:
        yield database


@pytest.fixture
def ticketlab_run(
    request: pytest.FixtureRequest,
    ticketlab_server: Server,
    _ticketlab_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runner]:
    """`ticketlab_run("atomic", buyers=32)` runs a strategy, checks the run, and returns it as a ticketlab.Run.

    It takes the name of a strategy, "module:name", a purchase function, a Strategy or an Experiment.
    `ticketlab_run.last` is the last run. The test fails if a strategy that claims to be safe has a violation or an
    undecided verdict.
    """
    from ticketlab.pytest_plugin.runner import Runner

    runner = Runner(request.node, ticketlab_server, template=_ticketlab_template, out=tmp_path_factory.mktemp("runs"))
    request.node.stash[_RUNNER] = runner
    yield runner
    runner.remove_runs()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Reject an invalid stress mark, and name its test."""
    options.load_of(metafunc.definition)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Explain the error of a module in which the stress mark got a function as its only positional argument."""
    report = yield
    options.explain(report)
    return report


def pytest_itemcollected(item: pytest.Item) -> None:
    """Add the fixture to a test whose mark names a strategy."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is not None and options.STRATEGY in options.load_of(item) and _FIXTURE not in names:
        names.append(_FIXTURE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """If the mark names a strategy, run and check it before the test's body."""
    strategy = options.load_of(item).get(options.STRATEGY)
    if strategy is not None:
        item.stash[_RUNNER](strategy)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the runs to the test's report, which xdist sends from the worker to the main process."""
    report = yield
    runner = item.stash.get(_RUNNER, None)
    if runner is not None:
        runner.attach_rows(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the summary of the runs; in GitHub Actions, append it to the job's summary."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    if any(hasattr(report, options.RUNS) for report in reports):
        from ticketlab.pytest_plugin import messages

        messages.show(reports, terminalreporter)
