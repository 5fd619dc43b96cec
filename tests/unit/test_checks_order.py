"""Strict serializability: the order of the versions, what each left, and when each was called and answered."""

import pytest

from ticketlab.checks import strict_serializability
from ticketlab.checks.search import _linearizability
from ticketlab.checks.verdict import Anomaly, Status

VALID, INVALID, UNKNOWN = Status.VALID, Status.INVALID, Status.UNKNOWN


def sold(version, available, since=0, until=100, **fields):
    """A sale that made this version and left this stock."""
    return {"version": version, "available": available, "invoked_ns": since, "completed_ns": until} | fields


def refused(version, available, since=0, until=100, quantity=1, **fields):
    """Somebody who was sent away at this version and this stock."""
    return sold(version, available, since, until, quantity=quantity, outcome="sold_out") | fields


def refund(number, version, available, since=0, until=100, **fields):
    """A purchase that was given back, and made this version by it."""
    return sold(version, available, since, until, purchase_id=number, kind="refund", outcome="refunded") | fields


def lost(since=0, until=100, **fields):
    """A purchase whose answer was lost."""
    return sold(None, None, since, until, outcome="unknown") | fields


def found(verdict):
    """The word, the anomaly, and who is shown."""
    return verdict.status, verdict.anomaly, [row["buyer"] for row in verdict.evidence]


class TestVersions:
    def test_one_sale_after_another_is_right(self, history, ledger):
        """Three sales, three versions, each a seat less."""
        told = sold(3, 3), sold(2, 4), sold(4, 2)
        assert (
            strict_serializability(history(*told), ledger(total=5, available=2, version=4, tickets=[1, 2, 3])).status
            is VALID
        )

    def test_a_version_is_made_once(self, history, ledger):
        """Two sales that made the same version went by the same stock."""
        told = sold(2, 4, buyer=1), sold(3, 3, buyer=2), sold(3, 3, buyer=3)
        verdict = strict_serializability(history(*told), ledger(total=5, available=3, version=3, tickets=[1, 2, 3]))
        assert found(verdict) == (INVALID, Anomaly.LOST_UPDATE, [2, 3])
        assert verdict.summary == "event 0: version 3 was made twice"

    def test_a_version_that_was_told_and_rolled_back_is_a_dirty_read(self, history, ledger):
        """Of two that made one version one has no ticket: what he was told was never committed."""
        told = sold(2, 4, buyer=1), sold(2, 4, buyer=2)
        verdict = strict_serializability(history(*told), ledger(total=5, available=4, version=2, tickets=[2]))
        assert found(verdict) == (INVALID, Anomaly.DIRTY_READ, [1, 2])

    def test_a_version_that_nobody_made_is_a_phantom(self, history, ledger):
        """Between the second version and the fourth the stock fell, and nobody was told of it."""
        told = sold(2, 4, buyer=1), sold(4, 2, buyer=2)
        verdict = strict_serializability(history(*told), ledger(total=5, available=2, version=4, tickets=[1, 2]))
        assert found(verdict) == (INVALID, Anomaly.PHANTOM_SALE, [1, 2])
        assert "no operation made version 3" in verdict.summary

    def test_the_ledger_ends_where_the_last_sale_did(self, history, ledger):
        """A version more, or less, than anybody was told of."""
        told = history(sold(2, 4))
        for version, anomaly in ((3, Anomaly.PHANTOM_SALE), (1, Anomaly.DIRTY_READ)):
            books = ledger(total=5, available=4, version=version, tickets=[1])
            verdict = strict_serializability(told, books)
            assert (verdict.status, verdict.anomaly) == (INVALID, anomaly)

    def test_the_first_version_is_nobodys(self, history, ledger):
        """An event begins with version 1: no sale can make it."""
        verdict = strict_serializability(history(sold(1, 4)), ledger(total=5, available=4, version=1, tickets=[1]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.LOST_UPDATE)

    def test_events_have_versions_of_their_own(self, history, ledger):
        """The same version of two events was made once of each."""
        told = sold(2, 4), sold(2, 1, event=1)
        books = ledger(events=[(0, 5, 4, 2), (1, 2, 1, 2)], tickets=[(0, 1), (1, 2)])
        assert strict_serializability(history(*told), books).status is VALID


class TestStocks:
    def test_a_stock_goes_down_by_what_was_bought(self, history, ledger):
        """Of five two, of three two, of one one."""
        told = sold(2, 3, quantity=2), sold(3, 1, quantity=2), sold(4, 0)
        books = ledger(total=5, available=0, version=4, tickets=[1, 1, 2, 2, 3])
        assert strict_serializability(history(*told), books).status is VALID

    def test_a_stock_that_was_written_over_is_a_lost_update(self, history, ledger):
        """The third version leaves what the second one left: it was computed from the first."""
        told = sold(2, 4, buyer=1), sold(3, 4, buyer=2)
        verdict = strict_serializability(history(*told), ledger(total=5, available=4, version=3, tickets=[1, 2]))
        assert found(verdict) == (INVALID, Anomaly.LOST_UPDATE, [1, 2])
        assert verdict.summary == "event 0: version 3 left 4 seats, but 4 before it and -1 make 3"

    def test_the_first_sale_begins_with_every_seat(self, history, ledger):
        """Of five seats one was sold, and three were left."""
        verdict = strict_serializability(history(sold(2, 3)), ledger(total=5, available=3, version=2, tickets=[1]))
        assert found(verdict) == (INVALID, Anomaly.LOST_UPDATE, [0])

    def test_the_ledger_keeps_what_the_last_sale_left(self, history, ledger):
        """Nobody made a version after it, and yet the stock is another one."""
        verdict = strict_serializability(history(sold(2, 4)), ledger(total=5, available=5, version=2, tickets=[1]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.LOST_UPDATE)

    def test_a_sale_beyond_the_stock_is_an_oversell_also_when_it_was_given_back(self, history, ledger):
        """Two of one seat: no answer reports a stock below 0, and the ledger no longer shows it."""
        rows = sold(2, None, until=10, quantity=2), refund(1, 3, None, since=20, quantity=2)
        verdict = strict_serializability(history(*rows), ledger(total=1, available=1, version=3, tickets=[]))
        assert found(verdict) == (INVALID, Anomaly.OVERSELL, [0])
        right = strict_serializability(history(*rows), ledger(total=2, available=2, version=3, tickets=[]))
        assert right.status is VALID

    def test_a_sale_beyond_what_a_lost_sale_left_is_none(self, history, ledger):
        """The lost sale made the version between; what it left was too little."""
        rows = lost(until=10), sold(3, None, since=20), refund(2, 4, 1, since=120, until=200)
        verdict = strict_serializability(history(*rows), ledger(total=1, available=0, version=4, tickets=[1]))
        assert verdict.status is INVALID


class TestRefusals:
    def test_who_saw_too_small_a_stock_was_rightly_refused(self, history, ledger):
        """Two wanted, one left at the version that was current."""
        told = sold(2, 1, 0, 10), refused(2, 1, 5, 20, quantity=2)
        assert (
            strict_serializability(history(*told), ledger(total=2, available=1, version=2, tickets=[1])).status is VALID
        )

    def test_the_first_version_can_be_seen_too(self, history, ledger):
        """Before anybody has bought: three wanted of two."""
        told = refused(1, 2, quantity=3)
        assert strict_serializability(history(told), ledger(total=2, available=2, version=1)).status is VALID

    def test_a_stock_that_would_have_done_makes_a_refusal_false(self, history, ledger):
        """One wanted, one left."""
        told = sold(2, 1), refused(2, 1, buyer=4)
        verdict = strict_serializability(history(*told), ledger(total=2, available=1, version=2, tickets=[1]))
        assert found(verdict) == (INVALID, Anomaly.FALSE_SOLD_OUT, [4])

    @pytest.mark.parametrize(
        "told", [refused(2, 0, buyer=4), refused(3, 0, buyer=4), refused(0, 0, buyer=4)], ids=["stock", "late", "early"]
    )
    def test_a_version_that_never_was_so_is_a_dirty_read(self, history, ledger, told):
        """Another stock than the maker of that version left, or a version that the event did not come to."""
        verdict = strict_serializability(
            history(sold(2, 1, buyer=1), told), ledger(total=2, available=1, version=2, tickets=[1])
        )
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.DIRTY_READ)
        assert verdict.evidence[-1]["buyer"] == 4

    def test_two_who_saw_one_version_saw_one_stock(self, history, ledger):
        """No answer says who made the second version, and two were refused at it: with nothing left, or one."""
        answers = lost(quantity=2), refused(2, 0, buyer=4), refused(2, 1, buyer=5, quantity=2), sold(4, 1, 200, 300)
        books = ledger(total=2, available=1, version=4, tickets=[4])
        verdict = strict_serializability(history(*answers, refund(0, 3, 2)), books)
        assert found(verdict) == (INVALID, Anomaly.DIRTY_READ, [4, 5])

    def test_the_ledger_says_what_was_left_at_the_last_version(self, history, ledger):
        """It was made by who was not answered: the one left that was shown at it was none."""
        told = sold(2, 1), lost(), refused(3, 1, quantity=2, buyer=4)
        verdict = strict_serializability(history(*told), ledger(total=2, available=0, version=3, tickets=[1, 2]))
        assert found(verdict) == (INVALID, Anomaly.DIRTY_READ, [4])

    @pytest.mark.parametrize(("called", "status"), [(10, VALID), (11, INVALID)])
    def test_a_version_must_have_been_current_during_the_call(self, history, ledger, called, status):
        """The next sale was answered at 10: who calls at that tick may have seen what was before, and nobody later."""
        told = sold(2, 1, 0, 5, buyer=1), refused(2, 1, called, 20, quantity=2, buyer=4), sold(3, 0, 6, 10, buyer=2)
        verdict = strict_serializability(history(*told), ledger(total=2, available=0, version=3, tickets=[1, 3]))
        expected = (INVALID, Anomaly.STALE_READ, [4, 2]) if status is INVALID else (VALID, None, [])
        assert found(verdict) == expected

    @pytest.mark.parametrize(("answered", "status"), [(9, INVALID), (10, VALID)])
    def test_nobody_sees_what_is_made_later(self, history, ledger, answered, status):
        """Answered before the sale was called whose version it saw."""
        told = refused(2, 1, 0, answered, quantity=2), sold(2, 1, 10, 20)
        verdict = strict_serializability(history(*told), ledger(total=2, available=1, version=2, tickets=[2]))
        assert verdict.status is status

    @pytest.mark.parametrize(("called", "status"), [(5, VALID), (11, INVALID)])
    def test_nobody_sees_less_than_who_was_answered_before(self, history, ledger, called, status):
        """The second refusal saw an older version than the first one, and was called after that was answered."""
        told = (
            sold(2, 1, 0, 50),
            sold(3, 0, 0, 50),
            refused(3, 0, 1, 10),
            refused(2, 1, called, 60, quantity=2),
        )
        verdict = strict_serializability(history(*told), ledger(total=2, available=0, version=3, tickets=[1, 2]))
        assert verdict.status is status

    @pytest.mark.parametrize(("called", "status"), [(0, VALID), (30, INVALID)])
    def test_who_was_told_no_version_needs_some_that_was_too_small(self, history, ledger, called, status):
        """Two were left until 20, and again from 25 on: a refusal of two that was called later can not be right."""
        told = sold(2, 1, 10, 20), refund(1, 3, 2, 21, 25), refused(None, None, called, 60, quantity=2, buyer=4)
        verdict = strict_serializability(history(*told), ledger(total=2, available=2, version=3))
        expected = (INVALID, Anomaly.FALSE_SOLD_OUT, [4]) if status is INVALID else (VALID, None, [])
        assert found(verdict) == expected


class TestTime:
    @pytest.mark.parametrize(("called", "status"), [(9, VALID), (10, VALID), (11, INVALID)])
    def test_a_sale_answered_before_another_was_called_comes_before_it(self, history, ledger, called, status):
        """Closed intervals: at the same tick they were under way together."""
        told = sold(3, 0, 0, 10, buyer=1), sold(2, 1, called, 20, buyer=2)
        verdict = strict_serializability(history(*told), ledger(total=2, available=0, version=3, tickets=[1, 2]))
        expected = (INVALID, Anomaly.STALE_READ, [2, 1]) if status is INVALID else (VALID, None, [])
        assert found(verdict) == expected

    def test_baskets_that_are_right_for_each_event_alone_can_be_wrong_together(self, history, ledger):
        """Each comes first of one event: no order of both is an order of either."""
        told = [
            sold(version, 4 - place, purchase_id=number, event=event, line=event, buyer=number)
            for number, orders in ((1, (2, 3)), (2, (3, 2)))
            for event, version in enumerate(orders)
            for place in (version - 2,)
        ]
        books = ledger(events=[(0, 5, 3, 3), (1, 5, 3, 3)], tickets=[(0, 1), (1, 1), (0, 2), (1, 2)])
        verdict = strict_serializability(history(*told), books)
        assert found(verdict) == (INVALID, Anomaly.STALE_READ, [1, 1, 2, 2])

    def test_a_basket_that_came_to_nothing_ties_nothing(self, history, ledger):
        """Nobody told a version: there is no order that could be wrong."""
        told = [sold(None, None, purchase_id=1, event=event, line=event, outcome="failed") for event in (0, 1)]
        books = ledger(events=[(0, 5, 5, 1), (1, 5, 5, 1)])
        assert strict_serializability(history(*told), books).status is VALID

    def test_a_basket_ties_the_times_of_its_events(self, history, ledger):
        """A sale of event 1 that was over before a sale of event 0 began must not come after it by way of a basket."""
        told = [
            sold(2, 4, 50, 60, buyer=1),
            sold(3, 3, 0, 100, purchase_id=9, buyer=2),
            sold(2, 4, 0, 100, purchase_id=9, event=1, line=1, buyer=2),
            sold(3, 3, 0, 40, event=1, buyer=3, purchase_id=4),
        ]
        books = ledger(events=[(0, 5, 3, 3), (1, 5, 3, 3)], tickets=[(0, 1), (0, 9), (1, 9), (1, 4)])
        verdict = strict_serializability(history(*told), books)
        assert found(verdict) == (INVALID, Anomaly.STALE_READ, [1, 2, 2, 3])


class TestUnknown:
    def test_a_purchase_of_unknown_outcome_made_the_version_that_is_missing(self, history, ledger):
        """Its ticket is there, and so it was the third version."""
        told = sold(2, 4), sold(4, 2), lost()
        books = ledger(total=5, available=2, version=4, tickets=[1, 2, 3])
        assert strict_serializability(history(*told), books).status is VALID

    def test_or_it_did_not_happen(self, history, ledger):
        """No ticket, no version."""
        told = sold(2, 4), lost()
        assert (
            strict_serializability(history(*told), ledger(total=5, available=4, version=2, tickets=[1])).status is VALID
        )

    def test_it_can_not_have_made_a_version_without_its_tickets(self, history, ledger):
        """The missing version is nobody's: the one whose answer was lost owns nothing."""
        told = sold(2, 4), sold(4, 2), lost()
        verdict = strict_serializability(history(*told), ledger(total=5, available=2, version=4, tickets=[1, 2]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.PHANTOM_SALE)

    def test_it_can_not_have_made_a_version_before_it_was_called(self, history, ledger):
        """The fourth version was answered before the purchase was called that must have made the third."""
        told = sold(2, 4, 0, 10), sold(4, 2, 0, 20), lost(since=21, until=30, buyer=7)
        verdict = strict_serializability(history(*told), ledger(total=5, available=2, version=4, tickets=[1, 2, 3]))
        assert found(verdict) == (INVALID, Anomaly.LOST_UPDATE, [7])

    def test_it_may_be_made_after_its_answer_was_lost(self, history, ledger):
        """The connection broke at 10, and the server committed later: after what was called at 20."""
        told = sold(2, 4, 20, 30), lost(since=0, until=10)
        books = ledger(total=5, available=3, version=3, tickets=[1, 2])
        assert strict_serializability(history(*told), books).status is VALID

    def test_the_stock_says_which_of_several_made_which_version(self, history, ledger):
        """Of two that were lost, of one ticket and of two, the first gap has room for two tickets only."""
        told = (
            sold(3, 2, buyer=1),
            sold(5, 0, buyer=2),
            lost(buyer=3),
            lost(buyer=4, quantity=2),
        )
        right = ledger(total=5, available=0, version=5, tickets=[1, 2, 3, 4, 4])
        assert strict_serializability(history(*told), right).status is VALID
        wrong = history(sold(3, 1, buyer=1), *told[1:])
        verdict = strict_serializability(wrong, right)
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.LOST_UPDATE)

    def test_more_that_took_effect_than_versions_are_missing_is_wrong(self, history, ledger):
        """Two own tickets, and there is one version for both."""
        told = sold(2, 4), lost(buyer=2), lost(buyer=3)
        verdict = strict_serializability(history(*told), ledger(total=5, available=3, version=3, tickets=[1, 2, 3]))
        assert found(verdict) == (INVALID, Anomaly.LOST_UPDATE, [2, 3])

    def test_a_refund_and_a_purchase_that_may_both_have_been_or_neither(self, history, ledger):
        """Nothing is there in the end: neither was made, or both."""
        answers = sold(2, 4, purchase_id=1), lost(buyer=2, purchase_id=7), refund(7, None, None, outcome="unknown")
        for version in (2, 4):
            books = ledger(total=5, available=4, version=version, tickets=[1])
            assert strict_serializability(history(*answers), books).status is VALID
        books = ledger(total=5, available=4, version=3, tickets=[1])
        assert strict_serializability(history(*answers), books).status is INVALID


class TestRepeated:
    def test_who_is_told_again_was_told_after_the_sale(self, history, ledger):
        """Asked again and answered before the sale was called that it is said to be of."""
        again = sold(None, None, 0, 10, purchase_id=1, cause="repeated")
        books = ledger(total=5, available=4, version=2, tickets=[1])
        for since, status in ((10, VALID), (11, INVALID)):
            told = history(sold(2, 4, since, 20), again)
            assert strict_serializability(told, books).status is status

    def test_what_was_given_back_is_not_there_any_more(self, history, ledger):
        """Told that it had been bought, though it was given back before he asked."""
        told = sold(2, 4, 0, 10), refund(1, 3, 5, 11, 20), sold(None, None, 21, 30, purchase_id=1, cause="repeated")
        verdict = strict_serializability(history(*told), ledger(total=5, available=5, version=3))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.STALE_READ)

    def test_an_earlier_attempt_of_the_call_itself_may_have_sold(self, history, ledger):
        """Nobody else has bought under this id: the version that is missing is its own."""
        told = sold(2, 4), sold(None, None, purchase_id=7, cause="repeated")
        books = ledger(total=5, available=3, version=3, tickets=[1, 7])
        assert strict_serializability(history(*told), books).status is VALID

    def test_what_it_sold_itself_may_have_been_given_back_by_who_was_not_answered(self, history, ledger):
        """Bought, and told of it as a repeat; the refund's answer was lost, and nothing is there: two versions."""
        told = sold(None, None, cause="repeated"), refund(1, None, None, outcome="unknown")
        assert strict_serializability(history(*told), ledger(total=5, available=5, version=3)).status is VALID

    @pytest.mark.parametrize(
        ("stock", "with_search", "without"), [(4, VALID, VALID), (3, VALID, UNKNOWN), (5, VALID, UNKNOWN)]
    )
    def test_the_answered_one_of_two_calls_is_taken_for_the_sale(
        self, history, ledger, monkeypatch, stock, with_search, without
    ):
        """One order will do. Had the lost call sold, the stock in the answer could be any."""
        told = history(sold(2, stock, 0, 10, purchase_id=1), lost(1, 5, purchase_id=1), sold(3, 3, 11, 20))
        books = ledger(total=5, available=3, version=3, tickets=[1, 3])
        assert strict_serializability(told, books).status is with_search
        monkeypatch.setattr(_linearizability, "MOST_ROWS", 0)
        assert strict_serializability(told, books).status is without


class TestRefunds:
    def test_a_refund_raises_the_stock_by_what_it_gives_back(self, history, ledger):
        """Two bought, two given back, and bought by somebody else."""
        told = (
            sold(2, 3, 0, 10, quantity=2),
            refund(1, 3, 5, 11, 20, quantity=2),
            sold(4, 4, 21, 30),
        )
        books = ledger(total=5, available=4, version=4, tickets=[3])
        assert strict_serializability(history(*told), books).status is VALID

    @pytest.mark.parametrize(
        ("back", "anomaly"),
        [
            (refund(9, 3, 5), Anomaly.PHANTOM_SALE),
            (refund(1, 3, 6, quantity=2), Anomaly.HALF_PURCHASE),
        ],
        ids=["never bought", "more than bought"],
    )
    def test_only_what_was_bought_can_be_given_back(self, history, ledger, back, anomaly):
        """The same purchase, and the same tickets."""
        books = ledger(total=5, available=back["available"], version=3)
        verdict = strict_serializability(history(sold(2, 4), back), books)
        assert (verdict.status, verdict.anomaly) == (INVALID, anomaly)

    def test_nothing_can_be_given_back_twice(self, history, ledger):
        """Two refunds of one purchase made a version each."""
        told = sold(2, 3, quantity=1), sold(3, 2), refund(1, 4, 3), refund(1, 5, 4, buyer=2)
        books = ledger(total=4, available=4, version=5, tickets=[2])
        verdict = strict_serializability(history(*told), books)
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.DOUBLE_REFUND)

    def test_nothing_is_given_back_before_it_is_bought(self, history, ledger):
        """The refund made the version before the sale's."""
        told = sold(4, 4, purchase_id=1), refund(1, 3, 5), sold(2, 4, purchase_id=2)
        verdict = strict_serializability(history(*told), ledger(total=5, available=4, version=4, tickets=[2]))
        assert (verdict.status, verdict.anomaly) == (INVALID, Anomaly.DIRTY_READ)


class TestWithoutVersions:
    def test_sales_that_tell_no_version_have_some_order(self, history, ledger):
        """The count of seats allows it, and it is said that the order is not decided."""
        told = sold(None, None), sold(None, None), refused(7, 0, 50, 150)
        verdict = strict_serializability(history(*told), ledger(total=2, available=0, version=9, tickets=[1, 2]))
        assert verdict.status is VALID
        assert "some order of them explains every answer" in verdict.summary

    def test_a_refusal_before_all_sales_is_false_whatever_their_order(self, history, ledger):
        """Answered before anybody had called."""
        told = sold(None, None, 20, 30), refused(7, 0, 0, 10, buyer=4)
        verdict = strict_serializability(history(*told), ledger(total=1, available=0, version=9, tickets=[1]))
        assert found(verdict) == (INVALID, Anomaly.FALSE_SOLD_OUT, [4])

    def test_seats_that_came_back_leave_room_for_an_order(self, history, ledger):
        """Sold, refused meanwhile, given back, and sold to another."""
        told = (
            sold(None, None, 0, 10),
            refused(None, None, 5, 15),
            refund(1, 3, 1, 20, 30),
            sold(None, None, 31, 40),
        )
        books = ledger(total=1, available=0, version=4, tickets=[4])
        assert strict_serializability(history(*told), books).status is VALID
