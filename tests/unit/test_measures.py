import math

import pytest

from ticketlab.history import measures
from ticketlab.history.index import IndexedHistory
from ticketlab.outcomes import RETRIES

MS = 1_000_000
S = 1_000 * MS


def measure(history, ledger):
    return measures.measure(IndexedHistory(history, ledger))


def stock_over_time(history, ledger):
    return measures.stock_over_time(IndexedHistory(history, ledger))


def test_outcomes_tickets_and_retries_are_counted(history, ledger):
    """Each outcome has its number; tickets are counted as tickets and sales as purchases."""
    operations = (
        {"quantity": 3},
        {"attempts": 4},
        {"outcome": "sold_out"},
        {"outcome": "conflict", "attempts": 20},
        {"outcome": "failed"},
        {"outcome": "unavailable"},
        {"outcome": "unknown"},
    )
    found = measure(history(*operations), ledger(total=2, available=0, tickets=[1, 1, 1, 2]))
    assert (found.sold, found.sales, found.sold_out, found.conflicts) == (4, 2, 1, 1)
    assert (found.failed, found.unavailable, found.unknown) == (1, 1, 1)
    assert (found.seats, found.tickets, found.oversold, found.retries) == (2, 4, 2, 22)


def test_retries_are_counted_by_cause(history, ledger):
    """Each cause has its number, and every cause its field."""
    operations = {"attempts": 4, "retries_deadlock": 1, "retries_stale_version": 2}, {"retries_stale_version": 5}
    found = measure(history(*operations), ledger(total=2, tickets=[1, 2])).as_dict()
    assert {name: count for name, count in found.items() if name.startswith("retries_")} == (
        dict.fromkeys(RETRIES.values(), 0) | {"retries_deadlock": 1, "retries_stale_version": 7}
    )


def test_a_basket_is_one_purchase_with_the_tickets_of_all_its_events(history, ledger):
    """Sales, refusals, retries and latencies count baskets; tickets count what is in them."""
    basket = {"purchase_id": 1, "attempts": 3, "retries_deadlock": 2, "completed_ns": 10 * MS}
    operations = (
        basket | {"event": 0, "line": 0, "quantity": 2},
        basket | {"event": 1, "line": 1, "quantity": 3},
        {"purchase_id": 2, "event": 1, "completed_ns": 30 * MS},
        {"purchase_id": 3, "event": 0, "line": 0, "outcome": "sold_out"},
        {"purchase_id": 3, "event": 1, "line": 1, "outcome": "sold_out"},
    )
    books = ledger(events=[(0, 2, 0, 2), (1, 4, 0, 3)], tickets=[(0, 1)] * 2 + [(1, 1)] * 3 + [(1, 2)])
    found = measure(history(*operations), books)
    assert (found.sold, found.tickets, found.sales, found.sold_out) == (6, 6, 2, 1)
    assert (found.retries, found.retries_deadlock, found.p50_ms) == (2, 2, 20.0)
    assert found.purchases_per_s == pytest.approx(2 / 0.030)


@pytest.mark.parametrize(("size", "seconds"), [(2, 1.0), (1, 3.0)])
def test_what_is_too_little_for_a_basket_counts_as_gone(history, ledger, size, seconds):
    """Seats of one event are no stock where every purchase is of two; where one is enough, they are."""
    basket = [{"purchase_id": 1, "event": event, "line": event, "completed_ns": 1 * S} for event in (0, 1)][:size]
    late = [{"purchase_id": 2, "event": event, "line": event, "outcome": "conflict"} for event in (0, 1)]
    operations = *basket, *(each | {"completed_ns": 3 * S} for each in late)
    books = ledger(events=[(0, 1, 0, 2), (1, 9, 8, 2)], tickets=[(0, 1), (1, 1)])
    assert measure(history(*operations), books).seconds == seconds


def test_throughput_ends_with_the_last_sale_when_the_stock_is_gone(history, ledger):
    """Two sales in two seconds are one a second, however fast "sold out" is answered afterwards."""
    operations = (
        {"completed_ns": 1 * S},
        {"completed_ns": 2 * S},
        *({"outcome": "sold_out", "completed_ns": 2 * S + n * MS} for n in range(1_000)),
    )
    found = measure(history(*operations), ledger(total=2, available=0, tickets=[1, 2]))
    assert (found.seconds, found.purchases_per_s) == (2.0, 1.0)


def test_throughput_counts_the_whole_time_while_there_is_stock(history, ledger):
    """A strategy that sells once and then only collides is slow, not fast."""
    operations = {"completed_ns": 10 * MS}, {"outcome": "conflict", "completed_ns": 4 * S}
    found = measure(history(*operations), ledger(total=5, available=4, tickets=[1]))
    assert (found.seconds, found.purchases_per_s) == (4.0, 0.25)


def test_a_false_sold_out_does_not_shorten_the_time(history, ledger):
    """Stock that is left in the end was there all the time, whatever buyers were told."""
    operations = {"completed_ns": 1 * S}, {"outcome": "sold_out", "completed_ns": 3 * S}
    assert measure(history(*operations), ledger(total=5, available=4, tickets=[1])).seconds == 3.0


def test_a_remainder_that_nobody_wanted_counts_as_gone(history, ledger):
    """One seat left is no stock for buyers who want two."""
    operations = {"quantity": 2, "completed_ns": 1 * S}, {"quantity": 2, "outcome": "sold_out", "completed_ns": 3 * S}
    assert measure(history(*operations), ledger(total=3, available=1, tickets=[1, 1])).seconds == 1.0


@pytest.mark.parametrize(("left", "seconds"), [(0, 2.0), (1, 5.0)])
def test_the_selling_ends_when_every_event_is_gone(history, ledger, left, seconds):
    """One event gone is not the end while another one has a seat."""
    operations = (
        {"event": 0, "completed_ns": 1 * S},
        {"event": 1, "completed_ns": 2 * S},
        {"event": 0, "outcome": "sold_out", "completed_ns": 4 * S},
        {"event": 1, "outcome": "conflict", "completed_ns": 5 * S},
    )
    books = ledger(events=[(0, 1, 0, 2), (1, 1 + left, left, 2)], tickets=[(0, 1), (1, 2)])
    assert measure(history(*operations), books).seconds == seconds


@pytest.mark.parametrize(("left", "seconds"), [(0, 1.0), (1, 1.0), (2, 3.0), (3, 3.0)])
def test_the_smallest_purchase_decides_what_is_gone(history, ledger, left, seconds):
    """What is too little for four is still stock for a buyer of two."""
    operations = (
        {"quantity": 2, "completed_ns": 1 * S},
        {"quantity": 4, "outcome": "sold_out", "completed_ns": 3 * S},
    )
    books = ledger(total=2 + left, available=left, tickets=[1, 1])
    assert measure(history(*operations), books).seconds == seconds


def test_the_smallest_purchase_is_that_of_the_event(history, ledger):
    """One seat left is nothing to an event's buyers of two, whatever those of another event want."""
    operations = (
        {"event": 0, "quantity": 1, "completed_ns": 1 * S},
        {"event": 1, "quantity": 2, "completed_ns": 2 * S},
        {"event": 1, "quantity": 2, "outcome": "sold_out", "completed_ns": 4 * S},
    )
    books = ledger(events=[(1, 3, 1, 2), (0, 1, 0, 2)], tickets=[(0, 1), (1, 2), (1, 2)])
    assert measure(history(*operations), books).seconds == 2.0


def test_stock_that_was_gone_without_a_sale_takes_the_whole_time(history, ledger):
    """No sale, no last sale: the time is that of the refusals."""
    operations = {"outcome": "sold_out", "completed_ns": 3 * S}
    found = measure(history(operations), ledger(total=0, available=0))
    assert (found.seconds, found.purchases_per_s) == (3.0, 0.0)


@pytest.mark.parametrize("outcome", ["sold_out", "failed", "unavailable", "unknown"])
def test_quick_answers_that_are_no_work_do_not_lower_the_latency(history, ledger, outcome):
    """A hundred answers in a millisecond beside one sale in ten: the latency is that of the sale."""
    operations = {"completed_ns": 10 * MS}, *({"outcome": outcome, "completed_ns": 1 * MS} for _ in range(100))
    found = measure(history(*operations), ledger(total=1, available=0, tickets=[1]))
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (10.0, 10.0, 10.0)


def test_latency_leaves_out_sold_out_and_counts_those_who_gave_up(history, ledger):
    """Percentiles are over the work: a quick refusal does not make it faster, a slow failure makes it slower."""
    operations = (
        {"scheduled_ns": 0, "invoked_ns": 5 * MS, "completed_ns": 10 * MS},
        {"outcome": "conflict", "completed_ns": 30 * MS},
        *({"outcome": "sold_out", "completed_ns": 1 * MS} for _ in range(100)),
    )
    found = measure(history(*operations), ledger(total=1, available=0, tickets=[1]))
    assert found.p50_ms == pytest.approx(20)
    assert found.p99_ms == pytest.approx(29.8)


def test_a_trial_without_purchases_has_numbers_all_the_same(history, ledger):
    """Nothing bought: no throughput, no latency, and no error."""
    found = measure(history(), ledger(total=1, available=1))
    assert (found.seconds, found.purchases_per_s, found.sold) == (0.0, 0.0, 0)
    assert math.isnan(found.p50_ms)


def test_stock_falls_with_each_sale_and_below_zero_with_an_oversell(history, ledger):
    """The curve starts with every seat and follows the sales in order of their completion."""
    operations = {"completed_ns": 3 * S, "quantity": 2}, {"completed_ns": 1 * S}, {"outcome": "failed"}
    curve = stock_over_time(history(*operations), ledger(total=2, tickets=[1, 1, 2]))
    assert curve.to_numpy().tolist() == [[0, 2], [1, 1], [3, -1]]


def test_stock_falls_by_a_basket_at_once(history, ledger):
    """One step a sale, in the order in which buyers were told, with or without a version."""
    operations = (
        {"purchase_id": 1, "event": 0, "line": 0, "quantity": 2, "completed_ns": 2 * S},
        {"purchase_id": 1, "event": 1, "line": 1, "quantity": 3, "completed_ns": 2 * S},
        {"purchase_id": 2, "event": 1, "completed_ns": 1 * S},
        {"purchase_id": 3, "event": 0, "line": 0, "quantity": 1, "completed_ns": 2 * S},
        {"purchase_id": 3, "event": 1, "line": 1, "quantity": 1, "completed_ns": 2 * S},
    )
    books = ledger(events=[(0, 4, 1, 3), (1, 6, 1, 4)])
    assert stock_over_time(history(*operations), books).to_numpy().tolist() == [[0, 10], [1, 9], [2, 4], [2, 2]]
    assert stock_over_time(history(), books).to_numpy().tolist() == [[0, 10]]


BACK = {"kind": "refund", "outcome": "refunded"}


def test_what_was_given_back_is_not_sold_and_a_refund_is_no_purchase(history, ledger):
    """Tickets told sold less those told given back are what buyers own; refunds have counts of their own."""
    repeated = BACK | {"purchase_id": 1, "cause": "repeated", "quantity": 3}
    operations = (
        {"purchase_id": 1, "quantity": 3},
        {"purchase_id": 2, "quantity": 2, "attempts": 2},
        BACK | {"purchase_id": 1, "quantity": 3, "attempts": 5, "retries_deadlock": 4},
        repeated,
        *({"kind": "refund", "purchase_id": 2, "outcome": each} for each in ("conflict", "failed", "unavailable")),
        {"kind": "refund", "purchase_id": 2, "outcome": "unknown"},
    )
    found = measure(history(*operations), ledger(total=5, available=3, tickets=[2, 2]))
    assert (found.sold, found.tickets, found.refunded, found.sales) == (2, 2, 3, 2)
    assert (found.conflicts, found.failed, found.unavailable, found.unknown) == (0, 0, 0, 0)
    assert (found.refunds_failed, found.refunds_unknown) == (3, 1)
    assert (found.retries, found.retries_deadlock) == (1, 0)


def test_refunds_are_in_no_time_of_purchases(history, ledger):
    """A slow refund makes neither the latency nor the selling time longer, nor a small one the smallest purchase."""
    operations = (
        {"purchase_id": 1, "quantity": 2, "completed_ns": 1 * S},
        BACK | {"purchase_id": 1, "quantity": 1, "invoked_ns": 1 * S, "completed_ns": 9 * S},
        {"purchase_id": 2, "quantity": 2, "outcome": "sold_out", "completed_ns": 3 * S},
    )
    books = ledger(total=3, available=1, tickets=[1, 1])
    found = measure(history(*operations), books)
    assert (found.seconds, found.p99_ms, found.purchases_per_s) == (1.0, 1_000.0, 1.0)


def test_seats_that_came_back_and_were_not_sold_again_were_stock_to_the_end(history, ledger):
    """The selling goes on until the last purchase was over."""
    operations = (
        {"purchase_id": 1, "completed_ns": 1 * S},
        {"purchase_id": 2, "outcome": "sold_out", "completed_ns": 3 * S},
        BACK | {"purchase_id": 1, "invoked_ns": 4 * S, "completed_ns": 5 * S},
    )
    assert measure(history(*operations), ledger(total=1, available=1)).seconds == 3.0


def test_stock_rises_when_a_refund_is_asked_for(history, ledger):
    """Who buys its tickets may be told before the refund is: the curve does not fall below what there was."""
    operations = (
        {"purchase_id": 1, "quantity": 2, "completed_ns": 1 * S},
        BACK | {"purchase_id": 1, "quantity": 2, "invoked_ns": 2 * S, "completed_ns": 5 * S},
        {"purchase_id": 2, "quantity": 2, "invoked_ns": 2 * S, "completed_ns": 3 * S},
        BACK | {"purchase_id": 1, "quantity": 2, "invoked_ns": 6 * S, "cause": "repeated"},
    )
    curve = stock_over_time(history(*operations), ledger(total=2, tickets=[2, 2]))
    assert curve.to_numpy().tolist() == [[0, 2], [1, 0], [2, 2], [3, 0]]


def test_stock_rises_by_a_basket_at_once(history, ledger):
    """One step a refund, whatever the number of its events."""
    basket = {"purchase_id": 1, "completed_ns": 1 * S}
    back = BACK | {"purchase_id": 1, "invoked_ns": 2 * S, "completed_ns": 3 * S}
    operations = [each | {"event": line, "line": line, "quantity": 2} for each in (basket, back) for line in (0, 1)]
    books = ledger(events=[(0, 5, 5, 3), (1, 5, 5, 3)])
    assert stock_over_time(history(*operations), books).to_numpy().tolist() == [[0, 10], [1, 6], [2, 10]]


@pytest.mark.parametrize(("tickets", "left"), [([], 1), ([1], 0)])
def test_a_refund_of_unknown_outcome_counts_where_the_ledger_shows_it(history, ledger, tickets, left):
    """Nothing of its purchase is there any more: the tickets came back, whatever its buyer was told."""
    operations = (
        {"purchase_id": 1, "completed_ns": 1 * S},
        {"purchase_id": 1, "kind": "refund", "outcome": "unknown", "invoked_ns": 2 * S},
    )
    curve = stock_over_time(history(*operations), ledger(total=1, available=left, tickets=tickets))
    assert curve["left"].iloc[-1] == left


class TestIdsCalledTwice:
    def test_a_sale_that_is_told_twice_is_one_sale(self, history, ledger):
        """With the cause REPEATED or without it: tickets, sales and times are those of the first call."""
        operations = (
            {"purchase_id": 1, "quantity": 2, "invoked_ns": 0, "completed_ns": 10 * MS},
            {"purchase_id": 1, "quantity": 2, "invoked_ns": 5 * MS, "completed_ns": 90 * MS},
            {"purchase_id": 2, "invoked_ns": 6 * MS, "completed_ns": 26 * MS},
            {"purchase_id": 2, "invoked_ns": 50 * MS, "completed_ns": 99 * MS, "cause": "repeated", "attempts": 3},
            {"purchase_id": 2, "quantity": 9, "outcome": "failed", "cause": "repeated"}
            | {"invoked_ns": 70 * MS, "completed_ns": 500 * MS},
        )
        operations = [each | {"scheduled_ns": each["invoked_ns"]} for each in operations]
        found = measure(history(*operations), ledger(total=9, available=6, tickets=[1, 1, 2]))
        assert (found.sold, found.sales, found.double_called, found.failed) == (3, 2, 2, 0)
        assert (found.p50_ms, found.retries, found.seconds) == (15.0, 0, 0.026)
        assert stock_over_time(history(*operations), ledger(total=9, tickets=[1, 1, 2]))["left"].tolist() == [9, 7, 6]

    def test_a_sale_that_only_the_second_call_was_told_of_counts(self, history, ledger):
        """The first answer was lost: it is unknown, and the purchase is a sale, told as a repeat or not."""
        operations = (
            {"purchase_id": 1, "outcome": "unknown", "invoked_ns": 0, "completed_ns": 1 * MS},
            {"purchase_id": 1, "cause": "repeated", "invoked_ns": 2 * MS, "completed_ns": 3 * MS},
            {"purchase_id": 2, "outcome": "unknown", "invoked_ns": 4 * MS, "completed_ns": 5 * MS},
            {"purchase_id": 2, "invoked_ns": 6 * MS, "completed_ns": 7 * MS},
        )
        found = measure(history(*operations), ledger(total=2, available=0, tickets=[1, 2]))
        assert (found.sold, found.sales, found.unknown, found.double_called) == (2, 2, 2, 2)

    def test_an_id_that_buys_again_after_a_refund_has_two_sales(self, history, ledger):
        """One ticket was given back, one is owned; a third answer under that id only confirms."""
        operations = (
            {"invoked_ns": 1, "completed_ns": 2},
            {"invoked_ns": 3, "completed_ns": 4, "kind": "refund", "outcome": "refunded"},
            {"invoked_ns": 5, "completed_ns": 6},
            {"invoked_ns": 7, "completed_ns": 8, "cause": "repeated"},
        )
        found = measure(history(*({"purchase_id": 1} | each for each in operations)), ledger(total=1, tickets=[1]))
        assert (found.sold, found.refunded, found.sales) == (1, 1, 2)

    def test_a_basket_that_is_told_twice_is_one_sale(self, history, ledger):
        """All lines of the second answer are left out."""
        lines = [{"purchase_id": 1, "event": event, "line": event, "quantity": 2} for event in (0, 1)]
        again = [each | {"cause": "repeated", "invoked_ns": 9 * MS, "completed_ns": 10 * MS} for each in lines]
        books = ledger(events=[(0, 5, 3, 2), (1, 5, 3, 2)], tickets=[(0, 1)] * 2 + [(1, 1)] * 2)
        found = measure(history(*lines, *again), books)
        assert (found.sold, found.sales, found.double_called) == (4, 1, 1)
