"""The search for an order: its verdicts with their evidence, its limits, and that it agrees with trying all orders."""

from collections import Counter
from uuid import UUID

import brute_force
import pytest
from compared_cases import frames
from generated_cases import generated
from random_histories import random_case
from told import at, basket, refused, sold

from ticketlab.checks.evidence import EVIDENCE_LIMIT
from ticketlab.checks.search._linearizability import MOST_OPERATIONS, linearizable
from ticketlab.checks.verdict import Status

VALID, INVALID, UNKNOWN = Status.VALID, Status.INVALID, Status.UNKNOWN


class TestVerdict:
    def test_the_operations_that_have_no_place_are_the_evidence(self, history, ledger):
        """Two sales of one version: the longest order has one of them and what came before, and the other is shown."""
        operations = sold(2, 2, **at(0, 1)), sold(3, 1, buyer=1, **at(2, 9)), sold(3, 1, buyer=2, **at(3, 8))
        verdict = linearizable(history(*operations), ledger(total=3, available=0, version=4, tickets=[1, 2, 3]))
        assert verdict.check == "linearizability"
        assert verdict.summary == "event 0: no order explains more than 2 of 3 operations; none of 1 can come next"
        assert [(row["buyer"], row["version"]) for row in verdict.evidence] in ([(1, 3)], [(2, 3)])

    def test_a_basket_is_shown_with_all_its_rows(self, history, ledger):
        """The evidence of an operation is all that its buyer was told."""
        rows = basket(1, [(0, 2, 1), (1, 9, 1)])
        verdict = linearizable(history(*rows), ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], tickets=[(0, 1), (1, 1)]))
        assert [row["event"] for row in verdict.evidence] == [0, 1]

    def test_tickets_that_no_order_ends_in_are_the_evidence(self, history, ledger):
        """Where every operation has its place, what the ledger has otherwise is shown."""
        verdict = linearizable(history(sold(2, 1)), ledger(total=2, available=1, version=2, tickets=[1, 5]))
        assert verdict.summary == "event 0: no order ends in the state of the ledger"
        assert verdict.evidence == ({"event": 0, "purchase_id": str(UUID(int=5)), "tickets": 1, "due": 0},)

    def test_a_stock_that_no_order_ends_in_is_the_evidence(self, history, ledger):
        """With the stock and the version that the order makes."""
        verdict = linearizable(history(sold(2, 1)), ledger(total=2, available=2, version=1, tickets=[1]))
        assert verdict.evidence == ({"event": 0, "available": 2, "due": 1, "version": 1, "version_due": 2},)

    def test_the_evidence_is_small(self, history, ledger):
        """Of many that have no place only some are shown."""
        verdict = linearizable(history(*[sold(9, 0)] * 50), ledger(total=50, version=51))
        assert len(verdict.evidence) == EVIDENCE_LIMIT

    def test_without_time_nothing_is_decided(self, history, ledger):
        """UNKNOWN, and the events that were not judged are named: those of a basket together."""
        rows = *basket(1, [(0, 2, 1), (2, 2, 1)]), sold(2, 1, purchase_id=2, event=1)
        books = ledger(events=[(each, 2, 1, 2) for each in range(3)], tickets=[(0, 1), (2, 1), (1, 2)])
        assert linearizable(history(*rows), books).status is VALID
        verdict = linearizable(history(*rows), books, time_limit_s=0)
        assert verdict.status is UNKNOWN
        assert verdict.summary == "events 0, 2 not decided within 0 s; event 1 not decided within 0 s"

    def test_a_search_that_takes_too_long_is_ended(self, history, ledger):
        """Forty sales at once have more orders than can be looked at, and none of them explains the refusal."""
        sales = [at(0, 100, quantity=1 + number % 3) for number in range(40)]
        tickets = [number for number, sale in enumerate(sales, start=1) for _ in range(sale["quantity"])]
        books = ledger(total=200, available=200 - len(tickets), tickets=tickets)
        verdict = linearizable(history(*sales, refused(None, None, quantity=3, **at(0, 200))), books, time_limit_s=0.2)
        assert verdict.status is UNKNOWN
        assert verdict.summary == "event 0 not decided within 0.2 s"

    def test_one_event_that_is_wrong_is_enough(self, history, ledger):
        """INVALID is said though another event was not decided."""
        sales = [at(0, 100, quantity=1 + number % 3) for number in range(40)]
        tickets = [(0, number) for number, sale in enumerate(sales, start=1) for _ in range(sale["quantity"])]
        books = ledger(events=[(0, 200, 200 - len(tickets), 1), (1, 5, 4, 1)], tickets=tickets)
        rows = history(*sales, refused(None, None, quantity=3, **at(0, 200)))
        assert linearizable(rows, books, time_limit_s=1.0).status is INVALID

    def test_what_the_ledger_lacks_is_not_judged(self, history, ledger):
        """An event of the history or of a ticket without its row in the ledger leaves all undecided."""
        for operations, tickets in ([{"event": 3}], []), ([], [(3, 1)]):
            verdict = linearizable(history(*operations), ledger(total=1, available=1, tickets=tickets))
            assert (verdict.status, verdict.summary) == (UNKNOWN, "the ledger lacks event 3")

    @pytest.mark.parametrize(
        ("kind", "outcome"), [("purchase", "refunded"), ("refund", "sold"), ("refund", "sold_out")]
    )
    def test_what_has_no_meaning_is_not_judged(self, history, ledger, kind, outcome):
        """A purchase is not refunded, nor is a refund sold."""
        verdict = linearizable(history({"kind": kind, "outcome": outcome}), ledger(total=1, available=1))
        assert (verdict.status, verdict.summary) == (UNKNOWN, f"no {kind} ends as {outcome}")

    def test_too_many_operations_are_not_judged(self, history, ledger):
        """Of one event; said before anything is searched."""
        count = MOST_OPERATIONS + 1
        sales = [sold(2 + number, count - 1 - number) for number in range(count)]
        books = ledger(total=count, version=1 + count, tickets=range(1, count + 1))
        verdict = linearizable(history(*sales), books)
        assert (verdict.status, verdict.summary) == (UNKNOWN, "event 0 has more than 10,000 operations")

    def test_hundreds_of_operations_in_one_row_are_no_matter(self, history, ledger):
        """The depth of the search is that of the history, and no call's: 3,000 sales, one after another."""
        sales = [sold(2 + number, 2999 - number, **at(number, number)) for number in range(3000)]
        books = ledger(total=3000, version=3001, tickets=range(1, 3001))
        assert linearizable(history(*sales), books).status is VALID


class TestRandomHistories:
    @pytest.mark.parametrize("first", range(0, 500, 100))
    def test_a_history_that_was_played_has_an_order(self, first):
        """Each is VALID, for it was made by selling, refusing and giving back in one."""
        for seed in range(first, first + 100):
            verdict = linearizable(*random_case(seed, mistakes=0))
            assert verdict.status is VALID, (seed, verdict)

    def test_a_seed_makes_one_history(self):
        """The same twice, and another for another seed."""
        one, again, other = (random_case(seed)[0] for seed in (7, 7, 8))
        assert one.equals(again)
        assert not one.equals(other)

    def test_right_and_wrong_ones_are_mixed(self):
        """Of 150 no less than a quarter is of either kind, and all is there that the model has a line for."""
        cases = [random_case(seed) for seed in range(150)]
        found = Counter(linearizable(*case).status for case in cases)
        assert found.keys() == {VALID, INVALID}
        assert min(found.values()) > 150 / 4
        told = Counter(pair for history, _ in cases for pair in zip(history["kind"], history["outcome"], strict=True))
        refunds = {("refund", outcome) for outcome in ("refunded", "unknown", "failed")}
        sales = {("purchase", outcome) for outcome in ("sold", "sold_out", "unknown", "conflict", "unavailable")}
        assert refunds | sales <= told.keys()
        assert sum((history["line"] > 0).any() for history, _ in cases) > 15

    @pytest.mark.parametrize("first", range(0, 200, 50))
    def test_it_agrees_with_trying_out_every_order(self, first):
        """Of up to seven operations, in right and wrong histories, each order and each choice is tried."""
        for seed in range(first, first + 50):
            case = generated(seed)
            assert (linearizable(*frames(case)).status is VALID) == brute_force.possible(case), seed
