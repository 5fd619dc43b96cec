from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import PurchaseRequest, PurchaseResult
from ticketlab.tickets.purchase import Basket, BasketLine, SoldTicket, bought_before, ticket_ids, unknown_event

EVENT, PURCHASE = UUID(int=1), UUID(int=2)  # not drawn: every process must give the tests the same names


@pytest.mark.parametrize("quantity", [0, -1, 2**31, pytest.param(10**5000, id="endless"), 1.0, "2", None, True])
def test_a_quantity_must_be_a_positive_integer_of_the_column(quantity):
    """Zero, negative, too large, or no integer at all: told before anything is sent."""
    with pytest.raises(InvalidInputError, match="quantity must be"):
        PurchaseRequest.checked(EVENT, quantity, PURCHASE)


@pytest.mark.parametrize("quantity", [1, 2**31 - 1])
def test_the_ends_of_the_range_are_in_it(quantity):
    """One ticket, and as many as the column holds, may be asked for."""
    assert PurchaseRequest.checked(EVENT, quantity, PURCHASE).quantity == quantity


@pytest.mark.parametrize("wrong", ["", "no uuid", 7, None, b"0" * 16])
def test_an_id_must_be_a_uuid(wrong):
    """Both ids are checked, and the one at fault is named."""
    with pytest.raises(InvalidInputError, match="purchase_id must be a UUID"):
        PurchaseRequest.checked(EVENT, 1, wrong)
    with pytest.raises(InvalidInputError, match="event_id must be a UUID"):
        PurchaseRequest.checked(wrong, 1, PURCHASE)


def test_ids_may_be_text():
    """The text of a UUID is as good as the UUID."""
    text = "123e4567-e89b-42d3-a456-426614174000"
    assert PurchaseRequest.checked(text, 1, text).event_id == UUID(text)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (PurchaseResult(outcome=Outcome.SOLD, quantity=2), "2 tickets purchased"),
        (PurchaseResult(outcome=Outcome.SOLD, quantity=1, cause=Cause.REPEATED), "1 ticket purchased before."),
        (PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=2, available_tickets=1), "2 tickets requested, 1 left"),
        (
            PurchaseResult(
                outcome=Outcome.SOLD_OUT,
                quantity=9,
                lines=[BasketLine(EVENT, 2, 7, 1), BasketLine(PURCHASE, 4, 3, 0)],
            ),
            f"available: 2 of event {EVENT}: 1 left; 4 of event {PURCHASE}: 0 left.",
        ),
        (
            PurchaseResult(
                outcome=Outcome.CONFLICT, quantity=1, cause=Cause.STALE_VERSION, retries=(Cause.STALE_VERSION,) * 19
            ),
            "gave up after 20 attempts (stale_version)",
        ),
        (PurchaseResult(outcome=Outcome.UNAVAILABLE, quantity=1, detail="none within 60 s"), "none within 60 s"),
        (
            PurchaseResult(outcome=Outcome.FAILED, quantity=1, cause=Cause.CONSTRAINT, detail="why"),
            "rolled back (constraint): why",
        ),
        (
            PurchaseResult(outcome=Outcome.FAILED, quantity=1, cause=Cause.REPEATED, detail="the id owns 2"),
            "Nothing was sold: the id owns 2",
        ),
        (PurchaseResult(outcome=Outcome.REFUNDED, quantity=2), "2 tickets refunded."),
        (PurchaseResult(outcome=Outcome.REFUNDED, quantity=0, cause=Cause.REPEATED), "0 tickets refunded."),
        (PurchaseResult(outcome=Outcome.UNKNOWN, quantity=1, detail="lost"), "may or may not have happened: lost"),
    ],
    ids=lambda value: getattr(value, "outcome", None),
)
def test_every_outcome_has_its_message(result, words):
    """A buyer is told in a sentence what became of his purchase, and only a sale is a success."""
    assert words in result.message
    assert result.success is (result.outcome is Outcome.SOLD)


class TestBasket:
    def test_it_keeps_the_order_in_which_it_was_named(self):
        """Ids may be text; the quantities stay with their events, and add up."""
        basket = Basket.checked({str(PURCHASE): 3, str(EVENT): 2}, str(PURCHASE))
        assert list(basket.quantities.items()) == [(PURCHASE, 3), (EVENT, 2)]
        assert (basket.quantity, basket.purchase_id) == (5, PURCHASE)

    def test_it_is_not_changed_with_what_it_was_made_of(self):
        """What is sent is what was checked."""
        quantities = {EVENT: 1}
        basket = Basket.checked(quantities, PURCHASE)
        quantities[EVENT] = 0
        assert basket.quantities == {EVENT: 1}

    @pytest.mark.parametrize(
        ("quantities", "words"),
        [
            ({}, "at least one event"),
            (None, "quantities must map"),
            ([(EVENT, 1)], "quantities must map"),
            ({EVENT: 1, str(EVENT): 1}, "name each event only once"),
            ({EVENT: 1, "no uuid": 1}, "event_id must be a UUID"),
            ({EVENT: 1, PURCHASE: 0}, "quantity must be from 1"),
            ({EVENT: 1.5}, "quantity must be an integer"),
        ],
    )
    def test_what_is_no_basket_is_refused(self, quantities, words):
        """Each wrong value gets one clear error."""
        with pytest.raises(InvalidInputError, match=words):
            Basket.checked(quantities, PURCHASE)

    def test_unknown_events_of_it_are_named(self):
        """All of them, in the order of their ids, and no other."""
        one, two = sorted([uuid4(), uuid4()])
        result = unknown_event(Basket.checked({EVENT: 1, two: 1, one: 1}, PURCHASE), missing=[two, one])
        assert result.detail == f"there is no event {one}, no event {two}"


def test_the_ids_of_tickets_are_made_of_their_purchase():
    """The MD5 of the purchase's id and the ticket's number: the same ones whenever it is asked for, and no others."""
    ids = ticket_ids(UUID("123e4567-e89b-42d3-a456-426614174000"), 2)
    assert ids == [UUID("f2961159-1985-a89b-962b-9f5d66de33c9"), UUID("8e69a7e4-d2d2-9f4e-b9a8-5f726d62a8ad")]
    assert ticket_ids(UUID("123e4567-e89b-42d3-a456-426614174000"), 11)[:2] == ids
    assert not {*ids} & {*ticket_ids(uuid4(), 11)}


class TestAnIdThatOwnsTickets:
    OTHER = UUID(int=3)

    def tickets(self, **counts):
        """Tickets of the purchase, so many of each event."""
        events = {"event": EVENT, "other": self.OTHER}
        named = [events[name] for name, count in counts.items() for _ in range(count)]
        moment = datetime(2026, 12, 1, tzinfo=UTC)
        return [SoldTicket(UUID(int=100 + number), event, PURCHASE, moment) for number, event in enumerate(named)]

    def test_it_is_told_of_them_where_they_are_what_is_asked_for(self):
        """The same event and quantity; of a basket the same quantity of each event."""
        request = PurchaseRequest(event_id=EVENT, quantity=2, purchase_id=PURCHASE)
        result = bought_before(request, tickets := self.tickets(event=2))
        assert (result.outcome, result.cause, result.quantity) == (Outcome.SOLD, Cause.REPEATED, 2)
        assert result.tickets == tickets
        basket = Basket(quantities={self.OTHER: 1, EVENT: 2}, purchase_id=PURCHASE)
        assert bought_before(basket, self.tickets(event=2, other=1)).success

    @pytest.mark.parametrize("owned", [{"event": 1}, {"event": 3}, {"other": 2}, {"event": 2, "other": 1}], ids=str)
    def test_another_purchase_is_no_sale(self, owned):
        """Fewer, more, of another event, or of one more: nothing was sold, and the answer says what the id owns."""
        request = PurchaseRequest(event_id=EVENT, quantity=2, purchase_id=PURCHASE)
        result = bought_before(request, self.tickets(**owned))
        assert (result.outcome, result.cause, result.tickets) == (Outcome.FAILED, Cause.REPEATED, ())
        for name, count in owned.items():
            assert f"{count} of event {EVENT if name == 'event' else self.OTHER}" in result.message

    @pytest.mark.parametrize("owned", [{"event": 2}, {"other": 1}, {"event": 2, "other": 2}, {"event": 1, "other": 1}])
    def test_a_basket_that_owns_a_part_is_no_sale(self, owned):
        """All its tickets or none are the buyer's: a part is not told as sold."""
        basket = Basket(quantities={EVENT: 2, self.OTHER: 1}, purchase_id=PURCHASE)
        assert bought_before(basket, self.tickets(**owned)).outcome is Outcome.FAILED
