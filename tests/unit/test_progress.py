"""Progress: the share of purchases that fail while seats are left, from literal histories."""

import math
from dataclasses import replace

import pytest

from ticketlab.checks.side_effects import ProgressCount, progress
from ticketlab.history.index import IndexedHistory

S = 1_000_000_000


@pytest.fixture
def counted(history, ledger):
    """The failures and the sales of these operations, with so many seats (10 unless said otherwise)."""

    def count(*operations, total=10, tickets=(), events=None, crashes_ns=(), faults_ns=()):
        books = replace(ledger(total=total, tickets=tickets, events=events), crashes_ns=crashes_ns)
        found = progress(IndexedHistory(history(*operations), books), faults_ns=faults_ns)
        return found.failed, found.sold

    return count


@pytest.mark.parametrize("outcome", ["failed", "conflict", "unavailable", "unknown"])
def test_a_purchase_that_fails_while_seats_are_left_counts(counted, outcome):
    """Rolled back, given up after conflicts, without a connection, without an answer: the buyer has no ticket."""
    assert counted({}, {"outcome": outcome}) == (1, 1)


def test_sales_refusals_and_failed_refunds_are_no_failures(counted):
    """A refusal is an answer, and a refund is no purchase."""
    assert counted({}, {"outcome": "sold_out"}, {"kind": "refund", "outcome": "failed"}) == (0, 1)


@pytest.mark.parametrize(
    ("ends_ns", "failed"),
    [(4 * S, 1), (5 * S, 0), (6 * S, 0)],
    ids=["before the last sale", "at the last sale", "after the last sale"],
)
def test_a_purchase_counts_only_until_the_last_seat_is_sold(counted, ends_ns, failed):
    """One seat, sold after five seconds: what ends then found no seat."""
    sale, failure = {"completed_ns": 5 * S}, {"outcome": "conflict", "completed_ns": ends_ns}
    assert counted(sale, failure, total=1) == (failed, 1)


def test_fewer_seats_than_the_purchase_asks_for_are_no_seats(counted):
    """Two of three seats are left after the sale: enough for two, too few for three."""
    later = {"outcome": "conflict", "invoked_ns": S, "completed_ns": 2 * S}
    assert counted({}, later | {"quantity": 2}, later | {"quantity": 3}, total=3) == (1, 1)


def test_the_seats_of_another_event_do_not_count(counted):
    """Event 0 is sold out, event 1 is not."""
    sale, later = {"event": 0}, {"outcome": "conflict", "invoked_ns": S, "completed_ns": 2 * S}
    events = [(0, 1, 0, 2), (1, 1, 1, 1)]
    assert counted(sale, later | {"event": 0}, later | {"event": 1}, events=events) == (1, 1)


def test_a_basket_counts_once_and_only_where_every_event_has_seats(counted):
    """Two lines are one purchase; one event without seats is enough to excuse it."""
    line = {"outcome": "conflict", "purchase_id": 2, "invoked_ns": S, "completed_ns": 2 * S}
    basket = line | {"event": 0}, line | {"event": 1, "line": 1}
    assert counted({}, *basket, events=[(0, 2, 1, 2), (1, 1, 1, 1)]) == (1, 1)
    assert counted({}, *basket, events=[(0, 1, 0, 2), (1, 1, 1, 1)]) == (0, 1)


def test_seats_that_are_given_back_count_from_the_call_of_the_refund(counted):
    """The only seat is sold, given back at 3 s, and free when the last purchase fails."""
    refund = {"kind": "refund", "outcome": "refunded", "purchase_id": 1, "invoked_ns": 3 * S, "completed_ns": 9 * S}
    sold_out = {"outcome": "conflict", "invoked_ns": S, "completed_ns": 2 * S}
    free = {"outcome": "conflict", "invoked_ns": 3 * S, "completed_ns": 4 * S}
    assert counted({}, refund, sold_out, total=1) == (0, 1)
    assert counted({}, refund, free, total=1) == (1, 1)


def test_a_lost_answer_whose_tickets_are_there_took_its_seats(counted):
    """The unknown purchase is a failure of its own; the one after it found no seat."""
    lost = {"outcome": "unknown", "completed_ns": S}
    later = {"outcome": "conflict", "invoked_ns": 2 * S, "completed_ns": 3 * S}
    assert counted(lost, later, total=1, tickets=[1]) == (0, 0)
    assert counted(lost, later, total=2, tickets=[1]) == (2, 0)


def test_another_call_of_an_id_that_was_sold_does_not_count(counted):
    """The second call of a purchase id may fail, whether it says that the id bought before or not."""
    assert counted({"purchase_id": 7}, {"purchase_id": 7, "outcome": "conflict"}) == (0, 1)
    assert counted({"outcome": "failed", "cause": "repeated"}) == (0, 0)


def test_a_purchase_under_way_at_a_fault_does_not_count(counted):
    """Both ends belong to it; one that ended before or began later is the strategy's own."""
    times = [(S, 3 * S), (3 * S, 4 * S), (2 * S, 2 * S), (4 * S, 4 * S)]
    failures = [{"outcome": "conflict", "invoked_ns": begin, "completed_ns": end} for begin, end in times]
    assert counted(*failures, faults_ns=(3 * S,)) == (2, 0)


def test_a_connection_lost_within_a_second_of_a_fault_does_not_count(counted):
    """Another cause counts at the same time, and a lost connection counts later: nobody opened a new one."""
    later = {"outcome": "failed", "invoked_ns": 4 * S - S // 2, "completed_ns": 4 * S}
    much_later = {"outcome": "failed", "cause": "connection", "invoked_ns": 5 * S, "completed_ns": 5 * S}
    faults = {"faults_ns": (3 * S,)}
    assert counted(later | {"cause": "connection"}, **faults) == (0, 0)
    assert counted(later | {"cause": "transaction"}, **faults) == (1, 0)
    assert counted(much_later, **faults) == (1, 0)


def test_nothing_counts_until_a_crashed_server_answers_again(counted):
    """The server is dead at 2 s, and the first purchase that was called later is answered at 4 s."""
    answered = {"outcome": "sold_out", "invoked_ns": 3 * S, "completed_ns": 4 * S}
    down = {"outcome": "unavailable", "invoked_ns": 3 * S, "completed_ns": 3 * S}
    up = {"outcome": "unavailable", "invoked_ns": 4 * S + 1, "completed_ns": 5 * S}
    assert counted(answered, down, crashes_ns=(2 * S,)) == (0, 0)
    assert counted(answered, up, crashes_ns=(2 * S,)) == (1, 0)


def test_who_never_connects_again_after_a_crash_fails(counted):
    """A server that was restarted is not down for long: three seconds after the crash every failure counts."""
    failures = [{"outcome": "failed", "invoked_ns": at * S, "completed_ns": at * S} for at in (3, 4, 6, 7)]
    assert counted(*failures, crashes_ns=(2 * S,)) == (2, 0)


def test_an_answer_that_was_on_its_way_does_not_end_the_outage(counted):
    """Called before the crash, and told after it: the server was down all the same."""
    on_its_way = {"invoked_ns": S, "completed_ns": 2 * S + 1}
    down = {"outcome": "unavailable", "invoked_ns": 3 * S, "completed_ns": 3 * S}
    assert counted(on_its_way, down, crashes_ns=(2 * S,)) == (0, 1)


@pytest.mark.parametrize(
    ("failed", "sold", "verdict"),
    [(0, 100, "PROGRESS"), (5, 95, "PROGRESS"), (6, 94, "NO PROGRESS"), (1, 0, "NO PROGRESS"), (0, 0, "NOT TRIED")],
)
def test_more_than_five_of_a_hundred_are_too_many(failed, sold, verdict):
    """The limit itself is allowed; where no purchase found seats nothing was tried."""
    assert ProgressCount(failed=failed, sold=sold).verdict == verdict


def test_the_limit_can_be_another():
    """As the experiment says."""
    assert ProgressCount(failed=6, sold=94, limit=0.1).verdict == "PROGRESS"
    assert ProgressCount(failed=1, sold=999, limit=0).verdict == "NO PROGRESS"


def test_progress_as_plain_data():
    """JSON knows no NaN: without a purchase that found seats there is no share."""
    assert ProgressCount(failed=1_826, sold=206).as_dict() == {
        "share": 1_826 / 2_032, "failed": 1_826, "sold": 206, "limit": 0.05, "verdict": "NO PROGRESS",
    }  # fmt: skip
    nothing = ProgressCount(failed=0, sold=0)
    assert math.isnan(nothing.share)
    assert nothing.as_dict()["share"] is None


def test_an_empty_history_is_not_tried(history, ledger):
    """No purchase, no crash, no failure."""
    assert progress(IndexedHistory(history(), ledger(total=3))).verdict == "NOT TRIED"
