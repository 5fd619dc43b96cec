from uuid import UUID, uuid4

import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import PurchaseRequest, PurchaseResult

EVENT, PURCHASE = uuid4(), uuid4()


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
        (PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=2, available_tickets=1), "2 tickets wanted, 1 left"),
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
        (PurchaseResult(outcome=Outcome.UNKNOWN, quantity=1, detail="lost"), "may or may not have happened: lost"),
    ],
    ids=lambda value: getattr(value, "outcome", None),
)
def test_every_outcome_has_its_message(result, words):
    """A buyer is told in a sentence what became of his purchase, and only a sale is a success."""
    assert words in result.message
    assert result.success is (result.outcome is Outcome.SOLD)
