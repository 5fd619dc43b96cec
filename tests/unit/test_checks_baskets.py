"""The checks where a purchase has several rows, where an id was told of again, where no version was seen, and locks."""

from uuid import UUID

import pytest

from ticketlab.checks import (
    CHECKS,
    judge,
    no_deadlock,
    no_false_sold_out,
    no_oversell,
    sales_in_ledger,
    tickets_accounted_for,
)
from ticketlab.checks.verdict import Status
from ticketlab.history.index import IndexedHistory
from ticketlab.outcomes import NOT_SEEN

VALID, INVALID = Status.VALID, Status.INVALID
TWO_EVENTS = [(0, 5, 5, 1), (1, 5, 5, 1)]


def basket(number=1, quantities=(1, 2), **fields):
    """The rows of a basket of the events 0 and 1."""
    return [
        {"purchase_id": number, "event": event, "line": event, "quantity": quantity} | fields
        for event, quantity in enumerate(quantities)
    ]


class TestBaskets:
    @pytest.mark.parametrize(
        ("tickets", "status"),
        [
            ([(0, 1), (1, 1), (1, 1)], VALID),
            ([(0, 1)], INVALID),
            ([(0, 1), (1, 1)], INVALID),
            ([(0, 1), (0, 1), (1, 1)], INVALID),
        ],
        ids=["whole", "one event", "a ticket short", "quantities swapped"],
    )
    def test_a_sold_basket_is_in_the_ledger_with_each_of_its_quantities(self, history, ledger, tickets, status):
        """One ticket of the first event and two of the second, and nothing else will do."""
        verdict = sales_in_ledger(history(*basket()), ledger(events=TWO_EVENTS, tickets=tickets))
        assert verdict.status is status

    def test_sales_are_counted_as_baskets(self, history, ledger):
        """A basket that is missing with both of its events is one sale of two."""
        operations = *basket(1), *basket(2)
        verdict = sales_in_ledger(history(*operations), ledger(events=TWO_EVENTS, tickets=[(0, 1), (1, 1), (1, 1)]))
        assert verdict.summary == "1 of 2 sales is not in the ledger as answered"
        assert [row["event"] for row in verdict.evidence] == [0, 1]

    @pytest.mark.parametrize(
        ("tickets", "status"),
        [
            ([], VALID),
            ([(0, 1), (1, 1), (1, 1)], VALID),
            ([(0, 1)], INVALID),
            ([(1, 1), (1, 1)], INVALID),
            ([(0, 1), (1, 1)], INVALID),
        ],
        ids=["nothing", "whole", "first event only", "second event only", "a ticket short"],
    )
    def test_an_unknown_basket_is_there_with_all_its_events_or_with_none(self, history, ledger, tickets, status):
        """A basket of which one event is missing is there in part, though what is there has its quantity."""
        books = ledger(events=TWO_EVENTS, tickets=tickets)
        verdict = tickets_accounted_for(history(*basket(outcome="unknown")), books)
        assert verdict.status is status
        if status is INVALID:
            assert verdict.summary == "1 purchase of unknown outcome is partial"

    def test_the_event_that_is_missing_is_the_evidence(self, history, ledger):
        """Its row says that it has no tickets."""
        books = ledger(events=TWO_EVENTS, tickets=[(0, 1)])
        verdict = tickets_accounted_for(history(*basket(outcome="unknown")), books)
        shown = [(row["event"], row["purchase_id"], row["tickets"]) for row in verdict.evidence]
        assert shown == [(1, str(UUID(int=1)), 0)]

    def test_one_unknown_basket_does_not_make_up_for_another(self, history, ledger):
        """Two halves of two baskets are not one that is whole."""
        operations = *basket(1, outcome="unknown"), *basket(2, outcome="unknown")
        books = ledger(events=TWO_EVENTS, tickets=[(0, 1), (1, 2), (1, 2)])
        assert "2 purchases" in tickets_accounted_for(history(*operations), books).summary

    def test_a_refused_basket_must_hold_nothing_of_any_event(self, history, ledger):
        """Refused for the second event, but the tickets of the first one were taken."""
        operations = {"event": 1, "outcome": "sold_out"}
        books = ledger(events=TWO_EVENTS, tickets=[(0, 1)])
        assert tickets_accounted_for(history(operations), books).status is INVALID

    def test_a_basket_refused_for_one_event_says_nothing_of_the_other(self, history, ledger):
        """Five seats of event 0 are free, but event 1 had none: the refusal was right."""
        operations = {"purchase_id": 9, "event": 1}, {"event": 1, "line": 0, "outcome": "sold_out"}
        books = ledger(events=[(0, 5, 5, 1), (1, 1, 0, 2)], tickets=[(1, 9)])
        assert no_false_sold_out(history(*operations), books).status is VALID

    def test_a_basket_refused_for_an_event_with_seats_is_false(self, history, ledger):
        """Of two events that it says refused it one had seats: one refusal, and that event is the evidence."""
        operations = {"purchase_id": 9, "event": 0}, *basket(outcome="sold_out")
        books = ledger(events=[(0, 1, 0, 2), (1, 5, 5, 1)], tickets=[(0, 9)])
        verdict = no_false_sold_out(history(*operations), books)
        assert "1 of 1 refusal as sold out was false; 5 seats stayed unsold" in verdict.summary
        assert [(row["event"], row["free"]) for row in verdict.evidence] == [(1, 5)]

    def test_a_basket_sold_later_had_its_seats_before(self, history, ledger):
        """The tickets of a later basket were free in each of its events when another buyer was refused."""
        operations = (
            {"event": 1, "outcome": "sold_out", "quantity": 2, "invoked_ns": 5, "completed_ns": 10},
            *basket(2, invoked_ns=11, completed_ns=20),
        )
        books = ledger(events=[(0, 1, 0, 2), (1, 2, 0, 2)], tickets=[(0, 2), (1, 2), (1, 2)])
        assert no_false_sold_out(history(*operations), books).status is INVALID


class TestToldAgain:
    @pytest.mark.parametrize(
        ("tickets", "status"),
        [([1, 1], VALID), ([1], INVALID), ([1, 1, 1], INVALID), ([], INVALID)],
        ids=["as many", "fewer", "more", "none"],
    )
    def test_an_answer_that_reports_an_earlier_call_is_judged_as_a_sale_where_there_is_no_other(
        self, history, ledger, tickets, status
    ):
        """The buyer asked for two, and no other call of the id can have bought them."""
        operations = {"quantity": 2, "cause": "repeated"}
        assert sales_in_ledger(history(operations), ledger(total=9, tickets=tickets)).status is status

    def test_a_repeated_call_must_not_be_told_of_another_event(self, history, ledger):
        """The tickets are those of the first call, and belong to it; without that call nothing accounts for them."""
        again = {"purchase_id": 1, "event": 0, "cause": "repeated"}
        operations = history({"purchase_id": 1, "event": 1, "quantity": 2}, again)
        books = ledger(events=TWO_EVENTS, tickets=[(1, 1), (1, 1)])
        verdict = sales_in_ledger(operations, books)
        assert [(row["event"], row["cause"]) for row in verdict.evidence] == [(0, "repeated")]
        assert verdict.status is INVALID
        assert tickets_accounted_for(operations, books).status is VALID
        assert tickets_accounted_for(history(again), books).status is INVALID

    def test_the_first_call_is_held_to_its_word(self, history, ledger):
        """Told of two, then told again: one in the ledger is too few for the first of both."""
        operations = {"purchase_id": 1, "quantity": 2, "buyer": 3}, {"purchase_id": 1, "cause": "repeated"}
        verdict = sales_in_ledger(history(*operations), ledger(total=9, tickets=[1]))
        assert [row["buyer"] for row in verdict.evidence] == [3]


class TestNoDeadlock:
    def test_without_a_deadlock_all_is_right(self, history, ledger):
        """Retries for other causes are none of its business."""
        operations = {}, {"attempts": 3, "retries_lock_timeout": 1, "retries_stale_version": 1, "cause": "lock_timeout"}
        verdict = no_deadlock(history(*operations), ledger())
        assert (verdict.status, verdict.summary) == (VALID, "none of 2 purchases met a deadlock")

    @pytest.mark.parametrize(
        "met",
        [
            {"cause": "deadlock", "attempts": 2, "retries_deadlock": 1},
            {"cause": "stale_version", "attempts": 3, "retries_deadlock": 1, "retries_stale_version": 1},
            {"cause": "deadlock", "outcome": "conflict"},
            {"cause": "insufficient", "outcome": "sold_out", "attempts": 2, "retries_deadlock": 1},
        ],
        ids=["cured", "cured, then another", "given up at once", "then sold out"],
    )
    def test_a_deadlock_is_found_though_another_try_cured_it(self, history, ledger, met):
        """Whatever became of the purchase in the end."""
        verdict = no_deadlock(history({}, met | {"buyer": 7}, {}), ledger())
        assert (verdict.status, verdict.summary) == (INVALID, "1 of 3 purchases met a deadlock")
        assert [row["buyer"] for row in verdict.evidence] == [7]

    def test_a_basket_meets_it_once(self, history, ledger):
        """Its rows all say so, and are one purchase."""
        operations = *basket(1, retries_deadlock=1), *basket(2)
        assert no_deadlock(history(*operations), ledger()).summary == "1 of 2 purchases met a deadlock"

    def test_it_is_one_of_the_checks(self, history, ledger):
        """A trial that met a deadlock is found invalid by it alone."""
        operations = {"version": 2, "cause": "deadlock", "retries_deadlock": 1}
        verdicts = judge(history(operations), ledger(total=1, available=0, version=2, tickets=[1]))
        assert [each.check for each in verdicts if each.status is INVALID] == ["no_deadlock"]
        assert no_deadlock in CHECKS


class TestWithoutVersions:
    def test_sales_without_a_version_are_counted_and_said(self, history, ledger):
        """The count of tickets is decided, the order of the sales is not."""
        sales = history({"version": 2}, {}, {}, {"cause": "repeated", "purchase_id": 1}, {"outcome": "conflict"})
        books = ledger(total=3, available=0, tickets=[1, 2, 3])
        verdict = no_oversell(sales, books)
        assert verdict.status is VALID
        assert verdict.summary.endswith("; 2 sales carry no version, so the order is not decided")
        assert IndexedHistory(sales, books).sales_without_version == 2

    def test_where_every_sale_has_its_version_nothing_is_said(self, history, ledger):
        """The usual case."""
        verdict = no_oversell(history({"version": 2}), ledger(total=1, available=0, tickets=[1]))
        assert verdict.summary == "1 ticket for 1 seat, and the stock agrees"

    def test_a_stock_that_is_not_told_agrees_with_nothing(self, history, ledger):
        """Of a ledger made by others the seats are judged, and the sentence claims no more than that."""
        verdict = no_oversell(history({"version": 2}), ledger(total=1, available=NOT_SEEN, tickets=[1]))
        assert verdict.status is VALID
        assert verdict.summary == "1 ticket for 1 seat, and not every stock is known"

    def test_an_oversell_without_versions_is_shown_in_the_order_it_was_told(self, history, ledger):
        """One who was told last is beyond the last seat; a version that only some carry does not order them."""
        operations = (
            {"completed_ns": 30, "buyer": 1},
            {"completed_ns": 10, "buyer": 2, "version": 9},
            {"completed_ns": 20, "buyer": 3},
        )
        verdict = no_oversell(history(*operations), ledger(total=2, available=0, tickets=[1, 2, 3]))
        assert [row["buyer"] for row in verdict.evidence] == [1]
        assert "2 sales carry no version" in verdict.summary

    def test_another_event_keeps_the_order_of_its_versions(self, history, ledger):
        """What one event lacks does not disorder the other."""
        operations = (
            {"event": 0, "completed_ns": 10, "buyer": 1},
            {"event": 1, "completed_ns": 20, "buyer": 2, "version": 2},
            {"event": 1, "completed_ns": 10, "buyer": 3, "version": 3},
        )
        books = ledger(events=[(0, 1, 0, 2), (1, 1, 0, 3)], tickets=[(0, 1), (1, 2), (1, 3)])
        assert [row["buyer"] for row in no_oversell(history(*operations), books).evidence] == [3]

    def test_who_was_told_again_is_not_the_one_too_many(self, history, ledger):
        """His tickets were counted when they were sold."""
        operations = (
            {"purchase_id": 1, "version": 2},
            {"purchase_id": 1, "cause": "repeated"},
            {"purchase_id": 2, "version": 3, "buyer": 5},
        )
        verdict = no_oversell(history(*operations), ledger(total=1, available=0, tickets=[1, 2]))
        assert [row["buyer"] for row in verdict.evidence] == [5]


def test_evidence_leaves_out_what_says_nothing(history, ledger):
    """Retries that there were none of, and the lines of what was no basket, are not shown."""
    verdict = no_deadlock(history({"retries_deadlock": 2, "attempts": 3}), ledger())
    assert {"retries_deadlock", "attempts"} <= set(verdict.evidence[0])
    assert not {"line", "retries_stale_version"} & set(verdict.evidence[0])
