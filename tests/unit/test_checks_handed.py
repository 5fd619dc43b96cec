"""The tickets in an answer are those of its purchase: the claim, with literal histories and ledgers."""

from uuid import UUID

import numpy as np
import pytest

from ticketlab.checks import answers_match_tickets
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.history.ids import digest

ONE, TWO = 1, 2
"""Numbers of purchases; the literal history gives them in this order."""


def carrying(*tickets, **fields):
    """A sale whose answer carries these tickets, by their numbers."""
    numbers = {"handed": len(tickets), "handed_digest": int(np.uint64(digest(tickets)).astype(np.int64))}
    return {"quantity": len(tickets)} | numbers | fields


def owning(**tickets):
    """Tickets of event 0 in the ledger: of each purchase their numbers."""
    return [(0, {"one": ONE, "two": TWO}[owner], number) for owner, numbers in tickets.items() for number in numbers]


class TestValid:
    def test_each_answer_carries_the_tickets_of_its_purchase(self, history, ledger):
        """In whatever order they come."""
        told = history(carrying(11, 12), carrying(22, 21))
        found = answers_match_tickets(told, ledger(tickets=owning(one=[12, 11], two=[21, 22])))
        assert found.status is Status.VALID
        assert found.summary == "all 2 answers with tickets carry those of the purchase"

    def test_an_answer_without_tickets_is_not_looked_at(self, history, ledger):
        """As those of functions that return True."""
        found = answers_match_tickets(history({}), ledger(tickets=owning(one=[11])))
        assert (found.status, found.summary) == (Status.VALID, "not checked: no answer carried tickets")

    def test_where_the_ledger_has_no_ids_only_the_number_is_compared(self, history, ledger):
        """And the verdict says so."""
        found = answers_match_tickets(history(carrying(99)), ledger(tickets=[ONE]))
        assert found.status is Status.VALID
        assert found.summary.endswith("the ledger has no ticket ids to compare")

    @pytest.mark.parametrize("outcome", ["refunded", "unknown"])
    def test_what_was_given_back_or_may_have_been_is_not_compared(self, history, ledger, outcome):
        """Its id may have bought again since, under other ticket ids."""
        back = {"kind": "refund", "purchase_id": ONE, "invoked_ns": 5_000_000, "outcome": outcome}
        told = history(carrying(11), back, carrying(12, purchase_id=ONE, invoked_ns=9_000_000))
        assert answers_match_tickets(told, ledger(tickets=owning(one=[12]))).status is Status.VALID

    def test_an_answer_that_reports_an_earlier_purchase_carries_the_tickets_of_that_one(self, history, ledger):
        """Of which there may be another number than was asked for now."""
        again = carrying(11, 12, purchase_id=ONE, cause="repeated", invoked_ns=5_000_000, quantity=3)
        assert answers_match_tickets(history(carrying(11, 12), again), ledger(tickets=owning(one=[11, 12]))).status is (
            Status.VALID
        )

    def test_an_earlier_purchase_of_another_event_has_no_tickets_of_this_one(self, history, ledger):
        """The recorder leaves those of the other event out."""
        again = {"event": 1, "purchase_id": ONE, "cause": "repeated", "invoked_ns": 5_000_000, "handed": 0}
        books = ledger(events=[(0, 9, 8, 2), (1, 9, 9, 1)], tickets=[(0, ONE, 11)])
        assert answers_match_tickets(history(carrying(11), again), books).status is Status.VALID

    def test_each_event_of_a_basket_has_its_own(self, history, ledger):
        """Compared event by event."""
        told = history(carrying(11, 12), carrying(13, event=1, line=1, purchase_id=ONE))
        books = ledger(events=[(0, 9, 7, 2), (1, 9, 8, 2)], tickets=[(0, ONE, 12), (1, ONE, 13), (0, ONE, 11)])
        assert answers_match_tickets(told, books).status is Status.VALID

    @pytest.mark.parametrize("kept", [[], [11]], ids=["lost", "in part"])
    def test_a_sale_that_is_not_there_as_it_was_answered_is_left_to_other_checks(self, history, ledger, kept):
        """sales_in_ledger says what is wrong with it."""
        assert answers_match_tickets(history(carrying(11, 12)), ledger(tickets=owning(one=kept))).status is Status.VALID


class TestInvalid:
    def test_tickets_of_another_purchase(self, history, ledger):
        """Two answers were swapped."""
        found = answers_match_tickets(
            history(carrying(21, 22), carrying(11, 12)), ledger(tickets=owning(one=[11, 12], two=[21, 22]))
        )
        assert (found.status, found.anomaly) == (Status.INVALID, Anomaly.WRONG_TICKETS)
        assert found.summary == "2 of 2 answers carry tickets that belong to another purchase"
        (row,) = found.evidence
        assert (row["purchase_id"], row["tickets"], row["in_answer"]) == (str(UUID(int=ONE)), 2, 2)
        assert not {"handed", "handed_digest", "handed_elsewhere"} & row.keys()

    def test_ids_that_are_counted_from_one_are_told_apart_by_more_than_their_sum(self, history, ledger):
        """5 and 8 are not 6 and 7."""
        found = answers_match_tickets(
            history(carrying(5, 8), carrying(6, 7)), ledger(tickets=owning(one=[6, 7], two=[5, 8]))
        )
        assert found.summary == "2 of 2 answers carry tickets that belong to another purchase"

    def test_one_ticket_of_the_several_of_another_purchase(self, history, ledger):
        """Of a single ticket it is seen whose it is."""
        found = answers_match_tickets(
            history(carrying(22), carrying(21, 22)), ledger(tickets=owning(one=[11], two=[21, 22]))
        )
        assert found.summary == "1 of 2 answers carries tickets that belong to another purchase"

    def test_a_ticket_that_does_not_exist(self, history, ledger):
        """It is nobody's in the ledger."""
        found = answers_match_tickets(history(carrying(99)), ledger(tickets=owning(one=[11])))
        assert found.summary == "1 of 1 answer carries tickets that do not exist in the ledger"

    def test_of_several_tickets_it_is_not_claimed_which_of_them_is_wrong(self, history, ledger):
        """A digest does not show whose they are where they are of several."""
        found = answers_match_tickets(
            history(carrying(11, 21), carrying(12, 22)), ledger(tickets=owning(one=[11, 12], two=[21, 22]))
        )
        assert found.summary == "2 of 2 answers carry tickets that are not those of the purchase in the ledger"

    def test_tickets_that_name_another_purchase(self, history, ledger):
        """Seen without the ledger's ids too."""
        found = answers_match_tickets(history(carrying(99, handed_elsewhere=1)), ledger(tickets=[ONE]))
        assert found.summary == "1 of 1 answer carries tickets that name another purchase or another event"

    @pytest.mark.parametrize("count", [1, 3])
    def test_another_number_of_tickets_than_were_bought(self, history, ledger, count):
        """Fewer, or more."""
        tickets = [11, 12, 13][:count]
        found = answers_match_tickets(history(carrying(*tickets, quantity=2)), ledger(tickets=owning(one=[11, 12])))
        assert found.status is Status.INVALID
        assert found.summary == "1 of 1 answer carries another number of tickets than were bought"

    def test_a_basket_without_the_tickets_of_one_of_its_events(self, history, ledger):
        """Its answer carries tickets, and none of event 1."""
        told = history(carrying(11), {"event": 1, "line": 1, "purchase_id": ONE, "handed": 0})
        books = ledger(events=[(0, 9, 8, 2), (1, 9, 8, 2)], tickets=[(0, ONE, 11), (1, ONE, 12)])
        assert answers_match_tickets(told, books).summary == (
            "1 of 1 answer carries another number of tickets than were bought"
        )

    def test_tickets_of_the_right_purchase_and_the_wrong_event(self, history, ledger):
        """A basket's answer has them the other way round."""
        told = history(carrying(12), carrying(11, event=1, line=1, purchase_id=ONE))
        books = ledger(events=[(0, 9, 8, 2), (1, 9, 8, 2)], tickets=[(0, ONE, 11), (1, ONE, 12)])
        assert answers_match_tickets(told, books).status is Status.INVALID

    def test_a_repeated_answer_that_carries_a_part_of_the_earlier_purchase(self, history, ledger):
        """The buyer is to have all of it."""
        again = carrying(11, purchase_id=ONE, cause="repeated", invoked_ns=5_000_000)
        found = answers_match_tickets(history(carrying(11, 12), again), ledger(tickets=owning(one=[11, 12])))
        assert found.summary == "1 of 2 answers carries another number of tickets than were bought"
