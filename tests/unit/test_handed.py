"""What is kept of the tickets in an answer: how many, their digest, and those that name something else."""

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketlab.errors import OwnCodeError
from ticketlab.history.ids import MASK, digest, marks
from ticketlab.history.recording import NOTHING_HANDED, Recorder, collect
from ticketlab.load._buyers import handed, rows_of
from ticketlab.outcomes import NOT_SEEN, Cause, Outcome
from ticketlab.tickets import PurchaseResult, SoldTicket

BUYER, OTHER = UUID(int=1), UUID(int=2)
HERE, THERE, NOWHERE = UUID(int=100), UUID(int=101), UUID(int=102)
EVENTS = [HERE, THERE]
ONE_ROW = [(0, 2, None, None)]
TWO_ROWS = [(0, 1, None, None), (1, 1, None, None)]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def ticket(number, event=HERE, owner=BUYER):
    return SoldTicket(UUID(int=number), event, owner, WHEN)


def sold_before(*tickets, quantity=0):
    """An answer that reports an earlier call."""
    return PurchaseResult(outcome=Outcome.SOLD, quantity=quantity, tickets=tickets, cause=Cause.REPEATED)


def answer(*tickets, cause=Cause.NONE):
    return PurchaseResult(outcome=Outcome.SOLD, quantity=len(tickets), tickets=tickets, cause=cause)


class TestDigests:
    @given(st.lists(st.integers(0, 2**128 - 1), max_size=5))
    def test_the_marks_of_a_column_add_up_to_the_digest(self, ids):
        """One ticket after another or a whole column: the same."""
        packed = b"".join(each.to_bytes(16, "big") for each in ids)
        assert int(marks(packed).sum(dtype=np.int64)) & MASK == digest(ids)

    @pytest.mark.parametrize("number", [0, 1, 2**61 - 1, 2**64 - 1, 2**64, (2**61 - 1) << 64, 2**128 - 1])
    def test_at_the_ends_of_the_words_too(self, number):
        """Where a carry, or a reduction by the prime, may go wrong."""
        assert [each & MASK for each in marks(number.to_bytes(16, "big")).tolist()] == [digest([number])]

    def test_the_order_does_not_count_and_each_ticket_does(self):
        """A digest is that of a set."""
        assert digest([3, 1, 2]) == digest([1, 2, 3]) != digest([1, 2]) != digest([1, 2, 2])

    def test_every_byte_of_an_id_counts(self):
        """An id that differs from another in one bit, whichever it is, has another mark."""
        some = 0x0123456789ABCDEF0123456789ABCDEF
        assert digest([some]) not in {digest([some ^ 1 << bit]) for bit in range(128)}


class TestHanded:
    def test_tickets_are_counted_and_digested(self):
        """Those of one event, in whatever order."""
        assert handed(answer(ticket(8), ticket(7)), BUYER, ONE_ROW, EVENTS) == ((2, digest([7, 8]), 0),)

    def test_an_answer_without_tickets_hands_nothing(self):
        """Of each event."""
        assert handed(answer(), BUYER, TWO_ROWS, EVENTS) == [NOTHING_HANDED] * 2

    @pytest.mark.parametrize("strange", [ticket(7, owner=OTHER), ticket(7, event=THERE)], ids=["purchase", "event"])
    def test_tickets_that_name_something_else_are_counted(self, strange):
        """Another purchase, or another event."""
        assert handed(answer(strange, ticket(8)), BUYER, ONE_ROW, EVENTS) == ((2, digest([7, 8]), 1),)

    def test_a_basket_has_the_tickets_of_each_event(self):
        """And those that name none of them with the first one."""
        tickets = ticket(1), ticket(2, THERE), ticket(3, THERE, OTHER), ticket(4, NOWHERE)
        assert handed(answer(*tickets), BUYER, TWO_ROWS, EVENTS) == [(2, digest([1, 4]), 1), (2, digest([2, 3]), 1)]

    def test_rows_of_an_orm_and_ids_that_are_text_will_do(self):
        """Whatever has the fields of a ticket."""
        row = SimpleNamespace(id=str(UUID(int=7)), event_id=str(HERE), purchase_id=BUYER, purchased_at=WHEN)
        assert handed(answer(row), BUYER, ONE_ROW, EVENTS) == [(1, digest([7]), 0)]

    @pytest.mark.parametrize(
        "wrong", [7, "a ticket", ticket(7)._replace(id=None), ticket(7)._replace(event_id="seven")]
    )
    def test_what_is_no_ticket_is_told(self, wrong):
        """With what to do about it."""
        with pytest.raises(
            OwnCodeError, match=r"need the fields of ticketlab.tickets.SoldTicket .*, not .*Leave `tickets` out"
        ):
            handed(answer(wrong), BUYER, ONE_ROW, EVENTS)


def test_it_is_kept_in_the_history():
    """In columns of their own; what names something else as seldom as it is."""
    recorder = Recorder(0)
    for number, kept in enumerate([NOTHING_HANDED, (2, 2**64 - 7, 0), (1, 2**63 - 1, 1)]):
        recorder.record(
            event=0,
            quantity=1,
            purchase_id=BUYER.bytes,
            scheduled_ns=number,
            invoked_ns=number,
            completed_ns=number,
            outcome=Outcome.SOLD,
            cause=Cause.NONE,
            retries=(),
            version=None,
            available=None,
            handed=kept,
        )
    collected = collect([recorder], start_ns=0)[["handed", "handed_digest", "handed_elsewhere"]]
    assert collected.to_numpy().tolist() == [[NOT_SEEN, NOT_SEEN, 0], [2, -7, 0], [1, 2**63 - 1, 1]]
    assert [str(each) for each in collected.dtypes] == ["int32", "int64", "int16"]


class TestRowsOfAnEarlierSale:
    @pytest.mark.parametrize(
        ("result", "rows"),
        [
            (sold_before(ticket(1, THERE), ticket(2, THERE), ticket(3)), [(0, 1, None, None), (1, 2, None, None)]),
            (sold_before(quantity=3), [(0, 3, None, None)]),
        ],
    )
    def test_are_the_tickets_or_else_the_quantity_that_the_answer_names(self, result, rows):
        """Though this call asked for two of one event."""
        assert rows_of(result, ONE_ROW, EVENTS) == rows
        if result.tickets:
            assert handed(result, BUYER, rows, EVENTS) == [(1, digest([3]), 0), (2, digest([1, 2]), 0)]

    @pytest.mark.parametrize(
        "result", [sold_before(quantity=0), sold_before(ticket(1, NOWHERE)), answer(ticket(1, THERE))]
    )
    def test_are_what_was_asked_for_where_it_names_none(self, result):
        """Nor an event that there is; and so are the rows of every other answer."""
        assert rows_of(result, ONE_ROW, EVENTS) == ONE_ROW

    def test_are_of_all_events_of_a_basket_where_no_ticket_says_otherwise(self):
        """One number does not say of which event."""
        assert rows_of(sold_before(quantity=3), TWO_ROWS, EVENTS) == TWO_ROWS
