"""The servers that the stress tests run on, the time that each may take, and what is said of all at the end."""

import os
import shutil
import time
from pathlib import Path

import pytest
import stress_plan
import stress_summary
from stress_plan import KEPT

from ticketlab import mutants, servers
from ticketlab.history.recording import purchases_of
from ticketlab.mutants import Trigger
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations

_FAILED = pytest.StashKey[bool]()
_PLACES = pytest.StashKey[list[str]]()
_ORDERED = pytest.StashKey[list[stress_plan.Known]]()
_BEGAN = pytest.StashKey[float]()


def pytest_addoption(parser):
    """Part of the suite only, as the nightly workflow asks for it."""
    parser.addoption("--shard", metavar="N/OF", help="run one part of so many, such as 1/4; every test is in one")


def pytest_configure(config):
    """Ask once which servers there are: workers that saw different ones could not share the tests."""
    config.stash[_BEGAN] = time.monotonic()
    told = getattr(config, "workerinput", {}).get("places")
    named = config.getoption("--on")
    config.stash[_PLACES] = told or (named.split(",") if named else servers.available())
    if not config.stash[_PLACES]:
        raise pytest.UsageError("There is no server at hand to test on: `ticketlab doctor` says what is missing.")


def pytest_report_header(config):
    """Which servers: an engine that does not answer is no failure, and is to be seen."""
    return f"servers: {', '.join(config.stash[_PLACES])}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a worker which servers there are."""
    node.workerinput["places"] = node.config.stash[_PLACES]


def pytest_generate_tests(metafunc):
    """A test of a place once for each server, of the newest on that; mutants of a crash where there can be one."""
    places = metafunc.config.stash[_PLACES]
    if "mutant" in metafunc.fixturenames:
        metafunc.parametrize(("place", "mutant"), list(_mutants_of(places)), scope="session")
    elif "newest" in metafunc.fixturenames:
        embedded = [each for each in places if each.startswith("embedded")]
        metafunc.parametrize("newest", (embedded or places)[-1:], scope="session")
    elif "place" in metafunc.fixturenames:
        metafunc.parametrize("place", places, scope="session")


def _mutants_of(places):
    for place in places:
        for name, each in mutants.registry().items():
            if each.trigger is not Trigger.CRASH or place.startswith("embedded"):
                yield place, name


@pytest.hookimpl(trylast=True)  # of what -k and -m have left
def pytest_collection_modifyitems(config, items):
    """Leave out what is of another shard, and begin with the longest."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    known = {item.nodeid: _known(item) for item in ours}
    if asked := _shard(config):
        _leave_out(config, items, known, asked)
    left = [known[item.nodeid] for item in items if item.nodeid in known]
    config.stash[_ORDERED] = stress_plan.longest_first(left)
    turn = {each.name: number for number, each in enumerate(config.stash[_ORDERED])}
    items.sort(key=lambda item: turn.get(item.nodeid, -1))


def _shard(config):
    return config.getoption("--shard", None)  # unknown where this folder was not named, but one above it


def _known(item):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return stress_plan.Known(item.nodeid, stress_plan.seconds_of(item.originalname, parameters.get("name", "")))


def _leave_out(config, items, known, asked):
    try:
        shard = stress_plan.Shard.parse(asked)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    chosen = stress_plan.in_shard(known.values(), shard)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let fixtures know that the test has failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture
def seconds(request):
    """What this test may take, of the time that is left."""
    return stress_plan.share_s(
        request.config.stash[_ORDERED],
        request.node.nodeid,
        elapsed_s=time.monotonic() - request.config.stash[_BEGAN],
        at_once=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
    )


@pytest.fixture
def out(tmp_path, request):
    """Where the test's runs are made; when it has failed, they are kept."""
    yield tmp_path
    if request.node.stash.get(_FAILED, False):
        for run in tmp_path.iterdir():
            shutil.copytree(run, KEPT / f"failed-{run.name}-{os.getpid()}", dirs_exist_ok=True)


@pytest.fixture
def tell(request, place):
    """Say what came of it, for the summary."""

    def say(**row):
        request.node.user_properties.append(("stress", {"server": place, **row}))

    return say


@pytest.fixture
def tell_of(tell):
    """Say what came of a run's trials, and what they were under."""

    def say(run, under):
        for row, trial in zip(run.measures.itertuples(), run.trials, strict=True):
            tell(
                strategy=row.strategy,
                safe=bool(row.safe),
                under=under,
                purchases=len(purchases_of(trial.history())),
                sales=int(row.sales),
                seconds=float(row.seconds),
                verdict=row.verdict,
            )

    return say


@pytest.fixture(scope="session")
def server(place):
    """A server of the kind and version; one for each process of the test run."""
    with servers.open(place) as server:
        yield server


@pytest.fixture
def database(server):
    """A migrated database of the test's own."""
    with servers.scratch_database(server.url) as url, Database(Settings.from_url(url)) as database:
        migrations.upgrade(database)
        yield database


def pytest_terminal_summary(terminalreporter, config):
    """The tables, below the results, and wherever GitHub shows them."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    rows = [row for each in reports for name, row in each.user_properties if name == "stress"]
    if not rows or hasattr(config, "workerinput"):  # a worker has seen a part, and reports to nobody
        return
    minutes, seconds = divmod(round(time.monotonic() - config.stash[_BEGAN]), 60)
    part = f", part {_shard(config)}" if _shard(config) else ""
    title = f"Stress{part}: {len(reports)} tests in {minutes} min {seconds} s on {os.cpu_count()} processors"
    terminalreporter.section(title)
    terminalreporter.line(stress_summary.text(rows))
    told = stress_summary.markdown(title, rows)
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"stress{part.replace(', part ', '-').replace('/', '-of-')}.md").write_text(told)
    if github := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(github).open("a") as summary:
            summary.write(told)
