"""Every check accepts what is right and rejects what is wrong, with the operations that prove it."""

from uuid import UUID

import pytest

from ticketlab import checks
from ticketlab.checks import judge, no_false_sold_out, no_oversell, sales_in_ledger, tickets_accounted_for
from ticketlab.checks.verdict import Status, Verdict, overall
from ticketlab.history.ledger import Ledger

VALID, INVALID, UNKNOWN = Status.VALID, Status.INVALID, Status.UNKNOWN


class TestNoOversell:
    @pytest.mark.parametrize(("seats", "status"), [((1, 1), Status.INVALID), ((1, 2), Status.VALID)])
    def test_a_seat_that_two_buyers_have_is_sold_twice_though_the_count_is_right(self, history, seats, status):
        """Where the ledger knows the ids of its tickets; two events may number theirs alike."""
        owners = [UUID(int=number).bytes for number in (1, 2, 3)]
        tickets = [(0, owners[0], UUID(int=seats[0]).bytes), (0, owners[1], UUID(int=seats[1]).bytes)]
        books = Ledger.of(
            events=[(0, 5, 3, None), (1, 5, 4, None)], tickets=[*tickets, (1, owners[2], UUID(int=1).bytes)]
        )
        verdict = no_oversell(history({}, {"buyer": 1}, {"event": 1}), books)
        assert verdict.status is status
        assert (verdict.summary == "event 0: 1 ticket has the id of another ticket") is (status is Status.INVALID)
        assert [row["buyer"] for row in verdict.evidence] == ([0, 1] if status is Status.INVALID else [])

    def test_as_many_tickets_as_seats_is_right(self, history, ledger):
        """Every seat sold and none left is no oversell."""
        verdict = no_oversell(history({}, {}), ledger(total=2, available=0, tickets=[1, 2]))
        assert verdict.status is VALID

    def test_two_buyers_of_the_last_ticket_are_an_oversell(self, history, ledger):
        """Two confirmed purchases of one seat are an oversell, and the later version is its evidence."""
        operations = {"version": 3, "buyer": 1}, {"version": 2, "buyer": 2}
        verdict = no_oversell(history(*operations), ledger(total=1, available=0, tickets=[1, 2]))
        assert verdict.status is INVALID
        assert "2 tickets for 1 seat, 1 too many" in verdict.summary
        assert [(row["buyer"], row["version"]) for row in verdict.evidence] == [(1, 3)]

    def test_a_purchase_of_several_can_be_the_one_too_many(self, history, ledger):
        """The sale that crosses the last seat is evidence, though its first ticket still had one."""
        operations = {"version": 2, "quantity": 2}, {"version": 3, "quantity": 2}
        verdict = no_oversell(history(*operations), ledger(total=3, available=0, tickets=[1, 1, 2, 2]))
        assert [row["version"] for row in verdict.evidence] == [3]

    def test_a_lost_update_shows_before_the_seats_run_out(self, history, ledger):
        """A stock that is not what the tickets leave is wrong, though nobody stands without a seat yet."""
        verdict = no_oversell(history({}, {}), ledger(total=10, available=9, tickets=[1, 2]))
        assert verdict.status is INVALID
        assert "the stock is 9" in verdict.summary
        assert verdict.evidence[0]["available"] == 9

    def test_a_stock_below_what_is_left_is_wrong_too(self, history, ledger):
        """Stock that was taken without a ticket is lost to the seller."""
        assert no_oversell(history({}), ledger(total=10, available=7, tickets=[1])).status is INVALID

    def test_one_event_does_not_make_up_for_another(self, history, ledger):
        """An oversold event is found beside one with seats to spare."""
        books = ledger(events=[(0, 1, 0, 3), (1, 9, 9, 1)], tickets=[(0, 1), (0, 2)])
        assert no_oversell(history({}, {}), books).status is INVALID


class TestSalesInLedger:
    def test_a_sale_with_its_tickets_is_right(self, history, ledger):
        """As many tickets as were told, under the purchase's own id."""
        books = ledger(total=5, available=2, tickets=[1, 1, 2])
        assert sales_in_ledger(history({"quantity": 2}, {}), books).status is VALID

    @pytest.mark.parametrize(
        "tickets", [[], [1], [1, 1, 1], [(1, 1), (1, 1)]], ids=["none", "part", "more", "other event"]
    )
    def test_a_sale_without_its_tickets_is_wrong(self, history, ledger, tickets):
        """No ticket, too few, too many, or those of another event: the sale was not what its buyer was told."""
        books = ledger(events=[(0, 5, 5, 1), (1, 5, 5, 1)], tickets=tickets)
        verdict = sales_in_ledger(history({"quantity": 2, "buyer": 7}), books)
        assert verdict.status is INVALID
        assert verdict.evidence[0]["buyer"] == 7
        assert verdict.evidence[0]["purchase_id"] == str(UUID(int=1))

    @pytest.mark.parametrize(
        ("tickets", "status"), [([1, 1], VALID), ([1, 1, 1, 1], INVALID), ([1], INVALID)], ids=["once", "twice", "part"]
    )
    def test_a_sale_told_of_twice_owns_its_quantity_once(self, history, ledger, tickets, status):
        """Whoever asks again under the same purchase id is told again of the tickets that he has."""
        operations = [{"purchase_id": 1, "quantity": 2, "buyer": buyer} for buyer in (0, 1)]
        assert sales_in_ledger(history(*operations), ledger(total=9, tickets=tickets)).status is status

    @pytest.mark.parametrize(("asked", "status"), [(2, VALID), (1, INVALID), (3, INVALID)])
    def test_sold_before_is_only_said_of_what_the_id_owns(self, history, ledger, asked, status):
        """An id that is called again for another number of tickets has not bought them."""
        operations = {"purchase_id": 1, "quantity": 2}, {"purchase_id": 1, "quantity": asked, "cause": "repeated"}
        verdict = sales_in_ledger(history(*operations), ledger(total=9, tickets=[1, 1]))
        assert verdict.status is status
        assert [row["quantity"] for row in verdict.evidence] == ([asked] if status is INVALID else [])

    @pytest.mark.parametrize("outcome", ["sold_out", "conflict", "unavailable", "failed", "unknown"])
    def test_nothing_is_owed_where_nothing_was_sold(self, history, ledger, outcome):
        """A purchase that was not confirmed needs no ticket."""
        assert sales_in_ledger(history({"outcome": outcome}), ledger(total=1, available=1)).status is VALID


class TestTicketsAccountedFor:
    def test_tickets_of_sales_are_right(self, history, ledger):
        """Whoever holds a ticket was told so."""
        assert tickets_accounted_for(history({}), ledger(total=1, tickets=[1])).status is VALID

    def test_a_ticket_of_nobody_is_wrong(self, history, ledger):
        """A ticket whose purchase is in no history came from somewhere else."""
        verdict = tickets_accounted_for(history({}), ledger(total=2, tickets=[1, 99]))
        assert verdict.status is INVALID
        assert verdict.evidence == ({"event": 0, "purchase_id": str(UUID(int=99)), "tickets": 1},)

    @pytest.mark.parametrize("outcome", ["sold_out", "conflict", "unavailable", "failed"])
    def test_a_buyer_who_was_refused_must_hold_nothing(self, history, ledger, outcome):
        """Told that it failed, but sold."""
        assert tickets_accounted_for(history({"outcome": outcome}), ledger(total=1, tickets=[1])).status is INVALID

    @pytest.mark.parametrize(("tickets", "status"), [([], VALID), ([1, 1], VALID), ([1], INVALID)])
    def test_an_unknown_purchase_happened_whole_or_not_at_all(self, history, ledger, tickets, status):
        """All its tickets or none are consistent with an unknown outcome; a part is not."""
        operations = {"outcome": "unknown", "quantity": 2}
        assert tickets_accounted_for(history(operations), ledger(total=2, tickets=tickets)).status is status

    def test_a_purchase_told_of_twice_is_one_purchase(self, history, ledger):
        """First not known, then told as sold: its tickets are its own."""
        operations = {"purchase_id": 1, "outcome": "unknown", "quantity": 2}, {"purchase_id": 1, "quantity": 2}
        assert tickets_accounted_for(history(*operations), ledger(total=2, tickets=[1, 1])).status is VALID

    def test_a_ticket_of_another_event_is_wrong(self, history, ledger):
        """A purchase that holds tickets of an event that it did not ask for."""
        books = ledger(events=[(0, 1, 1, 1), (1, 1, 0, 2)], tickets=[(1, 1)])
        assert tickets_accounted_for(history({"event": 0}), books).status is INVALID


class TestNoFalseSoldOut:
    def test_a_refusal_is_right_when_too_few_are_left(self, history, ledger):
        """One seat left does not serve a purchase of two."""
        operations = {}, {"outcome": "sold_out", "quantity": 2}
        assert no_false_sold_out(history(*operations), ledger(total=2, available=1, tickets=[1])).status is VALID

    def test_a_refusal_is_wrong_when_enough_are_left_in_the_end(self, history, ledger):
        """Seats that stayed unsold were there when the buyer was sent away."""
        operations = {}, {"outcome": "sold_out", "buyer": 4}
        verdict = no_false_sold_out(history(*operations), ledger(total=3, available=2, tickets=[1]))
        assert verdict.status is INVALID
        assert "2 seats stayed unsold" in verdict.summary
        assert [(row["buyer"], row["free"]) for row in verdict.evidence] == [(4, 2)]

    def test_the_tickets_decide_and_not_the_stock(self, history, ledger):
        """A stock of 0 beside seats without a ticket does not make a refusal right."""
        operations = {}, {"outcome": "sold_out"}
        assert no_false_sold_out(history(*operations), ledger(total=3, available=0, tickets=[1])).status is INVALID

    def test_an_oversold_event_refuses_rightly(self, history, ledger):
        """Beyond the last seat every refusal is right."""
        operations = {}, {}, {"outcome": "sold_out"}
        assert no_false_sold_out(history(*operations), ledger(total=1, available=0, tickets=[1, 2])).status is VALID

    @pytest.mark.parametrize(("left", "status"), [(1, VALID), (2, INVALID), (3, INVALID)])
    def test_seats_that_fit_exactly_are_enough(self, history, ledger, left, status):
        """Refused two: one left in the end is too few, two are enough, and so are three."""
        operations = {}, {"outcome": "sold_out", "quantity": 2}
        assert no_false_sold_out(history(*operations), ledger(total=1 + left, tickets=[1])).status is status

    @pytest.mark.parametrize(("shown", "status"), [(None, VALID), (1, VALID), (2, INVALID), (3, INVALID)])
    def test_a_refusal_beside_a_stock_that_would_do_contradicts_itself(self, history, ledger, shown, status):
        """Two were refused to a buyer who was shown two, though all was sold in the end; to see none proves nothing."""
        operations = {"quantity": 3}, {"outcome": "sold_out", "quantity": 2, "available": shown, "buyer": 4}
        verdict = no_false_sold_out(history(*operations), ledger(total=3, tickets=[1, 1, 1]))
        assert verdict.status is status
        assert [row["buyer"] for row in verdict.evidence] == ([4] if status is INVALID else [])

    def test_seats_that_were_sold_later_were_free_before(self, history, ledger):
        """Two seats whose buyers only came after the refusal of two were there when it was told."""
        operations = (
            {"invoked_ns": 0},
            {"outcome": "sold_out", "quantity": 2, "invoked_ns": 5, "completed_ns": 10, "buyer": 4},
            {"invoked_ns": 11},
            {"invoked_ns": 12},
        )
        verdict = no_false_sold_out(history(*operations), ledger(total=3, tickets=[1, 3, 4]))
        assert verdict.status is INVALID
        assert [(row["buyer"], row["free"]) for row in verdict.evidence] == [(4, 2)]
        assert "0 seats stayed unsold" in verdict.summary

    def test_later_sales_that_leave_too_few_prove_nothing(self, history, ledger):
        """One seat was sold after the refusal of two, and the other may have been before it."""
        operations = (
            {"invoked_ns": 0},
            {"outcome": "sold_out", "quantity": 2, "invoked_ns": 5, "completed_ns": 10},
            {"invoked_ns": 11},
        )
        assert no_false_sold_out(history(*operations), ledger(total=2, tickets=[1, 3])).status is VALID

    @pytest.mark.parametrize(("invoked_ns", "status"), [(9, VALID), (10, VALID), (11, INVALID)])
    def test_a_concurrent_sale_may_have_come_first(self, history, ledger, invoked_ns, status):
        """Closed intervals: a sale invoked while the refusal ran, or at the tick of its end, proves nothing."""
        operations = (
            {"outcome": "sold_out", "invoked_ns": 5, "completed_ns": 10},
            {"invoked_ns": invoked_ns, "completed_ns": 20},
        )
        assert no_false_sold_out(history(*operations), ledger(total=1, tickets=[2])).status is status

    def test_a_sale_counts_from_when_it_was_first_asked_for(self, history, ledger):
        """A purchase that is repeated after the refusal may have been made before it."""
        operations = (
            {"purchase_id": 7, "outcome": "unknown", "invoked_ns": 3, "completed_ns": 30},
            {"outcome": "sold_out", "invoked_ns": 5, "completed_ns": 10},
            {"purchase_id": 7, "invoked_ns": 31},
        )
        assert no_false_sold_out(history(*operations), ledger(total=1, tickets=[7])).status is VALID

    def test_seats_of_another_event_are_no_seats(self, history, ledger):
        """What is left of one event, or is sold of it later, does not make a refusal of another one false."""
        operations = (
            {"event": 0, "invoked_ns": 0},
            {"event": 0, "outcome": "sold_out", "invoked_ns": 5, "completed_ns": 10},
            {"event": 1, "invoked_ns": 11},
        )
        books = ledger(events=[(0, 1, 0, 2), (1, 9, 8, 2)], tickets=[(0, 1), (1, 3)])
        assert no_false_sold_out(history(*operations), books).status is VALID

    def test_each_refusal_is_judged_by_its_own_event_and_time(self, history, ledger):
        """Of four refusals, two an event, only the one before its event's sale was false."""
        operations = (
            {"event": 1, "outcome": "sold_out", "completed_ns": 10, "buyer": 1},
            {"event": 0, "outcome": "sold_out", "completed_ns": 30, "buyer": 2},
            {"event": 0, "invoked_ns": 5, "completed_ns": 9},
            {"event": 1, "invoked_ns": 20, "completed_ns": 29},
            {"event": 1, "outcome": "sold_out", "completed_ns": 30, "buyer": 3},
            {"event": 0, "outcome": "sold_out", "completed_ns": 10, "buyer": 4},
        )
        books = ledger(events=[(1, 1, 0, 2), (0, 1, 0, 2)], tickets=[(0, 3), (1, 4)])
        verdict = no_false_sold_out(history(*operations), books)
        assert [(row["buyer"], row["free"]) for row in verdict.evidence] == [(1, 1)]
        assert "1 of 4 refusals" in verdict.summary


class TestJudge:
    def test_every_check_gives_its_verdict(self, history, ledger):
        """A right trial is found valid by each check, under the check's own name."""
        verdicts = judge(history({}, {"outcome": "sold_out"}), ledger(total=1, available=0, version=2, tickets=[1]))
        assert [each.check for each in verdicts] == [check.name for check in checks.CHECKS]
        assert {each.status for each in verdicts} == {VALID}

    def test_a_check_that_crashes_decides_nothing(self, history, ledger):
        """An error in a check is UNKNOWN with its reason, and the other checks still speak."""

        @checks.check
        def broken(_case):
            raise ZeroDivisionError("oops")

        verdicts = judge(history({}), ledger(total=1, tickets=[1]), [broken, no_oversell])
        assert [each.status for each in verdicts] == [UNKNOWN, VALID]
        assert "ZeroDivisionError: oops" in verdicts[0].summary

    @pytest.mark.parametrize("operations", [(), ({"outcome": "unavailable"},)], ids=["empty", "unavailable"])
    def test_without_an_answer_nothing_was_shown(self, history, ledger, operations):
        """No purchase that reached the database: every verdict is UNKNOWN, none VALID."""
        assert {each.status for each in judge(history(*operations), ledger(total=1, available=1))} == {UNKNOWN}

    def test_unknown_outcomes_alone_are_judged(self, history, ledger):
        """Purchases that may have happened can be seen to be wrong, by half of one in the ledger, but never right."""
        lost = history({"outcome": "unknown", "quantity": 2})
        assert overall(judge(lost, ledger(total=2, available=2))) is UNKNOWN
        assert overall(judge(lost, ledger(total=2, available=0, version=2, tickets=[1, 1]))) is UNKNOWN
        assert overall(judge(lost, ledger(total=2, available=1, tickets=[1]))) is INVALID

    def test_a_ticket_that_nobody_was_told_of_is_judged_though_nobody_was_answered(self, history, ledger):
        """Every buyer was turned away, and yet one holds a ticket."""
        verdicts = judge(history({"outcome": "unavailable"}), ledger(total=1, available=0, tickets=[1]))
        assert [each.check for each in verdicts if each.status is INVALID] == ["tickets_accounted_for"]

    def test_a_purchase_told_of_twice_is_right_in_every_check(self, history, ledger):
        """One purchase id, two confirmations, one ticket."""
        told = history({"purchase_id": 1, "buyer": 0}, {"purchase_id": 1, "buyer": 1})
        assert overall(judge(told, ledger(total=1, available=0, version=2, tickets=[1]))) is VALID

    @pytest.mark.parametrize(
        ("operations", "tickets"),
        [([{}, {"event": 5}], [1]), ([{}], [1, (5, 1)]), ([{"event": 5, "outcome": "unavailable"}], [])],
        ids=["bought", "ticket", "asked for"],
    )
    def test_a_ledger_that_lacks_an_event_decides_nothing(self, history, ledger, operations, tickets):
        """Without the event's seats nothing is VALID, and nothing INVALID: each verdict names what is missing."""
        verdicts = judge(history(*operations), ledger(total=1, available=0, tickets=tickets))
        assert {(each.status, each.summary) for each in verdicts} == {(UNKNOWN, "the ledger lacks event 5")}
        assert len(verdicts) == len(checks.CHECKS)

    def test_one_of_many_is_shown_and_all_are_counted(self, history, ledger):
        """Of many sales that are missing the one that was called first is the evidence, and the summary counts them."""
        operations = [{"invoked_ns": 50 - number, "buyer": number} for number in range(50)]
        verdict = sales_in_ledger(history(*operations), ledger(total=50, available=50))
        assert [(row["buyer"], row["tickets"]) for row in verdict.evidence] == [(49, 0)]
        assert "50 of 50 sales" in verdict.summary


@pytest.mark.parametrize(
    ("found", "word"),
    [([VALID, VALID], VALID), ([VALID, UNKNOWN], UNKNOWN), ([UNKNOWN, INVALID, VALID], INVALID), ([], UNKNOWN)],
)
def test_the_worst_verdict_is_the_word_for_all(found, word):
    """One INVALID decides, one UNKNOWN leaves open, and no verdict at all is not VALID."""
    assert overall(Verdict(check="x", status=each, summary="") for each in found) is word
