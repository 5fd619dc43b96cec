"""Linearizability goes by what operations mean: each line of the model accepts what is right, and rejects the rest."""

import pytest
from told import at, basket, given_back, lost, refused, sold, told_before

from ticketlab.checks.search._linearizability import linearizable
from ticketlab.checks.verdict import Status

VALID, INVALID = Status.VALID, Status.INVALID


class TestSales:
    def test_sales_in_the_order_of_their_versions_are_right(self, history, ledger):
        """Two that overlap may have sold in either order: the versions say in which."""
        operations = sold(3, 0, **at(0, 9)), sold(2, 1, **at(5, 20))
        assert linearizable(history(*operations), ledger(total=2, version=3, tickets=[1, 2])).status is VALID

    @pytest.mark.parametrize(("answered", "status"), [(4, INVALID), (5, VALID), (6, VALID)])
    def test_who_was_answered_first_has_the_smaller_version(self, history, ledger, answered, status):
        """One who was answered before another called can not have sold after him; at one tick he can."""
        operations = sold(3, 0, **at(0, answered)), sold(2, 1, **at(5, 9))
        assert linearizable(history(*operations), ledger(total=2, version=3, tickets=[1, 2])).status is status

    @pytest.mark.parametrize(("version", "available"), [(2, 4), (4, 3), (3, 4), (3, 2), (1, 5)])
    def test_a_sale_tells_the_next_version_and_what_it_left(self, history, ledger, version, available):
        """After one of one ticket the next is version 3 with three of five left, and nothing else."""
        books = ledger(total=5, available=3, version=3, tickets=[1, 2])
        assert linearizable(history(sold(2, 4), sold(3, 3)), books).status is VALID
        assert linearizable(history(sold(2, 4), sold(version, available)), books).status is INVALID

    def test_no_more_is_sold_than_there_is(self, history, ledger):
        """A sale of three of two seats has no place, though stock, version and tickets agree with it."""
        books = ledger(total=2, available=-1, version=2, tickets=[1, 1, 1])
        assert linearizable(history(sold(2, -1, quantity=3)), books).status is INVALID

    def test_one_id_sells_once(self, history, ledger):
        """The second sale under an id finds its tickets there, and whoever is told of it is told something wrong."""
        operations = sold(2, 2, purchase_id=1), sold(3, 1, purchase_id=1)
        for tickets in [1], [1, 1]:
            assert (
                linearizable(history(*operations), ledger(total=3, available=1, version=3, tickets=tickets)).status
                is INVALID
            )

    @pytest.mark.parametrize("outcome", ["conflict", "failed", "unavailable"])
    def test_what_surely_was_nothing_has_no_effect(self, history, ledger, outcome):
        """Its tickets may not be there, nor may the stock be less."""
        operations = history({"outcome": outcome})
        assert linearizable(operations, ledger(total=1, available=1)).status is VALID
        assert linearizable(operations, ledger(total=1, version=2, tickets=[1])).status is INVALID

    @pytest.mark.parametrize(
        ("books", "status"),
        [
            ({"available": 1, "version": 2, "tickets": [1, 1]}, VALID),
            ({"available": 1, "version": 2, "tickets": [1]}, INVALID),
            ({"available": 1, "version": 2, "tickets": [1, 1, 1]}, INVALID),
            ({"available": 1, "version": 2, "tickets": [1, 1, 7]}, INVALID),
            ({"available": 1, "version": 2, "tickets": [7, 7]}, INVALID),
            ({"available": 1, "version": 2}, INVALID),
            ({"available": 0, "version": 2, "tickets": [1, 1]}, INVALID),
            ({"available": 1, "version": 1, "tickets": [1, 1]}, INVALID),
            ({"available": 1, "version": 3, "tickets": [1, 1]}, INVALID),
        ],
    )
    def test_the_end_is_what_the_ledger_holds(self, history, ledger, books, status):
        """Tickets under their ids, the stock and the version: each has to be what the sales make of it."""
        assert linearizable(history(sold(2, 1, quantity=2)), ledger(total=3, **books)).status is status

    def test_an_event_that_nobody_asked_for_is_as_it_was(self, history, ledger):
        """Beside a right event, one whose stock has changed by itself is wrong."""
        operations = history(sold(2, 0))
        assert linearizable(operations, ledger(events=[(0, 1, 0, 2), (1, 5, 5, 1)], tickets=[1])).status is VALID
        assert linearizable(operations, ledger(events=[(0, 1, 0, 2), (1, 5, 4, 2)], tickets=[1])).status is INVALID


class TestRefusals:
    SALES = sold(2, 1, **at(0, 10)), sold(3, 0, **at(20, 30))

    @pytest.mark.parametrize(
        ("refusal", "status"),
        [
            (refused(3, 0, **at(20, 25)), VALID),
            (refused(3, 0, **at(30, 35)), VALID),
            (refused(3, 0, **at(15, 19)), INVALID),
            (refused(2, 1, quantity=2, **at(10, 12)), VALID),
            (refused(2, 1, quantity=2, **at(29, 40)), VALID),
            (refused(2, 1, quantity=2, **at(31, 40)), INVALID),
            (refused(2, 1, **at(12, 14)), INVALID),
            (refused(1, 2, quantity=2, **at(0, 5)), INVALID),
            (refused(3, 1, quantity=2, **at(20, 40)), INVALID),
            (refused(2, 0, **at(12, 14)), INVALID),
            (refused(4, 0, **at(31, 40)), INVALID),
        ],
        ids=[
            "current at its end", "current all the time", "not yet", "too few for two", "until the last tick",
            "no longer", "one is enough for one", "two are enough for two", "stock of another version",
            "a stock that never was", "a version that never was",
        ],
    )  # fmt: skip
    def test_a_refusal_saw_a_stock_too_small_while_it_was_current(self, history, ledger, refusal, status):
        """The version that is told was the event's at an instant of the call, and its stock was not enough."""
        assert linearizable(history(*self.SALES, refusal), ledger(total=2, version=3, tickets=[1, 2])).status is status

    @pytest.mark.parametrize(
        ("interval", "quantity", "status"), [((12, 15), 1, INVALID), ((12, 20), 1, VALID), ((12, 15), 2, VALID)]
    )
    def test_a_refusal_that_tells_nothing_needs_an_instant_too(self, history, ledger, interval, quantity, status):
        """Without version and stock too few tickets must have been there at some instant all the same."""
        operations = history(*self.SALES, refused(None, None, quantity, **at(*interval)))
        assert linearizable(operations, ledger(total=2, version=3, tickets=[1, 2])).status is status

    def test_a_refused_basket_saw_all_its_events_at_one_instant(self, history, ledger):
        """Each was sold out for a while, and never both at once."""
        operations = (
            sold(2, 0, event=0, **at(0, 10)),
            given_back(1, 3, 1, event=0, **at(20, 30)),
            sold(2, 0, event=1, **at(40, 50)),
        )
        both = basket(9, [(0, 2, 0), (1, 2, 0)], outcome="sold_out", **at(5, 45))
        books = ledger(events=[(0, 1, 1, 3), (1, 1, 0, 2)], tickets=[(1, 3)])
        for each in both:
            assert linearizable(history(*operations, each | {"line": 0}), books).status is VALID
        assert linearizable(history(*operations, *both), books).status is INVALID


class TestUnknown:
    def test_it_may_have_happened_or_not(self, history, ledger):
        """The ledger says which: with tickets and a version it did, without either it did not."""
        operations = history(lost())
        assert linearizable(operations, ledger(total=1, version=2, tickets=[1])).status is VALID
        assert linearizable(operations, ledger(total=1, available=1)).status is VALID
        assert linearizable(operations, ledger(total=1, available=0, version=2)).status is INVALID
        assert linearizable(operations, ledger(total=1, available=1, version=2, tickets=[1])).status is INVALID

    def test_it_happens_whole(self, history, ledger):
        """One of two tickets is neither."""
        books = ledger(total=2, available=1, version=2, tickets=[1])
        assert linearizable(history(lost(quantity=2)), books).status is INVALID

    @pytest.mark.parametrize(("called", "status"), [(0, VALID), (15, VALID), (20, VALID), (21, INVALID)])
    def test_it_happens_from_its_call_on(self, history, ledger, called, status):
        """Version 2 is lost: it was made before version 3 was told, and however early its buyer gave up."""
        operations = lost(**at(called, called)), sold(3, 0, **at(10, 20))
        assert linearizable(history(*operations), ledger(total=2, version=3, tickets=[1, 2])).status is status

    def test_it_may_happen_long_after_its_buyer_gave_up(self, history, ledger):
        """The sale that was told made version 2 later than the other's buyer was told that nothing is known."""
        operations = lost(**at(0, 1)), sold(2, 1, **at(10, 20))
        assert linearizable(history(*operations), ledger(total=2, version=3, tickets=[1, 2])).status is VALID

    def test_it_is_chosen_by_the_stock_that_others_saw(self, history, ledger):
        """Of two that were lost the one of two tickets was first, for the sale after it tells so."""
        operations = lost(quantity=1), lost(quantity=2), sold(3, 3)
        books = ledger(total=6, available=2, version=4, tickets=[1, 2, 2, 3])
        assert linearizable(history(*operations), books).status is VALID
        assert linearizable(history(*operations[:2], sold(3, 2)), books).status is INVALID


class TestRefunds:
    SALE = sold(2, 1, quantity=2, purchase_id=1, **at(0, 10))

    @pytest.mark.parametrize(
        ("refund", "status"),
        [
            (given_back(1, 3, 3, quantity=2, **at(5, 20)), VALID),
            (given_back(1, None, None, quantity=2, **at(5, 20)), VALID),
            (given_back(1, 3, 2, quantity=2, **at(5, 20)), INVALID),
            (given_back(1, 4, 3, quantity=2, **at(5, 20)), INVALID),
            (given_back(1, 3, 2, quantity=1, **at(5, 20)), INVALID),
            (given_back(2, 3, 3, quantity=2, **at(5, 20)), INVALID),
        ],
        ids=["right", "not told", "stock too small", "version skipped", "a part", "of another"],
    )
    def test_a_refund_returns_what_its_id_owned(self, history, ledger, refund, status):
        """All of it, with a version of its own; and nothing is owned any more."""
        books = ledger(total=3, available=3, version=3)
        assert linearizable(history(self.SALE, refund), books).status is status

    @pytest.mark.parametrize("quantity", [1, 3])
    def test_a_refund_of_a_part_is_wrong_though_the_stock_agrees(self, history, ledger, quantity):
        """One of two tickets, or three of them, are not what the id owned, whatever is there in the end."""
        operations = history(self.SALE, given_back(1, 3, 1 + quantity, quantity=quantity, **at(5, 20)))
        for tickets in [], [1] * (2 - quantity):
            books = ledger(total=3, available=1 + quantity, version=3, tickets=tickets)
            assert linearizable(operations, books).status is INVALID

    def test_what_was_given_back_is_gone(self, history, ledger):
        """Tickets that are still there after their refund are wrong."""
        operations = history(self.SALE, given_back(1, 3, 3, quantity=2, **at(20, 30)))
        assert linearizable(operations, ledger(total=3, available=1, version=3, tickets=[1, 1])).status is INVALID

    def test_a_refund_comes_after_its_sale(self, history, ledger):
        """Who was answered before the sale was called can not have given it back."""
        operations = given_back(1, 3, 3, quantity=2, **at(0, 4)), self.SALE | at(5, 10)
        assert linearizable(history(*operations), ledger(total=3, available=3, version=3)).status is INVALID

    def test_a_refund_makes_room(self, history, ledger):
        """The seat is sold again, and a refusal is right before the refund and after the second sale only."""
        operations = (
            sold(2, 0, **at(0, 10)),
            given_back(1, 3, 1, **at(20, 30)),
            sold(4, 0, **at(40, 50)),
        )
        books = ledger(total=1, version=4, tickets=[3])
        assert linearizable(history(*operations), books).status is VALID
        for interval, status in ((11, 15), VALID), ((31, 39), INVALID), ((51, 55), VALID):
            assert linearizable(history(*operations, refused(None, None, **at(*interval))), books).status is status

    @pytest.mark.parametrize(("interval", "status"), [((0, 4), VALID), ((11, 15), INVALID), ((35, 40), VALID)])
    def test_a_refund_of_nothing_found_nothing(self, history, ledger, interval, status):
        """Told to have been made before, it came while there were no tickets: before the sale, or after the refund."""
        operations = (
            self.SALE | at(5, 10),
            given_back(1, 3, 3, quantity=2, **at(20, 30)),
            given_back(1, None, None, quantity=2, cause="repeated", **at(*interval)),
        )
        assert linearizable(history(*operations), ledger(total=3, available=3, version=3)).status is status

    @pytest.mark.parametrize(
        ("books", "status"),
        [
            ({"available": 3, "version": 3}, VALID),
            ({"available": 1, "version": 2, "tickets": [1, 1]}, VALID),
            ({"available": 1, "version": 2}, INVALID),
            ({"available": 3, "version": 3, "tickets": [1, 1]}, INVALID),
        ],
    )
    def test_a_lost_refund_may_have_happened_or_not(self, history, ledger, books, status):
        """The ledger says which, and has to say so in tickets and stock alike."""
        operations = history(self.SALE, lost(kind="refund", quantity=2, purchase_id=1, **at(12, 13)))
        assert linearizable(operations, ledger(total=3, **books)).status is status

    def test_a_lost_sale_was_made_where_it_was_given_back(self, history, ledger):
        """No ticket is there in the end, and yet version 2 was its own."""
        operations = lost(purchase_id=1, **at(0, 5)), given_back(1, 3, 1, **at(10, 20)), sold(4, 0, **at(30, 40))
        books = {"total": 1, "available": 0, "tickets": [3]}
        assert linearizable(history(*operations), ledger(version=4, **books)).status is VALID
        assert linearizable(history(*operations), ledger(version=2, **books)).status is INVALID


class TestToldBefore:
    @pytest.mark.parametrize(
        ("interval", "status"),
        [((0, 4), INVALID), ((0, 5), VALID), ((11, 15), VALID), ((12, 40), VALID), ((35, 40), INVALID)],
    )
    def test_its_id_owns_tickets_at_that_instant(self, history, ledger, interval, status):
        """Between the sale and the refund, and it changes nothing."""
        operations = sold(2, 0, **at(5, 10)), given_back(1, 3, 1, **at(20, 30)), told_before(1, **at(*interval))
        assert linearizable(history(*operations), ledger(total=1, available=1, version=3)).status is status

    def test_where_nothing_else_has_sold_it_has_done_so_itself(self, history, ledger):
        """An earlier attempt of that call sold all that was asked for, and made a version that it does not name."""
        operations = history(told_before(1, quantity=2), sold(3, 0, **at(200, 210)))
        books = {"total": 3, "available": 0}
        assert linearizable(operations, ledger(version=3, tickets=[1, 1, 2], **books)).status is VALID
        assert linearizable(operations, ledger(version=2, tickets=[1, 1, 2], **books)).status is INVALID
        assert linearizable(operations, ledger(total=3, available=1, version=3, tickets=[1, 2])).status is INVALID
        assert linearizable(operations, ledger(total=3, available=2, version=3, tickets=[2])).status is INVALID

    def test_of_two_of_these_one_has_sold(self, history, ledger):
        """The other found its tickets: there is one version, not two."""
        operations = history(told_before(1), told_before(1))
        assert linearizable(operations, ledger(total=3, available=2, version=2, tickets=[1])).status is VALID
        assert linearizable(operations, ledger(total=3, available=1, version=3, tickets=[1])).status is INVALID

    def test_it_leaves_the_versions_of_its_event_in_force(self, history, ledger):
        """It is a sale without a version, and no sign that the event has none."""
        operations = told_before(1), sold(3, 1)
        assert (
            linearizable(history(*operations), ledger(total=3, available=1, version=3, tickets=[1, 2])).status is VALID
        )
        assert (
            linearizable(history(*operations), ledger(total=3, available=1, version=4, tickets=[1, 2])).status
            is INVALID
        )

    def test_beside_a_call_that_was_lost_later_it_has_sold_itself(self, history, ledger):
        """The lost call came too late to be the earlier one, and need not have happened."""
        operations = history(told_before(1, **at(0, 5)), lost(purchase_id=1, **at(10, 20)))
        assert linearizable(operations, ledger(total=1, version=2, tickets=[1])).status is VALID
        assert linearizable(operations, ledger(total=2, version=2, tickets=[1, 1])).status is INVALID

    def test_beside_another_sale_it_sells_nothing(self, history, ledger):
        """Its id was sold tickets of event 0, and it confirms just those; those of event 1 belong to no sale."""
        both, first = [(0, 1), (1, 1)], [(0, 1)]
        events = [(0, 2, 1, None), (1, 2, None, None)]
        for event, confirms in (0, True), (1, False):
            again = {"purchase_id": 1, "event": event, "cause": "repeated", **at(200, 210)}
            calls = history({"purchase_id": 1, "event": 0}, again)
            assert linearizable(calls, ledger(events=events, tickets=both)).status is INVALID
            assert (linearizable(calls, ledger(events=events, tickets=first)).status is VALID) is confirms

    def test_it_tells_of_a_lost_call(self, history, ledger):
        """The lost call had happened before the other was told so, and the ledger has to have it."""
        operations = history(lost(purchase_id=1, **at(0, 5)), told_before(1, **at(10, 20)))
        assert linearizable(operations, ledger(total=1, version=2, tickets=[1])).status is VALID
        assert linearizable(operations, ledger(total=1, available=1)).status is INVALID


class TestBaskets:
    def test_a_basket_sells_of_all_its_events_at_one_instant(self, history, ledger):
        """Two baskets in opposite orders at two events: each event alone has an order, and both together have none."""
        books = ledger(events=[(0, 2, 0, 3), (1, 2, 0, 3)], tickets=[(0, 1), (0, 2), (1, 1), (1, 2)])
        agree = *basket(1, [(0, 2, 1), (1, 2, 1)]), *basket(2, [(0, 3, 0), (1, 3, 0)])
        assert linearizable(history(*agree), books).status is VALID
        contradict = *basket(1, [(0, 2, 1), (1, 3, 0)]), *basket(2, [(0, 3, 0), (1, 2, 1)])
        for event in 0, 1:
            alone = [row | {"line": 0, "event": 0} for row in contradict if row["event"] == event]
            assert linearizable(history(*alone), ledger(total=2, version=3, tickets=[1, 2])).status is VALID
        assert linearizable(history(*contradict), books).status is INVALID

    @pytest.mark.parametrize(("early", "late", "status"), [(4, 3, VALID), (3, 4, INVALID)])
    def test_others_can_make_two_baskets_contradict(self, history, ledger, early, late, status):
        """By versions sale 4 is before basket 1, that before basket 2, and that before sale 3: time must allow it."""
        when = {early: at(10, 20), late: at(30, 40)}
        operations = (
            *basket(1, [(0, 2, 8), (1, 3, 7)], **at(0, 100)),
            *basket(2, [(0, 3, 7), (2, 2, 8)], **at(0, 100)),
            sold(3, 7, purchase_id=3, event=2, **when[3]),
            sold(2, 8, purchase_id=4, event=1, **when[4]),
        )
        tickets = [(0, 1), (1, 1), (0, 2), (2, 2), (2, 3), (1, 4)]
        books = ledger(events=[(0, 9, 7, 3), (1, 9, 7, 3), (2, 9, 7, 3)], tickets=tickets)
        assert linearizable(history(*operations), books).status is status

    def test_a_basket_is_refunded_whole(self, history, ledger):
        """Of one of its events only is not what its id owned."""
        sale = basket(1, [(0, 2, 1), (1, 2, 1)], **at(0, 1))
        refund = [
            row | {"kind": "refund", "outcome": "refunded"} for row in basket(1, [(0, 3, 2), (1, 3, 2)], **at(5, 9))
        ]
        books = ledger(events=[(0, 2, 2, 3), (1, 2, 2, 3)])
        assert linearizable(history(*sale, *refund), books).status is VALID
        part = ledger(events=[(0, 2, 2, 3), (1, 2, 1, 2)], tickets=[(1, 1)])
        assert linearizable(history(*sale, refund[0]), part).status is INVALID

    def test_a_lost_basket_is_there_whole(self, history, ledger):
        """Half of it is neither of the two things that can have happened."""
        rows = basket(1, [(0, None, None), (1, None, None)], outcome="unknown")
        whole = ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], tickets=[(0, 1), (1, 1)])
        assert linearizable(history(*rows), whole).status is VALID
        half = ledger(events=[(0, 2, 1, 2), (1, 2, 2, 1)], tickets=[(0, 1)])
        assert linearizable(history(*rows), half).status is INVALID


class TestVersionsNotTold:
    SALES = {**at(0, 10)}, {**at(20, 30)}

    @pytest.mark.parametrize("version", [1, 3, 7])
    def test_the_final_version_may_be_any(self, history, ledger, version):
        """Who settles counters raises versions without a sale; the stock must still be what is not sold."""
        operations = history(*self.SALES)
        assert linearizable(operations, ledger(total=2, version=version, tickets=[1, 2])).status is VALID
        assert linearizable(operations, ledger(total=2, available=1, version=version, tickets=[1, 2])).status is INVALID

    def test_one_sale_without_a_version_leaves_those_of_the_others_in_force(self, history, ledger):
        """The sale that names none made one of those that are missing."""
        books = ledger(total=2, version=3, tickets=[1, 2])
        assert linearizable(history(sold(2, 1, **at(0, 10)), {**at(20, 30)}), books).status is VALID
        assert linearizable(history(sold(9, 9, **at(0, 10)), {**at(20, 30)}), books).status is INVALID

    def test_refunds_come_in_the_order_of_their_versions(self, history, ledger):
        """Whether sales raise the version is not known; that refunds do is."""
        books = ledger(total=2, available=2, version=3)
        first, second = given_back(1, 2, 1, **at(50, 60)), given_back(2, 3, 2, **at(70, 80))
        assert linearizable(history(*self.SALES, first, second), books).status is VALID
        swapped = given_back(1, 3, 1, **at(50, 60)), given_back(2, 2, 2, **at(70, 80))
        assert linearizable(history(*self.SALES, *swapped), books).status is INVALID

    def test_a_reported_stock_counts(self, history, ledger):
        """A refund that reports more seats than there are cannot be right."""
        books = ledger(total=2, available=1, tickets=[2])
        for stock, status in ((1, VALID), (2, INVALID), (9, INVALID)):
            assert linearizable(history(*self.SALES, given_back(1, 2, stock, **at(50, 60))), books).status is status

    @pytest.mark.parametrize(
        ("refusal", "status"),
        [
            (refused(5, 0, **at(31, 40)), VALID),
            (refused(None, None, **at(15, 25)), VALID),
            (refused(5, 0, **at(11, 19)), INVALID),
            (refused(5, 1, **at(31, 40)), INVALID),
        ],
        ids=["after both", "at the second sale", "between them", "told of enough"],
    )
    def test_a_refusal_is_right_where_too_few_can_have_been_left(self, history, ledger, refusal, status):
        """By intervals and quantities alone; and what it was told must be less than it wanted."""
        books = ledger(total=2, version=5, tickets=[1, 2])
        assert linearizable(history(*self.SALES, refusal), books).status is status

    def test_it_is_so_for_the_whole_history(self, history, ledger):
        """Where one sale names a version all sales make one, also those of another event."""
        rows = basket(1, [(0, None, None), (1, 2, 1)])
        books = {"tickets": [(0, 1), (1, 1)]}
        assert linearizable(history(*rows), ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], **books)).status is VALID
        assert linearizable(history(*rows), ledger(events=[(0, 2, 1, 8), (1, 2, 1, 2)], **books)).status is INVALID
        assert linearizable(history(*rows), ledger(events=[(0, 2, 1, 2), (1, 2, 1, 3)], **books)).status is INVALID
        other = basket(1, [(0, None, None), (1, 3, 1)])
        assert linearizable(history(*other), ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], **books)).status is INVALID
