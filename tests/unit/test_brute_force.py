"""The brute force decides as the sequential model says: each rule accepts what is right and rejects the rest."""

from itertools import chain, combinations, permutations

import pytest
from brute_force import after, ends_as_the_ledger, first_state, possible, reading_of
from generated_cases import generated
from known_histories import KNOWN
from small_cases import NO_EFFECT, Event, Line, Operation, SmallCase

from ticketlab.checks.verdict import Status
from ticketlab.outcomes import Cause, Kind, Outcome

SEATS = 5


def operation(purchase, *lines, at=(0, 9), outcome=Outcome.SOLD, again=False, kind=Kind.PURCHASE):
    """Lines are (quantity, version, available, event), as many of them as matter; by default one ticket of event 0."""
    return Operation(
        kind=kind,
        purchase=purchase,
        lines=tuple(line(*each) for each in lines or [(1,)]),
        invoked=at[0],
        completed=at[1],
        outcome=outcome,
        cause=Cause.REPEATED if again else Cause.NONE,
    )


def line(quantity=1, version=None, available=None, event=0):
    return Line(event=event, quantity=quantity, version=version, available=available)


def sold(purchase, *lines, **fields):
    return operation(purchase, *lines, **fields)


def refused(purchase, *lines, **fields):
    return operation(purchase, *lines, outcome=Outcome.SOLD_OUT, **fields)


def lost(purchase, *lines, **fields):
    return operation(purchase, *lines, outcome=Outcome.UNKNOWN, **fields)


def refunded(purchase, *lines, **fields):
    return operation(purchase, *lines, kind=Kind.REFUND, outcome=Outcome.REFUNDED, **fields)


def lost_refund(purchase, *lines, **fields):
    return operation(purchase, *lines, kind=Kind.REFUND, outcome=Outcome.UNKNOWN, **fields)


def one_event(*operations, tickets=(), total=SEATS, available=None, version=None, **fields):
    """A case of one event, with the purchase id of each ticket."""
    return SmallCase(
        operations=operations,
        events=(Event(total=total, available=available, version=version),),
        tickets=tuple((0, owner) for owner in tickets),
        **fields,
    )


def two_events(*operations, tickets=(), **fields):
    """A case of two events with five seats each, and (event, purchase id) of each ticket."""
    return SmallCase(operations=operations, events=(Event(total=SEATS),) * 2, tickets=tuple(tickets), **fields)


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_history_is_decided_rightly(name):
    """What has to be VALID is possible, what has to be INVALID is not."""
    assert possible(KNOWN[name].case()) is (KNOWN[name].verdict is Status.VALID), KNOWN[name].why


class TestTime:
    FIRST, SECOND = (1, 2, 4), (1, 3, 3)

    @pytest.mark.parametrize(("completed", "expected"), [(4, False), (5, True), (6, True)])
    def test_an_operation_may_follow_one_that_was_invoked_when_it_completed(self, completed, expected):
        """The later version is answered at tick 4, 5 or 6; the earlier one is made from tick 5 on."""
        case = one_event(sold(1, self.FIRST, at=(5, 9)), sold(2, self.SECOND, at=(0, completed)), tickets=[1, 2])
        assert possible(case) is expected

    def test_a_chain_of_three_has_to_fit_too(self):
        """Versions 4, 3 and 2 in order of time: each pair of neighbours overlaps, the first and the last do not."""
        calls = sold(1, (1, 4), at=(0, 4)), sold(2, (1, 3), at=(3, 7)), sold(3, (1, 2), at=(6, 9))
        assert not possible(one_event(*calls, tickets=[1, 2, 3]))
        touching = sold(1, (1, 4), at=(0, 6)), sold(2, (1, 3), at=(3, 7)), sold(3, (1, 2), at=(6, 9))
        assert possible(one_event(*touching, tickets=[1, 2, 3]))

    @pytest.mark.parametrize(("invoked", "expected"), [(5, True), (6, False)])
    def test_an_unknown_outcome_takes_effect_from_its_call_on(self, invoked, expected):
        """Version 2 is its own, and version 3 was answered at tick 5."""
        case = one_event(lost(1, at=(invoked, 7)), sold(2, (1, 3, 3), at=(0, 5)), tickets=[1, 2])
        assert possible(case) is expected

    def test_an_unknown_outcome_takes_effect_long_after_its_call(self):
        """Version 2 was made by a call that began after the lost one had ended."""
        assert possible(one_event(lost(1, at=(0, 1)), sold(2, (1, 2, 4), at=(5, 6)), tickets=[1, 2], version=3))


class TestSales:
    @pytest.mark.parametrize(
        ("version", "available", "expected"),
        [
            (2, 3, True),
            (None, 3, True),
            (2, None, True),
            (None, None, True),
            (3, 3, False),
            (1, 3, False),
            (2, 4, False),
            (2, 5, False),
            (None, 4, False),
        ],
    )
    def test_a_sale_reports_the_numbers_that_it_makes(self, version, available, expected):
        """Two of five seats: version 2 with three left, as far as they are reported."""
        assert possible(one_event(sold(1, (2, version, available)), tickets=[1, 1])) is expected

    @pytest.mark.parametrize(("total", "expected"), [(2, False), (3, True)])
    def test_a_sale_needs_the_seats(self, total, expected):
        """Three tickets of two seats cannot be sold, though all three are in the ledger."""
        assert possible(one_event(sold(1, (3,)), tickets=[1, 1, 1], total=total)) is expected

    def test_a_seat_that_is_returned_later_does_not_serve_an_earlier_sale(self):
        """One seat: the second sale ended before the refund began."""
        early = sold(1, at=(0, 1)), sold(2, at=(2, 3)), refunded(1, at=(4, 5))
        assert not possible(one_event(*early, total=1, tickets=[2]))
        assert possible(one_event(*early[:1], sold(2, at=(2, 4)), refunded(1, at=(4, 5)), total=1, tickets=[2]))

    def test_a_basket_takes_all_its_events_at_one_instant(self):
        """Before another sale by the versions of the first event, and after it by those of the second."""
        basket = sold(1, (1, 2, 4, 0), (1, 3, 3, 1))
        tickets = [(0, 1), (1, 1), (0, 2), (1, 2)]
        assert not possible(two_events(basket, sold(2, (1, 3, 3, 0), (1, 2, 4, 1)), tickets=tickets))
        assert possible(
            two_events(basket, sold(2, (1, 3, 3, 0)), sold(3, (1, 2, 4, 1)), tickets=[*tickets[:3], (1, 3)])
        )

    def test_a_basket_needs_the_seats_of_each_event(self):
        """Six of the second event are not there."""
        assert not possible(two_events(sold(1, (1,), (6, None, None, 1)), tickets=[(0, 1)] + [(1, 1)] * 6))


class TestConfirmations:
    def test_a_second_purchase_of_an_id_changes_nothing(self):
        """Both reports are of the one sale."""
        twice = sold(1, (2, 2, 3), at=(0, 1)), sold(1, (2, 2, 0), at=(2, 3))
        assert possible(one_event(*twice, tickets=[1, 1], available=3, version=2))
        assert not possible(one_event(*twice, tickets=[1, 1], available=1, version=3))
        assert not possible(one_event(*twice, tickets=[1] * 4))

    @pytest.mark.parametrize(("version", "expected"), [(2, True), (None, True), (3, False)])
    def test_a_confirmation_reports_the_version_of_the_sale(self, version, expected):
        """Another sale made version 3 meanwhile; the id's own is version 2."""
        calls = sold(1, (1, 2), at=(0, 1)), sold(2, (1, 3), at=(2, 3)), sold(1, (1, version, 1), at=(4, 5))
        assert possible(one_event(*calls, tickets=[1, 2])) is expected

    @pytest.mark.parametrize("other", [(2, 2), (1, 2, None, 1)])
    def test_a_confirmation_is_of_the_same_lines(self, other):
        """Not of another quantity, nor of another event."""
        assert not possible(two_events(sold(1, (1, 2), at=(0, 1)), sold(1, other, at=(2, 3)), tickets=[(0, 1)]))

    def test_a_confirmation_is_not_of_a_part_of_a_basket(self):
        basket = sold(1, (1, 2, 4, 0), (1, 2, 4, 1), at=(0, 1))
        tickets = [(0, 1), (1, 1)]
        assert possible(two_events(basket, sold(1, (1, 2, 0, 1), (1, 2, 0, 0), at=(2, 3)), tickets=tickets))
        assert not possible(two_events(basket, sold(1, (1, 2, 4, 0), at=(2, 3)), tickets=tickets))

    def test_a_sale_of_unknown_outcome_can_be_confirmed(self):
        """The second call reports the version that the first one made."""
        calls = lost(1, at=(0, 1)), sold(2, (1, 3), at=(2, 3)), sold(1, (1, 2), at=(4, 5))
        assert possible(one_event(*calls, tickets=[1, 2], version=3))

    def test_an_id_buys_again_after_its_refund(self):
        """A sale of its own then, with a version of its own."""
        first = sold(1, (1, 2, 4), at=(0, 1)), refunded(1, (1, 3, 5), at=(2, 3))
        assert possible(one_event(*first, sold(1, (2, 4, 3), at=(4, 5)), tickets=[1, 1]))
        assert not possible(one_event(*first, sold(1, (1, 2, 4), at=(4, 5)), tickets=[1]))
        assert not possible(one_event(*first, sold(1, (2, 4, 3), at=(4, 5))))


class TestRepeatedPurchases:
    def test_a_repeated_purchase_is_its_own_sale_where_no_other_sold(self):
        """All its tickets are there, the stock is less, and what it reports is ignored."""
        assert possible(one_event(sold(1, (2, 9, 9), again=True), tickets=[1, 1], available=3))
        assert not possible(one_event(sold(1, (2,), again=True), tickets=[1], available=4))
        assert not possible(one_event(sold(1, (2,), again=True)))
        assert not possible(one_event(sold(1, (2,), again=True), tickets=[1, 1], total=1))

    def test_a_repeated_purchase_makes_a_version(self):
        calls = sold(1, again=True, at=(0, 1)), sold(2, (1, 3, 3), at=(2, 3))
        assert possible(one_event(*calls, tickets=[1, 2], version=3))
        assert not possible(one_event(*calls, tickets=[1, 2], version=2))

    @pytest.mark.parametrize(
        ("again", "expected"),
        [((1,), True), ((1, 7, 7), True), ((3,), False), ((2, 7, 7, 1), False), ((1, None, None, 1), False)],
    )
    def test_a_repeated_purchase_confirms_a_sale_of_the_same_lines(self, again, expected):
        """Its version and stock are not looked at."""
        first = sold(1, (1, 2, 4), at=(0, 1))
        assert possible(two_events(first, sold(1, again, again=True, at=(2, 3)), tickets=[(0, 1)])) is expected

    def test_a_repeated_purchase_is_no_sale_where_another_of_its_id_sold(self):
        """It came before the only sale could be made, or after the refund."""
        early = sold(1, again=True, at=(0, 1)), sold(1, (1, 2), at=(2, 3))
        assert not possible(one_event(*early, tickets=[1]))
        given_back = sold(1, (1, 2), at=(0, 1)), refunded(1, (1, 3), at=(2, 3)), sold(1, again=True, at=(4, 5))
        assert not possible(one_event(*given_back, tickets=[1]))
        assert not possible(one_event(*given_back))

    def test_two_repeated_purchases_are_one_sale_of_either(self):
        """Both name the same lines."""
        calls, others = [sold(1, (2,), again=True)] * 2, [sold(1, (1,), again=True), sold(1, (2,), again=True)]
        for tickets, expected in ([1], False), ([1, 1], True), ([1, 1, 1], False), ([], False):
            assert possible(one_event(*calls, tickets=tickets)) is expected
            assert not possible(one_event(*others, tickets=tickets))

    def test_a_repeated_purchase_sells_anew_after_a_refund(self):
        """No other purchase of the id was reported as its first sale."""
        calls = lost(1, at=(0, 1)), refunded(1, at=(2, 3)), sold(1, again=True, at=(4, 5))
        assert possible(one_event(*calls, tickets=[1]))
        assert not possible(one_event(*calls))


class TestRefusals:
    @pytest.mark.parametrize(
        ("refusal", "expected"),
        [((3,), True), ((2,), False), ((3, 2, 2), True), ((3, 1, 5), False), ((3, 3, 2), False), ((3, None, 1), False)],
    )
    def test_a_refusal_saw_too_few_seats(self, refusal, expected):
        """After a sale of three of five: too few for three, and at version 2."""
        case = one_event(sold(1, (3, 2, 2), at=(0, 1)), refused(2, refusal, at=(2, 3)), tickets=[1] * 3)
        assert possible(case) is expected

    def test_a_refused_basket_saw_all_its_lines_at_one_instant(self):
        """Each event was sold out for a while, the first before the second."""
        calls = (
            sold(1, (5, 2, 0, 0), at=(0, 1)),
            refunded(1, (5, 3, 5, 0), at=(4, 5)),
            sold(2, (5, 2, 0, 1), at=(6, 7)),
        )
        tickets = [(1, 2)] * 5
        for event in 0, 1:
            assert possible(two_events(*calls, refused(3, (1, None, None, event), at=(2, 9)), tickets=tickets))
        assert not possible(two_events(*calls, refused(3, (1,), (1, None, None, 1), at=(2, 9)), tickets=tickets))

    def test_an_id_that_owns_tickets_may_be_refused(self):
        assert possible(one_event(sold(1, at=(0, 1)), refused(1, at=(2, 3)), total=1, tickets=[1]))


class TestUnknownPurchases:
    def test_it_sells_whole_or_never(self):
        for tickets, expected in ([], True), ([1, 1], True), ([1], False), ([1, 1, 1], False):
            assert possible(one_event(lost(1, (2, 9, 9)), tickets=tickets)) is expected

    def test_it_does_not_sell_to_an_id_that_owns_tickets(self):
        calls = sold(1, (1, 2), at=(0, 1)), lost(1, at=(2, 3))
        assert possible(one_event(*calls, tickets=[1], version=2))
        assert not possible(one_event(*calls, tickets=[1], version=3))
        assert not possible(one_event(*calls, tickets=[1, 1]))

    def test_it_may_sell_between_a_refund_and_nothing(self):
        calls = sold(1, (1, 2), at=(0, 1)), lost(1, at=(0, 1)), refunded(1, (1, 3), at=(2, 3))
        assert possible(one_event(*calls, tickets=[1], version=4))
        assert possible(one_event(*calls, version=3))


class TestOperationsWithoutEffect:
    @pytest.mark.parametrize("outcome", sorted(NO_EFFECT))
    @pytest.mark.parametrize("kind", list(Kind))
    def test_they_do_nothing_and_say_nothing(self, outcome, kind):
        """What they report is ignored, and they sell or return nothing."""
        failed = operation(1, (1, 9, 9), outcome=outcome, kind=kind)
        assert possible(one_event(failed, available=5, version=1))
        assert not possible(one_event(failed, tickets=[1]))
        assert possible(one_event(failed, sold(1, (1, 2, 4)), tickets=[1], version=2))
        assert not possible(one_event(failed, sold(1, (1, 2, 4)), version=3))


class TestRefunds:
    SALE = sold(1, (2, 2, 3), at=(0, 1))

    @pytest.mark.parametrize(
        ("refund", "expected"),
        [
            ((2, 3, 5), True),
            ((2,), True),
            ((2, 3, 4), False),
            ((2, 2, 5), False),
            ((2, 4, 5), False),
            ((1, 3), False),
            ((3, 3), False),
        ],
    )
    def test_a_refund_returns_all_that_its_id_owns(self, refund, expected):
        assert possible(one_event(self.SALE, refunded(1, refund, at=(2, 3)), version=3)) is expected

    def test_a_refund_of_a_part_of_a_basket_is_not_possible(self):
        basket = sold(1, (1, 2, 4, 0), (1, 2, 4, 1), at=(0, 1))
        assert possible(two_events(basket, refunded(1, (1, 3, 5, 0), (1, 3, 5, 1), at=(2, 3))))
        assert not possible(two_events(basket, refunded(1, (1, 3, 5, 0), at=(2, 3)), tickets=[(1, 1)]))
        assert not possible(two_events(basket, refunded(1, (1, 3, 5, 0), at=(2, 3))))

    def test_a_refund_needs_something_to_give_back(self):
        """The tickets of another id, or of a purchase that comes later, are not its own."""
        assert not possible(one_event(self.SALE, refunded(2, (2,), at=(2, 3))))
        assert not possible(one_event(refunded(1, (2,), at=(0, 1)), sold(1, (2, 2, 3), at=(2, 3))))
        twice = refunded(1, (2, 3, 5), at=(2, 3)), refunded(1, (2, 4, 7), at=(4, 5))
        assert not possible(one_event(self.SALE, *twice))

    def test_what_was_given_back_is_gone(self):
        refund = refunded(1, (2, 3, 5), at=(2, 3))
        assert not possible(one_event(self.SALE, refund, tickets=[1, 1]))
        assert not possible(one_event(self.SALE, refund, available=3))

    @pytest.mark.parametrize(("at", "expected"), [((0, 0), True), ((2, 3), False), ((6, 7), True)])
    def test_a_repeated_refund_found_nothing(self, at, expected):
        """Before the sale, or after the refund; what it reports is ignored."""
        calls = self.SALE, refunded(1, (2, 3, 5), at=(4, 5)), refunded(1, (1, 9, 9), again=True, at=at)
        assert possible(one_event(*calls)) is expected

    def test_a_refund_of_unknown_outcome_returns_all_or_never_happens(self):
        lost_one = lost_refund(1, (2, 9, 9), at=(2, 3))
        assert possible(one_event(self.SALE, lost_one, available=5, version=3))
        assert possible(one_event(self.SALE, lost_one, tickets=[1, 1], available=3, version=2))
        assert not possible(one_event(self.SALE, lost_one, tickets=[1]))
        assert not possible(one_event(self.SALE, lost_refund(1, (1,), at=(2, 3))))
        assert not possible(one_event(self.SALE, lost_refund(2, (2,), at=(2, 3))))


class TestTheEnd:
    @pytest.mark.parametrize(
        ("ledger", "expected"),
        [
            ({"tickets": [1, 1]}, True),
            ({"tickets": [1, 1], "available": 3, "version": 2}, True),
            ({"tickets": [1]}, False),
            ({"tickets": [1, 1, 1]}, False),
            ({"tickets": [1, 2]}, False),
            ({"tickets": [1, 1, 2]}, False),
            ({"tickets": [1, 1], "available": 2}, False),
            ({"tickets": [1, 1], "available": -2}, False),
            ({"tickets": [1, 1], "version": 1}, False),
            ({"tickets": [1, 1], "version": 3}, False),
        ],
    )
    def test_the_ledger_holds_what_the_order_leaves(self, ledger, expected):
        """After a sale of two of five; what the ledger does not say may be anything."""
        assert possible(one_event(sold(1, (2, 2, 3)), **ledger)) is expected

    def test_tickets_are_of_the_event_that_was_sold(self):
        assert not possible(two_events(sold(1, (1, 2, 4)), tickets=[(1, 1)]))

    def test_an_event_that_nobody_asked_for_is_as_it_was(self):
        for event, expected in (Event(total=5, available=5, version=1), True), (Event(total=5, available=4), False):
            case = SmallCase(operations=(sold(1, (1, 2)),), events=(Event(total=5), event), tickets=((0, 1),))
            assert possible(case) is expected


class TestVersions:
    def test_a_history_in_which_no_sale_carries_a_version_has_none(self):
        """Versions of refusals, of answers without effect, and of the ledger are ignored; stocks are not."""
        calls = sold(1, (3, None, 2), at=(0, 1)), refused(2, (3, 9, 2), at=(2, 3)), lost(3, (1, 7, 7), at=(9, 9))
        assert possible(one_event(*calls, tickets=[1] * 3, version=8))
        assert not possible(one_event(*calls, tickets=[1] * 3, available=3, version=8))
        assert not possible(one_event(calls[0], refused(2, (3, 9, 1), at=(2, 3)), tickets=[1] * 3))

    @pytest.mark.parametrize("other", [sold(9, (1, 4, 9), again=True), lost(9, (1, 4)), refused(9, (1, 4))])
    def test_only_a_first_sale_makes_versions_count(self, other):
        """A repeated sale, an unknown outcome, or a refusal with a version leaves the history without versions."""
        one_seat = sold(1, at=(0, 1)), replace_times(other)
        tickets = [1, 9] if other.outcome is Outcome.SOLD else [1]
        assert possible(one_event(*one_seat, total=len(tickets), tickets=tickets, version=7))

    def test_one_sale_with_a_version_makes_all_versions_count(self):
        """On the other event too: there the two sales made versions 2 and 3, though neither reports one."""
        calls = sold(1, (1, 2)), sold(2, (1, None, None, 1), at=(0, 1)), sold(3, (2, None, None, 1), at=(2, 3))
        tickets = [(0, 1), (1, 2), (1, 3), (1, 3)]
        for version, expected in (3, True), (2, False), (4, False):
            case = SmallCase(
                operations=calls, events=(Event(total=5), Event(total=5, version=version)), tickets=tuple(tickets)
            )
            assert possible(case) is expected
        late = refused(4, (3, 2, 2, 1), at=(4, 5))
        assert not possible(two_events(*calls, late, tickets=tickets))
        assert possible(two_events(*calls, refused(4, (3, 3, 2, 1), at=(4, 5)), tickets=tickets))

    @pytest.mark.parametrize(
        ("first", "second", "expected"), [(3, 7, True), (3, 3, False), (7, 3, False), (None, 1, True)]
    )
    def test_without_versions_those_of_refunds_rise(self, first, second, expected):
        """In the order in which they took effect; how many sales were between them does not matter."""
        calls = (
            sold(1, at=(0, 1)), refunded(1, (1, first, 5), at=(2, 3)),
            sold(2, at=(4, 5)), refunded(2, (1, second, 5), at=(6, 7)),
        )  # fmt: skip
        assert possible(one_event(*calls)) is expected

    def test_without_versions_those_of_refunds_rise_on_each_event_alone(self):
        calls = (
            sold(1, at=(0, 1)), refunded(1, (1, 5), at=(2, 3)),
            sold(2, (1, None, None, 1), at=(4, 5)), refunded(2, (1, 3, 5, 1), at=(6, 7)),
        )  # fmt: skip
        assert possible(two_events(*calls))

    def test_without_versions_refunds_at_one_time_may_come_in_either_order(self):
        sales = sold(1, at=(0, 1)), sold(2, at=(0, 1))
        assert possible(one_event(*sales, refunded(1, (1, 7), at=(2, 3)), refunded(2, (1, 3), at=(2, 3))))
        assert not possible(one_event(*sales, refunded(1, (1, 7, 4), at=(2, 3)), refunded(2, (1, 3, 5), at=(2, 3))))


class TestStockElsewhere:
    def test_reported_numbers_are_ignored(self):
        """Of sales, refusals and refunds, and the version in the end; the stock in the end is not."""
        calls = (
            sold(1, (1, 9, 9), at=(0, 1)), sold(2, (4, 9, 0), at=(2, 3)), refused(3, (1, 9, 7), at=(4, 5)),
            refunded(1, (1, 3, 8), at=(6, 7)), sold(4, (1, 2, 2), at=(8, 9)), refunded(4, (1, 3, 8), at=(10, 11)),
        )  # fmt: skip
        assert possible(one_event(*calls, tickets=[2] * 4, available=1, version=1, stock_elsewhere=True))
        assert not possible(one_event(*calls, tickets=[2] * 4, available=2, stock_elsewhere=True))
        assert not possible(one_event(*calls, tickets=[2] * 4))

    def test_a_refusal_still_needs_too_few_seats(self):
        assert not possible(one_event(refused(1, (1, 1, 0)), stock_elsewhere=True))

    def test_a_version_of_a_confirmation_is_ignored(self):
        twice = sold(1, (1, 2), at=(0, 1)), sold(1, (1, 9), at=(2, 3))
        assert possible(one_event(*twice, tickets=[1], stock_elsewhere=True))
        assert not possible(one_event(*twice, tickets=[1]))


def replace_times(call):
    """The same call after the first ones."""
    return operation(
        call.purchase,
        *[(each.quantity, each.version, each.available, each.event) for each in call.lines],
        at=(2, 3), outcome=call.outcome, again=call.repeated,
    )  # fmt: skip


class TestTheSearch:
    def test_it_misses_no_order_and_invents_none(self):
        """Every permutation of every choice of unknown outcomes, without memory and without a bound, agrees with it."""
        cases = [case for case in map(generated, range(600)) if len(case.operations) <= 5]
        assert len(cases) > 300
        assert [case for case in cases if possible(case) is not any(map_orders(case))] == []


def map_orders(case):
    """Of each order of the operations that took effect, whether it explains the case."""
    called = [each for each in case.operations if each.outcome not in NO_EFFECT]
    sure = [each for each in called if each.outcome is not Outcome.UNKNOWN]
    unsure = [each for each in called if each.outcome is Outcome.UNKNOWN]
    chosen = chain.from_iterable(combinations(unsure, count) for count in range(len(unsure) + 1))
    for happened in chosen:
        for order in permutations([*sure, *happened]):
            yield in_time(order) and explains(case, order)


def in_time(order):
    """Whether no operation comes after one that was invoked when it had been answered."""
    return not any(
        later.outcome is not Outcome.UNKNOWN and later.completed < earlier.invoked
        for earlier, later in combinations(order, 2)
    )


def explains(case, order):
    reading, state = reading_of(case), first_state(case)
    for each in order:
        state = after(case, reading, each, state)
        if state is None:
            return False
    return ends_as_the_ledger(case, reading, state)
