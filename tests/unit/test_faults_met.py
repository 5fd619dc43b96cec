"""What a fault met is counted from literal histories: operations under way that it left without an answer."""

import pytest

from ticketlab.history.measures import Met, Span, met

INSTANT = Span(500, 500)
LOST = {"outcome": "unknown", "cause": "connection"}
ROLLED_BACK = {"outcome": "failed", "cause": "connection"}


def at(invoked_ns, completed_ns, **operation):
    return {"invoked_ns": invoked_ns, "completed_ns": completed_ns} | operation


def counted(history, ledger, *operations, tickets=(), fault=INSTANT):
    (found,) = met(history(*operations), ledger(total=9, tickets=tickets), [fault])
    return found


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        ("unknown", "connection"),
        ("unknown", "none"),
        ("failed", "connection"),
        ("unavailable", "connection"),
        ("conflict", "connection"),
    ],
)
def test_a_purchase_under_way_that_was_lost_is_met(history, ledger, outcome, cause):
    """Whatever its buyer was told, as long as it was no answer."""
    assert counted(history, ledger, at(400, 600, outcome=outcome, cause=cause)) == Met(purchases=1)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        ("sold", "none"),
        ("sold_out", "insufficient"),
        ("failed", "constraint"),
        ("conflict", "deadlock"),
        ("unavailable", "pool_timeout"),
    ],
)
def test_a_purchase_that_was_answered_or_failed_by_itself_is_not_met(history, ledger, outcome, cause):
    """It was under way, and the fault did nothing to it."""
    assert counted(history, ledger, at(400, 600, outcome=outcome, cause=cause), tickets=[1]) == Met()


@pytest.mark.parametrize(("times", "count"), [((400, 499), 0), ((400, 500), 1), ((500, 600), 1), ((501, 600), 0)])
def test_only_what_was_under_way_at_the_instant_is_met(history, ledger, times, count):
    """Both ends of a call belong to it."""
    assert counted(history, ledger, at(*times, **LOST)).purchases == count


@pytest.mark.parametrize(("times", "count"), [((0, 499), 0), ((550, 560), 1), ((600, 700), 1), ((601, 700), 0)])
def test_a_fault_that_takes_time_meets_what_was_under_way_in_between(history, ledger, times, count):
    """A purchase may begin while the server is down, or take a connection that has just been broken."""
    assert counted(history, ledger, at(*times, **LOST), fault=Span(500, 600)).purchases == count


def test_a_lost_purchase_that_owns_tickets_had_committed(history, ledger):
    """Of three that are unknown two own tickets; one that failed owns some too, and was not said to be unknown."""
    operations = [at(400, 600, **LOST), at(400, 600, **LOST), at(400, 600, **LOST), at(400, 600, **ROLLED_BACK)]
    assert counted(history, ledger, *operations, tickets=[1, 1, 3, 4]) == Met(purchases=4, committed=2)


def test_a_lost_purchase_that_was_given_back_had_committed(history, ledger):
    """It owns nothing any more; a refund that found nothing to give back shows nothing."""
    back = {"kind": "refund", "outcome": "refunded"}
    operations = [
        at(400, 600, **LOST),
        at(400, 600, **LOST),
        at(700, 800, purchase_id=1, **back),
        at(700, 800, purchase_id=2, cause="repeated", **back),
    ]
    assert counted(history, ledger, *operations) == Met(purchases=2, committed=1)


def test_a_lost_purchase_that_another_call_sold_is_not_said_to_have_committed(history, ledger):
    """Two calls of one id: the tickets are those of the call that was answered. An answer of before says nothing."""
    operations = [at(400, 600, **LOST), at(100, 200, purchase_id=1)]
    assert counted(history, ledger, *operations, tickets=[1]) == Met(purchases=1)
    operations = [at(400, 600, **LOST), at(700, 800, purchase_id=1, cause="repeated")]
    assert counted(history, ledger, *operations, tickets=[1]) == Met(purchases=1, committed=1)


def test_a_lost_refund_was_made_if_the_id_owns_nothing_any_more(history, ledger):
    """Of two one was made; a third one failed."""
    asked = {"kind": "refund"}
    operations = [
        at(0, 100),
        at(0, 100),
        at(0, 100),
        at(400, 600, purchase_id=1, **asked, **LOST),
        at(400, 600, purchase_id=2, **asked, **LOST),
        at(400, 600, purchase_id=3, **asked, **ROLLED_BACK),
    ]
    assert counted(history, ledger, *operations, tickets=[2, 3]) == Met(refunds=3, refunded=1)


def test_a_basket_counts_once(history, ledger):
    """Its rows are lines of one purchase."""
    lines = [at(400, 600, purchase_id=1, line=line, **LOST) for line in range(3)]
    assert counted(history, ledger, *lines, tickets=[1, 1, 1]) == Met(purchases=1, committed=1)


def test_each_fault_has_its_own_count(history, ledger):
    """Two that are apart, and a third one that met nothing."""
    made = history(at(0, 100, **LOST), at(0, 100, **LOST), at(400, 600, **LOST))
    found = met(made, ledger(total=9, tickets=[3]), [Span(50, 50), INSTANT, Span(300, 310)])
    assert found == (Met(purchases=2), Met(purchases=1, committed=1), Met())
    assert met(made, ledger(), []) == ()


def test_counts_add_up():
    """Of all trials of a run."""
    assert Met(purchases=2, committed=1) + Met(purchases=3, refunds=1, refunded=1) == Met(
        purchases=5, committed=1, refunds=1, refunded=1
    )
