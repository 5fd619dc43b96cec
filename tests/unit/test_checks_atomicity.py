"""Purchases as a whole: not twice, not by halves, and still there after a crash."""

from dataclasses import replace

import pytest

from ticketlab.checks import atomic, durable, exactly_once, judge, sales_in_ledger, tickets_accounted_for
from ticketlab.checks.verdict import Anomaly, Status

VALID, INVALID = Status.VALID, Status.INVALID
TWO_EVENTS = [(0, 5, 4, 2), (1, 5, 3, 2)]


def basket(number=1, quantities=(1, 2), **fields):
    """The rows of a basket of the events 0 and 1."""
    return [
        {"purchase_id": number, "event": event, "line": event, "quantity": quantity} | fields
        for event, quantity in enumerate(quantities)
    ]


def refund(number, quantity=1, **fields):
    """The refund of a purchase."""
    return {"kind": "refund", "outcome": "refunded", "purchase_id": number, "quantity": quantity} | fields


class TestExactlyOnce:
    @pytest.mark.parametrize("outcome", ["sold", "unknown"])
    @pytest.mark.parametrize(
        ("tickets", "status", "anomaly"),
        [
            ([1, 1], VALID, None),
            ([], VALID, None),
            ([1], INVALID, Anomaly.HALF_PURCHASE),
            ([1, 1, 1, 1], INVALID, Anomaly.DOUBLE_SALE),
        ],
        ids=["once", "never", "half", "twice"],
    )
    def test_an_id_owns_its_quantity_or_nothing(self, history, ledger, outcome, tickets, status, anomaly):
        """Two tickets wanted: two or none are right, one is a half, four are bought twice."""
        verdict = exactly_once(history({"quantity": 2, "outcome": outcome}), ledger(total=9, tickets=tickets))
        assert (verdict.status, verdict.anomaly) == (status, anomaly)
        assert [row["tickets"] for row in verdict.evidence] == ([len(tickets)] if status is INVALID else [])

    @pytest.mark.parametrize(("version", "status"), [(None, VALID), (2, VALID), (3, INVALID)])
    def test_a_second_confirmation_with_a_version_of_its_own_is_a_second_sale(self, history, ledger, version, status):
        """Told again without a version, or with that of the first time, nothing was sold again."""
        told = {"purchase_id": 1, "version": 2}, {"purchase_id": 1, "version": version, "buyer": 1}
        verdict = exactly_once(history(*told), ledger(total=5, tickets=[1]))
        assert verdict.status is status
        assert [row["version"] for row in verdict.evidence] == ([2, 3] if status is INVALID else [])

    def test_what_was_given_back_may_be_bought_again(self, history, ledger):
        """Sold, given back, and sold again under one id: two sales, and each is owned once."""
        told = {"purchase_id": 1, "version": 2}, refund(1, version=3), {"purchase_id": 1, "version": 4}
        assert exactly_once(history(*told), ledger(total=5, tickets=[1])).status is VALID

    def test_a_basket_with_the_quantities_of_another_order_is_not_what_was_bought(self, history, ledger):
        """One of event 0 and two of event 1 were wanted, and it is the other way round."""
        books = ledger(events=TWO_EVENTS, tickets=[(0, 1), (0, 1), (1, 1)])
        verdict = exactly_once(history(*basket()), books)
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.DOUBLE_SALE)

    def test_who_is_told_of_an_earlier_purchase_may_have_asked_for_another_number(self, history, ledger):
        """Three wanted this time; the two of the first time are what the id owns."""
        told = {"purchase_id": 1, "quantity": 2}, {"purchase_id": 1, "quantity": 3, "cause": "repeated"}
        assert exactly_once(history(*told), ledger(total=5, tickets=[1, 1])).status is VALID


class TestAtomic:
    def test_a_basket_is_there_whole_or_not_at_all(self, history, ledger):
        """Both of its events, or neither."""
        whole = ledger(events=TWO_EVENTS, tickets=[(0, 1), (1, 1), (1, 1)])
        nothing = ledger(events=[(0, 5, 5, 1), (1, 5, 5, 1)], tickets=[])
        assert atomic(history(*basket(outcome="unknown")), whole).status is VALID
        assert atomic(history(*basket(outcome="unknown")), nothing).status is VALID

    @pytest.mark.parametrize("outcome", ["sold", "unknown", "failed", "conflict"])
    def test_half_a_basket_is_shown_with_both_of_its_events(self, history, ledger, outcome):
        """The event that is missing, and the one that is there."""
        books = ledger(events=[(0, 5, 4, 2), (1, 5, 5, 1)], tickets=[(0, 1)])
        verdict = atomic(history(*basket(outcome=outcome)), books)
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.HALF_PURCHASE)
        assert [(row["event"], row["quantity"], row["tickets"]) for row in verdict.evidence] == [(0, 1, 1), (1, 2, 0)]

    def test_stock_that_went_without_a_ticket_is_half_a_purchase(self, history, ledger):
        """Three of five are said to be left, and only one has a ticket."""
        verdict = atomic(history({}, {"outcome": "unknown"}), ledger(total=5, available=3, tickets=[1]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.HALF_PURCHASE)
        assert verdict.summary == "event 0: 1 seat was taken from the stock without a ticket"

    def test_a_ticket_without_stock_is_not_for_this_check(self, history, ledger):
        """A stock that is too large is a lost update, and another check's."""
        assert atomic(history({}, {}), ledger(total=5, available=4, tickets=[1, 2])).status is VALID


class TestDurable:
    def at(self, books, *crashes_ns):
        return replace(books, crashes_ns=crashes_ns)

    def test_what_was_told_before_the_crash_is_there_after_it(self, history, ledger):
        """Answered at 10, crashed at 10, and in the ledger."""
        verdict = durable(history({"completed_ns": 10}), self.at(ledger(total=5, tickets=[1]), 10))
        assert (verdict.status, verdict.summary) == (
            VALID,
            "the only sale or refund answered before the crash was in the ledger after it",
        )

    def test_a_sale_that_the_crash_undid_is_lost(self, history, ledger):
        """Two were told before the crash, and one is gone: the one told last of those that are."""
        told = {"completed_ns": 5}, {"completed_ns": 7, "buyer": 3}, {"completed_ns": 6, "buyer": 4}
        verdict = durable(history(*told), self.at(ledger(total=5, tickets=[1]), 10))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.LOST_SALE)
        assert verdict.summary.startswith("2 of 3 sales")
        assert [(row["buyer"], row["tickets"]) for row in verdict.evidence] == [(3, 0)]

    def test_it_says_nothing_of_sales_after_the_crash(self, history, ledger):
        """Answered a tick later: whatever it lacks, the crash has not taken it."""
        assert durable(history({"completed_ns": 11}), self.at(ledger(total=5), 10)).status is VALID

    def test_each_crash_counts(self, history, ledger):
        """Told between the first crash and the second one, and gone after that."""
        assert durable(history({"completed_ns": 15}), self.at(ledger(total=5), 10, 20)).status is INVALID

    def test_a_refund_that_the_crash_undid_is_lost_too(self, history, ledger):
        """Given back, told so, and the ticket is there again."""
        told = {"completed_ns": 5}, refund(1, invoked_ns=6, completed_ns=9)
        assert durable(history(*told), self.at(ledger(total=5, tickets=[1]), 10)).status is INVALID
        assert durable(history(*told), self.at(ledger(total=5), 10)).status is VALID

    def test_without_a_crash_nothing_was_tried(self, history, ledger):
        """A sale that is missing is another check's; this one says that there was no crash."""
        verdict = durable(history({}), ledger(total=5))
        assert (verdict.status, verdict.summary) == (VALID, "not tested: the server was not crashed")


class TestRefunds:
    def test_what_was_given_back_need_not_be_there(self, history, ledger):
        """Sold and given back: no ticket, and all stock."""
        told = {"version": 2, "available": 4}, refund(1, version=3, available=5, invoked_ns=2 * 10**6)
        books = ledger(total=5, available=5, version=3)
        assert {each.status for each in judge(history(*told), books)} == {VALID}

    def test_what_was_given_back_must_be_gone(self, history, ledger):
        """Its ticket is still there."""
        told = {"version": 2, "available": 4}, refund(1, version=3, available=5, invoked_ns=2 * 10**6)
        verdict = tickets_accounted_for(history(*told), ledger(total=5, available=5, version=3, tickets=[1]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.PHANTOM_SALE)
        assert [row["kind"] for row in verdict.evidence] == ["purchase", "refund"]

    @pytest.mark.parametrize(("tickets", "status"), [([], VALID), ([1, 1], VALID), ([1], INVALID)])
    def test_a_refund_of_unknown_outcome_was_made_or_not(self, history, ledger, tickets, status):
        """All tickets or none; one of two is half a refund."""
        told = {"quantity": 2}, refund(1, quantity=2, outcome="unknown", invoked_ns=2 * 10**6)
        books = ledger(total=5, available=5 - len(tickets), tickets=tickets)
        assert sales_in_ledger(history(*told), books).status is VALID
        assert exactly_once(history(*told), books).status is status
        assert atomic(history(*told), books).status is status
