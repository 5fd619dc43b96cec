"""Each function of the corpus once, under the load that shows its mistake: it gets the verdict that it must get.

The whole corpus under longer loads, with faults: tests/stress/test_corpus.py.
"""

import pytest
from corpus.expected import CORPUS, Expected, Need
from corpus.left_behind import OPENED
from corpus.loads import SERVER_SETTINGS, experiment

from ticketlab import lab, servers
from ticketlab.evidence.verdict import Status
from ticketlab.outcomes import Outcome
from ticketlab.settings import Settings
from ticketlab.tickets import Database, migrations

SHORT = {"buyers": 12, "seats": 80, "purchases": 240, "seconds": 2.0}
UNANSWERED = (Outcome.FAILED, Outcome.CONFLICT, Outcome.UNAVAILABLE, Outcome.UNKNOWN)
LIMIT = 0.05
"""The share of purchases without an answer from which on a function makes no progress."""


@pytest.fixture(scope="session")
def corpus_server(pytestconfig):
    """A server that allows two-phase commits, and finds deadlocks soon."""
    with servers.open(pytestconfig.getoption("--on") or "embedded", settings=SERVER_SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def corpus_template(corpus_server):
    """The name of a migrated database there."""
    with servers.scratch_database(corpus_server.url, prefix="ticketlab_template") as url:
        settings = Settings.from_url(url)
        with Database(settings) as database:
            migrations.upgrade(database)
        yield settings.name


@pytest.fixture
def judged(corpus_server, corpus_template, tmp_path):
    """Run a function once; its trial, and its verdicts by the names of their checks."""

    def run(expected: Expected, needs):
        found = lab.run_on(
            corpus_server,
            experiment(expected, needs, **SHORT),
            own=[expected.strategy],
            out=tmp_path,
            template=corpus_template,
        )
        ((trial, verdicts),) = found.verdicts
        return trial, {each.check: each for each in verdicts}

    yield run
    while OPENED:
        OPENED.pop().close()


def named(*, right):
    return [name for name, each in CORPUS.items() if each.right is right]


@pytest.mark.parametrize("name", named(right=True))
def test_a_right_function_is_valid(judged, name):
    """By every check: none of them is UNKNOWN. With refunds where its tables allow them."""
    expected = CORPUS[name]
    needs = {*expected.needs, Need.QUANTITY}
    needs |= {Need.REFUNDS} if expected.schema is None else set()
    needs |= {Need.DOUBLE_CALLS} if expected.idempotent else set()
    trial, verdicts = judged(expected, needs)
    assert {each.check: each.summary for each in verdicts.values() if each.status is not Status.VALID} == {}
    purchases = trial.history().query("kind == 'purchase'")
    assert (purchases["outcome"] == Outcome.SOLD).any()
    assert bool(purchases["outcome"].isin(UNANSWERED).mean() <= LIMIT) is expected.progress


@pytest.mark.parametrize("name", named(right=False))
def test_a_wrong_function_is_invalid_by_the_claim_that_it_breaks(judged, name):
    """And by the anomaly that is the name of its mistake."""
    expected = CORPUS[name]
    _, verdicts = judged(expected, expected.needs)
    found = {check: verdicts[check].anomaly for check in expected.breaks if verdicts[check].status is Status.INVALID}
    summaries = {each.check: f"{each.status}: {each.summary}" for each in verdicts.values()}
    assert any(found.get(check) is anomaly for check, anomaly in expected.breaks.items()), summaries


def test_the_corpus_is_as_large_as_it_claims_to_be():
    """Right look-alikes, and mistakes of every kind, each of which says what is wrong with it."""
    assert len(CORPUS) >= 40
    assert len(named(right=True)) >= 14
    assert all(each.right or each.breaks for each in CORPUS.values())
    openings = {each.strategy.summary.partition(":")[0].split(",")[0].split()[0] for each in CORPUS.values()}
    assert openings <= {"Right", "Wrong", "commits"}, openings
