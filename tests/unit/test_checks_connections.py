"""What a purchase function leaves behind, and deadlocks that it swallows, as the lab saw them from outside."""

import pytest

from ticketlab.checks import judge, leaves_connection_clean, no_deadlock
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.ledger import Facts
from ticketlab.report.explain import story_of

OPEN = "a transaction was left open on the connection"
LOCK = "a session advisory lock was left on the connection"


@pytest.fixture
def seen(history, ledger):
    """The verdict of a check on one purchase, of which the lab knows these facts."""

    def judged(check, *operations, **facts):
        books = ledger(total=1, available=0, version=2, tickets=[1])
        return check(history(*(operations or [{}])), books.knowing(Facts(seats=(1,), **facts)))

    return judged


def test_nothing_left_behind_is_valid(seen):
    verdict = seen(leaves_connection_clean)
    assert verdict.status is Status.VALID
    assert verdict.summary == "every connection was returned clean, and nothing was left in the server"


def test_what_was_left_is_invalid_and_says_what_and_how_often(seen):
    verdict = seen(leaves_connection_clean, left_behind={OPEN: 1_212, LOCK: 1})
    assert (verdict.status, verdict.anomaly) == (Status.INVALID, Anomaly.UNCLEAN_CONNECTION)
    assert verdict.summary == f"1,212 times {OPEN}; once {LOCK}"
    assert list(verdict.evidence) == [{"left_behind": OPEN, "times": 1_212}, {"left_behind": LOCK, "times": 1}]


def test_what_was_left_is_invalid_though_it_kept_every_purchase_from_being_answered(history, ledger):
    found = judge(
        history({"outcome": "failed"}), ledger(total=1, available=1).knowing(Facts(seats=(1,), left_behind={LOCK: 1}))
    )
    statuses = {each.check: each.status for each in found}
    assert statuses.pop("leaves_connection_clean") is Status.INVALID
    assert set(statuses.values()) == {Status.UNKNOWN}


def test_a_history_from_a_file_was_not_looked_at(history, ledger):
    verdict = leaves_connection_clean(history({}), ledger(total=1, available=0, version=2, tickets=[1]))
    assert (verdict.status, verdict.summary.partition(":")[0]) == (Status.VALID, "not checked")


def test_the_story_says_what_was_left(seen):
    verdict = seen(leaves_connection_clean, left_behind={OPEN: 12})
    story = story_of(verdict)
    assert story.short == OPEN
    assert story.why.startswith(f"12 times {OPEN}. The next purchase on this connection inherits it")


@pytest.mark.parametrize("counted", [None, 0])
def test_no_deadlock_counted_is_valid(seen, counted):
    assert seen(no_deadlock, deadlocks=counted).status is Status.VALID


@pytest.mark.parametrize(("counted", "words"), [(926, "926 deadlocks"), (1, "1 deadlock")])
def test_deadlocks_that_no_answer_reports_are_invalid(seen, counted, words):
    verdict = seen(no_deadlock, deadlocks=counted)
    assert (verdict.status, verdict.anomaly) == (Status.INVALID, Anomaly.DEADLOCK)
    assert verdict.summary == f"the server counted {words} that no answer reports: the error was swallowed"


def test_a_deadlock_that_an_answer_reports_is_shown_with_its_operation(seen):
    verdict = seen(no_deadlock, {"retries_deadlock": 1, "attempts": 2}, deadlocks=1)
    assert verdict.summary == "1 of 1 purchase met a deadlock"
    assert len(verdict.evidence) == 1
