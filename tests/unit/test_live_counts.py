"""What is counted while buyers buy."""

import pytest

from ticketlab.history.recording import LiveCounter, LiveCounts, Recorder, collect
from ticketlab.outcomes import Cause, Kind, Outcome


def record(recorder, *, invoked_ns, outcome=Outcome.SOLD, quantity=1, line=0, cause=Cause.NONE, **how):
    recorder.record(
        event=line, line=line, quantity=quantity, purchase_id=bytes(16), scheduled_ns=invoked_ns,
        invoked_ns=invoked_ns, completed_ns=invoked_ns + 1, outcome=outcome, cause=cause, retries=(),
        version=None, available=None, **how,
    )  # fmt: skip


@pytest.fixture
def buyers():
    return [Recorder(buyer) for buyer in range(3)]


def test_nothing_recorded_is_nothing_counted(buyers):
    """Before the first purchase there is nothing but the time."""
    assert LiveCounter(buyers).read(1.5) == LiveCounts(seconds=1.5, outcomes={}, tickets=0)


def test_each_purchase_is_counted_once_however_often_it_is_looked(buyers):
    """A second reading adds only what is new since the first."""
    tally = LiveCounter(buyers)
    record(buyers[0], invoked_ns=1, quantity=3)
    record(buyers[2], invoked_ns=1, outcome=Outcome.SOLD_OUT, quantity=4)
    assert tally.read(0.1).outcomes == {Outcome.SOLD: 1, Outcome.SOLD_OUT: 1}
    assert tally.read(0.2).outcomes == {Outcome.SOLD: 1, Outcome.SOLD_OUT: 1}
    record(buyers[0], invoked_ns=2, quantity=2)
    record(buyers[1], invoked_ns=2, outcome=Outcome.CONFLICT)
    so_far = tally.read(0.3)
    assert so_far.outcomes == {Outcome.SOLD: 2, Outcome.SOLD_OUT: 1, Outcome.CONFLICT: 1}
    assert (so_far.tickets, so_far.purchases) == (5, 4)


def test_a_basket_is_one_purchase_and_all_its_tickets(buyers):
    """Its lines are counted as one, also where it was looked between two of them."""
    tally = LiveCounter(buyers)
    record(buyers[0], invoked_ns=7, quantity=1)
    record(buyers[0], invoked_ns=9, quantity=2)
    record(buyers[0], invoked_ns=9, quantity=3, line=1)
    assert tally.read(0.1) == LiveCounts(seconds=0.1, outcomes={Outcome.SOLD: 2}, tickets=6)
    record(buyers[0], invoked_ns=9, quantity=4, line=2)
    record(buyers[1], invoked_ns=9, quantity=5)
    assert tally.read(0.2) == LiveCounts(seconds=0.2, outcomes={Outcome.SOLD: 3}, tickets=15)


def test_what_was_given_back_is_no_purchase_and_owned_no_more(buyers):
    """Refunds have counts of their own, failed ones too; a repeated one gives nothing back a second time."""
    tally = LiveCounter(buyers)
    refund = {"kind": Kind.REFUND, "quantity": 3}
    record(buyers[0], invoked_ns=1, quantity=3)
    record(buyers[0], invoked_ns=2, outcome=Outcome.REFUNDED, **refund)
    record(buyers[0], invoked_ns=3, outcome=Outcome.REFUNDED, cause=Cause.REPEATED, **refund)
    record(buyers[1], invoked_ns=1, quantity=2)
    record(buyers[1], invoked_ns=2, outcome=Outcome.FAILED, **refund)
    record(buyers[1], invoked_ns=3, outcome=Outcome.FAILED)
    so_far = tally.read(0.1)
    assert so_far.outcomes == {Outcome.SOLD: 2, Outcome.FAILED: 1}
    assert so_far.refunds == {Outcome.REFUNDED: 2, Outcome.FAILED: 1}
    assert (so_far.purchases, so_far.tickets) == (3, 2)


def test_a_call_that_tells_nothing_new_is_not_counted(buyers):
    """A sale that was told before, a refusal of a second call: rows of the history, but no purchases."""
    record(buyers[0], invoked_ns=1, quantity=3)
    record(buyers[1], invoked_ns=2, quantity=3, again=True)
    record(buyers[1], invoked_ns=2, quantity=2, line=1, again=True)
    record(buyers[2], invoked_ns=3, outcome=Outcome.FAILED, cause=Cause.REPEATED, again=True)
    so_far = LiveCounter(buyers).read(0.1)
    assert (so_far.outcomes, so_far.tickets) == ({Outcome.SOLD: 1}, 3)
    assert [len(each) for each in buyers] == [1, 0, 0]
    told = collect(buyers, start_ns=0)
    assert told["outcome"].tolist() == [Outcome.SOLD, Outcome.SOLD, Outcome.SOLD, Outcome.FAILED]
    assert set(told["kind"]) == {Kind.PURCHASE}


def test_a_refund_of_a_basket_is_one_and_returns_all_its_tickets(buyers):
    """Its lines are counted as one, also where it was looked between two of them."""
    tally = LiveCounter(buyers)
    for line, quantity in enumerate((3, 4)):
        record(buyers[0], invoked_ns=1, quantity=quantity, line=line)
    record(buyers[0], invoked_ns=2, quantity=3, outcome=Outcome.REFUNDED, kind=Kind.REFUND)
    assert tally.read(0.1).tickets == 4
    record(buyers[0], invoked_ns=2, quantity=4, line=1, outcome=Outcome.REFUNDED, kind=Kind.REFUND)
    so_far = tally.read(0.2)
    assert (so_far.tickets, so_far.purchases, so_far.refunds) == (0, 1, {Outcome.REFUNDED: 1})
