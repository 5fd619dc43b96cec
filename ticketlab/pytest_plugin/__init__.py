"""The pytest plugin: a PostgreSQL, a migrated database, and runs that are judged, in tests of one's own.

    @pytest.mark.stress(strategy=buy, buyers=32)
    def test_nobody_is_sold_a_seat_twice(): ...

Every pytest loads this file where ticketlab is installed, so it imports nothing but pytest and the standard library;
what a fixture needs is imported when it is asked for. `options` says what can be asked for, and which word counts.
"""

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
    """Add the options, each as an ini setting too."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark, and refuse options that can not be used before anything is collected."""
    config.addinivalue_line("markers", options.HELP)
    options.check(config)


@pytest.fixture(scope="session")
def ticketlab_server(pytestconfig: pytest.Config) -> "Iterator[Server]":
    """A running PostgreSQL, a ticketlab.servers.Server: one for the session, and under xdist one for each worker."""
    from ticketlab.pytest_plugin import runner

    with runner.server(options.commanded(pytestconfig), options.configured(pytestconfig)) as server:
        yield server


@pytest.fixture(scope="session")
def _ticketlab_template(ticketlab_server: "Server") -> Iterator[str]:
    """The name of a database that is migrated once, of which the others are copies."""
    from ticketlab.pytest_plugin import runner

    with runner.template(ticketlab_server) as name:
        yield name


@pytest.fixture(scope="session")
def _ticketlab_copies(ticketlab_server: "Server", _ticketlab_template: str) -> "Iterator[DatabaseFactory]":
    """What lends copies of the template."""
    from ticketlab.pytest_plugin import runner

    with runner.copies(ticketlab_server, _ticketlab_template) as lend:
        yield lend


@pytest.fixture
def ticketlab_database(_ticketlab_copies: "DatabaseFactory") -> "Iterator[Database]":
    """A ticketlab.Database of the test's own: migrated, empty, and dropped afterwards."""
    with _ticketlab_copies() as database:
        yield database


@pytest.fixture
def ticketlab_run(
    request: pytest.FixtureRequest,
    ticketlab_server: "Server",
    _ticketlab_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[Runner]":
    """Called as `ticketlab_run("atomic", buyers=32)` it makes a run, judges it, and returns the ticketlab.Run.

    It takes a strategy's name, "module:name", a function that buys, a Strategy or an Experiment; `ticketlab_run.last`
    is its last run. The test fails where what claims to be safe was found wrong, or could not be decided.
    """
    from ticketlab.pytest_plugin.runner import Runner

    runner = Runner(request.node, ticketlab_server, template=_ticketlab_template, out=tmp_path_factory.mktemp("runs"))
    request.node.stash[_RUNNER] = runner
    yield runner
    runner.remove_runs()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse a stress mark that can not be read, where it stands."""
    options.load_of(metafunc.definition)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Explain a module that fails because the stress mark was given a function as if it were to be decorated."""
    report = yield
    options.explain(report)
    return report


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test whose mark names a strategy what makes its run."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is not None and options.STRATEGY in options.load_of(item) and _FIXTURE not in names:
        names.append(_FIXTURE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Make and judge the run of a test whose mark names a strategy, before its body."""
    strategy = options.load_of(item).get(options.STRATEGY)
    if strategy is not None:
        item.stash[_RUNNER](strategy)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the judged runs along with the report, which finds its way from a worker of xdist too."""
    report = yield
    runner = item.stash.get(_RUNNER, None)
    if runner is not None:
        runner.attach_rows(report)
    return report


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Show the judged runs, and in GitHub Actions append them to the summary of the job."""
    reports = [each for several in terminalreporter.stats.values() for each in several]
    if any(hasattr(each, options.RUNS) for each in reports):
        from ticketlab.pytest_plugin import messages

        messages.show(reports, terminalreporter)
