"""Every anomaly as a story: who bought what, when, and why that is wrong, told from literal evidence."""

import pytest
from verdicts import proven

from ticketlab import checks
from ticketlab.checks.diagnosis import Reason
from ticketlab.checks.verdict import Anomaly, Status
from ticketlab.report.explain import TERMS, VOID_LOCK, story_of
from ticketlab.report.explain._reasons import WORDS

OF_THREE, OF_SEVEN = "3ed86a36-40e9-4a4b-8ca2-947abfd7968c", "d5809c06-e1a4-4a2c-ace2-df6d8e44b978"
THREE_BOUGHT = (
    "Buyer 3 bought 2 tickets of event 0 (called 12.41 ms, answered 14.02 ms after the start): "
    "the answer was 'sold', version 8, 40 left."
)
REFUNDED = {"kind": "refund", "outcome": "refunded"}


def operation(**fields):
    """Buyer 3 bought two tickets of event 0 from 12.41 to 14.02 ms, and the answer was version 8, 40 left."""
    row = {
        "buyer": 3, "event": 0, "kind": "purchase", "quantity": 2, "purchase_id": OF_THREE, "invoked_ns": 12_410_000,
        "completed_ns": 14_020_000, "outcome": "sold", "cause": "none", "attempts": 1, "version": 8, "available": 40,
    }  # fmt: skip
    return row | fields


def another(**fields):
    """Buyer 7 bought one ticket of it meanwhile."""
    row = {"buyer": 7, "quantity": 1, "purchase_id": OF_SEVEN, "invoked_ns": 12_900_000, "completed_ns": 15_330_000}
    return operation(**(row | fields))


def later(begin_ms=16.0, **fields):
    """Buyer 3 again, a millisecond long."""
    begin = int(begin_ms * 1_000_000)
    return operation(**({"invoked_ns": begin, "completed_ns": begin + 1_000_000} | fields))


def refund(begin_ms=16.0, **fields):
    """Buyer 3 refunds the two tickets."""
    return later(begin_ms, **({"kind": "refund", "outcome": "refunded", "version": 9, "available": 42} | fields))


def event(**fields):
    """Event 0 as the ledger has it: 60 of 100 tickets sold."""
    return {"event": 0, "total": 100, "available": 40, "version": 61, "tickets": 60, "oversold": 0} | fields


def told(anomaly, *rows, **context):
    """The story of this evidence."""
    return story_of(proven(*rows, anomaly=anomaly), **context)


def marks(story):
    """What is wrong with each operation."""
    return [row["wrong"] for row in story.operations]


@pytest.mark.parametrize(
    ("anomaly", "autocommit", "named"),
    [(Anomaly.LOST_UPDATE, True, True), (Anomaly.OVERSELL, True, True), (Anomaly.LOST_UPDATE, False, False),
     (Anomaly.DOUBLE_SALE, True, False)],
)  # fmt: skip
def test_a_void_lock_is_named_where_each_statement_committed_by_itself(anomaly, autocommit, named):
    story = told(anomaly, event(tickets=61), autocommit=autocommit)
    assert story.why.endswith(f" {VOID_LOCK}") is named
    assert story.why.count(VOID_LOCK) == named


def test_every_anomaly_has_a_story_and_a_term():
    """A name that a check may give is told, and explained: with no evidence at all too."""
    assert set(TERMS) == set(Anomaly)
    assert set(WORDS) | {Reason.LOST} == set(Reason)
    for anomaly in Anomaly:
        story = told(anomaly)
        assert story.name == anomaly
        assert story.why.endswith(".")
        assert story.meaning.endswith(".")
        assert story.short
        assert story.field


@pytest.mark.parametrize("anomaly", list(Anomaly))
@pytest.mark.parametrize(
    "row",
    [
        {"buyer": 3},
        {"event": 0, "tickets": 1},
        {"total": 100},
        {"outcome": "sold"},
        {"invoked_ns": 1},
        {"odd": "x"},
        {},
    ],
    ids=lambda row: ", ".join(row) or "nothing",
)
def test_missing_columns_are_left_out(anomaly, row):
    """Whatever the evidence lacks is not told, and nothing of it is told as None or nan."""
    holes = operation(version=None, available=float("nan"), quantity=None, attempts=float("nan"))
    for evidence in ([row], [row, row], [holes], [holes, row]):
        text = " ".join(told(anomaly, *evidence).sentences)
        assert not {"None", "nan", "-1"} & set(text.replace(",", " ").replace(".", " ").split())


class TestOversell:
    def test_the_first_sale_beyond_the_last_seat(self):
        """The buyer, and the stock that was reported."""
        story = told("oversell", operation(version=1_002, available=933))
        assert story.happened[0].endswith("the answer was 'sold', version 1,002, 933 left.")
        assert story.why == (
            "In the order of the versions every seat had already been sold: buyer 3 made the first sale beyond the "
            "last seat. The reported stock, 933 left, was wrong."
        )
        assert marks(story) == ["beyond the last seat"]

    def test_without_versions_the_order_is_that_of_the_answers(self):
        """And no stock was reported."""
        story = told("oversell", operation(version=None, available=None))
        assert story.happened[0].endswith("the answer was 'sold'.")
        assert "In the order of the answers" in story.why
        assert "stock" not in story.why

    def test_the_books_alone(self):
        """Seats, tickets, stock and version of the event, and by how many it is over."""
        story = told("oversell", event(tickets=131, available=12, version=132, oversold=31))
        assert story.sentences == [
            "Event 0 has 100 seats, 131 tickets in the ledger and 12 left in stock at version 132.",
            "That is 31 more tickets than seats.",
        ]

    def test_the_books_with_what_brought_it_about(self):
        """The version that was made twice is told with it."""
        story = told("oversell", event(tickets=131), operation(), another())
        assert story.why.startswith("That is 31 more tickets than seats. Version 8 of event 0 can be made only once")
        assert marks(story) == ["made twice", "made twice"]


class TestUndersell:
    def test_seats_that_nobody_has(self):
        """What should be left, what is, and how many are gone."""
        story = told("undersell", event(available=30))
        assert story.why == "The stock of event 0 should be 40, so 10 seats are neither sold nor in stock."
        assert story.short == "10 seats of event 0 are neither sold nor in stock"

    def test_a_sale_that_took_more_than_its_tickets(self):
        """One bought, two gone."""
        story = told("undersell", operation(version=7), another(version=8, available=38))
        assert story.why.endswith("version 8 has 38 left: more was taken from the stock than buyer 7 bought.")


class TestLostUpdate:
    def test_one_version_made_twice(self):
        """Both sales, that the version is the same, and why that cannot be."""
        story = told("lost update", operation(), another(available=41))
        first, second = story.happened
        assert first == THREE_BOUGHT
        assert second == (
            "Buyer 7 bought 1 ticket of event 0 (called 12.90 ms, answered 15.33 ms after the start): "
            "the answer was 'sold', version 8 too, 41 left."
        )
        assert story.why == "Version 8 of event 0 can be made only once: the later sale overwrote the earlier one."
        assert story.short == "buyer 3 and buyer 7 both made version 8 of event 0"
        assert marks(story) == ["made twice", "made twice"]

    def test_a_stock_that_does_not_follow_from_the_one_before(self):
        """The sum that should have come out, at the one who got it wrong."""
        story = told("lost update", operation(version=7), another(version=8, available=40))
        assert story.why == (
            "Version 7 had 40 left, and 1 less is 39; version 8 has 40 left: buyer 7 did not start from the stock "
            "before, so a sale was overwritten."
        )
        assert marks(story) == ["", "should be 39 left"]

    def test_a_refund_adds_its_tickets(self):
        """40 left and 2 refunded are 42."""
        assert told("lost update", operation(), refund(available=40)).why.startswith(
            "Version 8 had 40 left, and 2 more is 42; version 9 has 40 left"
        )
        assert "does not follow" in told("lost update", operation(), refund()).why

    def test_one_buyer_made_a_version_twice(self):
        """The buyer is named once."""
        assert told("lost update", operation(), later()).short == "buyer 3 made version 8 of event 0 twice"

    def test_the_first_change_goes_by_the_seats(self):
        """Version 2 has none before it."""
        story = told("lost update", operation(version=2, available=97))
        assert "so all seats less 2 must be left, but 97 were reported" in story.why

    def test_a_stock_that_was_stopped_at_nothing(self):
        """Sold beyond the last seat, and cut off at 0."""
        story = told("lost update", operation(version=7, available=0), another(available=0))
        assert (
            "1 less is \N{MINUS SIGN}1; version 8 has 0 left: buyer 7 was sold seats that were not there" in story.why
        )

    def test_a_stock_that_did_not_fall(self):
        """By the books: three tickets were sold, and the stock does not know."""
        story = told("lost update", event(tickets=63))
        assert "The stock of event 0 should be 37, so it did not fall for 3 tickets" in story.why

    def test_of_many_operations_those_are_told_that_show_it(self):
        """And how many more the evidence has; the timeline is of those that are told."""
        crowd = [another(buyer=buyer, version=20 + buyer, purchase_id=f"p{buyer}") for buyer in range(8)]
        story = told("lost update", *crowd[:4], operation(), *crowd[4:], another())
        assert [row["buyer"] for row in story.operations] == [3, 7]
        assert story.happened[-1] == "The evidence has 8 more operations."


class TestDirtyRead:
    def test_a_version_that_never_was(self):
        """Refused at a version that no change has made."""
        story = told("dirty read", operation(outcome="sold_out", version=12, available=0))
        (happened,) = story.happened
        assert happened == (
            "Buyer 3 asked for 2 tickets of event 0 (called 12.41 ms, answered 14.02 ms after the start): "
            "the answer was 'sold out', version 12, 0 left."
        )
        assert "No committed sale or refund made version 12 of event 0" in story.why
        assert marks(story) == ["no such version"]

    def test_a_stock_that_never_stayed(self):
        """Who made the version with which stock, and who saw another."""
        story = told("dirty read", operation(available=3), another(outcome="sold_out", available=0))
        assert story.why == (
            "Buyer 3 made version 8 of event 0 with 3 left, but buyer 7 read 0 left: a stock that was never committed."
        )
        assert marks(story) == ["", "version 8 had 3 left"]

    def test_two_of_one_version_of_which_one_was_rolled_back(self):
        """The ledger has only one of them."""
        assert "one was reported and then rolled back" in told("dirty read", operation(), another()).why

    def test_a_refund_before_its_purchase(self):
        """By the versions the purchase did not exist yet."""
        story = told("dirty read", operation(version=9), refund(version=8))
        assert "the refund of buyer 3 comes before its purchase" in story.why
        assert marks(story) == ["", "before its purchase"]


class TestPhantomSale:
    def test_tickets_of_nobody(self):
        """The ledger has a purchase that is in no history."""
        story = told("phantom sale", {"event": 0, "purchase_id": OF_SEVEN, "tickets": 2})
        assert story.sentences == [
            "The ledger has 2 tickets of event 0 for purchase d5809c06…",
            "No answer reports purchase d5809c06…",
        ]
        assert story.operations == []

    def test_told_failed_and_sold_all_the_same(self):
        """The answer, and what the ledger has."""
        story = told("phantom sale", operation(outcome="failed", cause="connection", version=None, tickets=2))
        assert story.happened[0].endswith("the answer was 'nothing sold' (connection).")
        assert story.happened[1] == "This purchase has 2 tickets of event 0 in the ledger."
        assert "were not reported as sold: the buyer does not know of them" in story.why
        assert marks(story) == ["in the ledger"]

    def test_a_version_that_nobody_made(self):
        """Between two others."""
        story = told("phantom sale", operation(), another(version=10, available=36))
        assert "Version 9 of event 0 was made between these calls, and no answer reports it." in story.why
        several = told("phantom sale", operation(), another(version=12, available=30))
        assert "Versions 9 to 11 of event 0 were made between these calls" in several.why

    def test_given_back_and_still_there(self):
        """A refund that was reported and not made."""
        story = told("phantom sale", operation(tickets=2), refund(tickets=2))
        assert story.happened[-1] == "This purchase has 2 tickets of event 0 in the ledger."
        assert marks(story) == ["", "still in the ledger"]

    def test_given_back_and_never_bought(self):
        """There is no purchase of that id."""
        assert marks(told("phantom sale", refund())) == ["never bought"]


class TestLostSale:
    def test_told_sold_and_not_there(self):
        """The sale, and that the ledger has none of it."""
        story = told("lost sale", operation(tickets=0))
        assert story.sentences == [
            THREE_BOUGHT,
            "This purchase has no ticket of event 0 in the ledger.",
            "The sale was reported to buyer 3, so it must be in the ledger.",
        ]
        assert marks(story) == ["not in the ledger"]
        assert story.crashes_ns == ()

    def test_told_sold_before_a_crash(self):
        """When the call was answered, when the server crashed, and what it has since."""
        story = told("lost sale", operation(tickets=0), crashes_ns=[5_000_000, 300_000_000])
        assert story.sentences[1:] == [
            "After the crash, 300.00 ms after the start, this purchase has no ticket of event 0 in the ledger.",
            "The sale was reported to buyer 3 285.98 ms before the crash, so it must survive the crash.",
        ]
        assert story.short == "the sale to buyer 3 did not survive the crash"

    def test_a_part_is_there(self):
        """How many of how many."""
        story = told("lost sale", operation(tickets=1))
        assert story.happened[-1] == "This purchase has 1 ticket of event 0 in the ledger."
        assert marks(story) == ["only 1 in the ledger"]

    def test_a_refund_that_was_not_made(self):
        """The tickets are still there."""
        story = told("lost sale", refund(tickets=2))
        assert story.happened[0].startswith("Buyer 3 refunded 2 tickets of event 0 (called 16.00 ms")
        assert story.short == "the refund to buyer 3 is not in the ledger"


class TestFalseSoldOut:
    def test_a_stock_that_would_have_done(self):
        """Told sold out at a version with enough left."""
        story = told("false sold out", operation(outcome="sold_out", version=9, available=3, free=5))
        assert story.happened[0].endswith("the answer was 'sold out', version 9, 3 left.")
        assert story.why == (
            "The buyer asked for 2 tickets of event 0 and was told 'sold out', but the reported stock was 3."
        )
        assert marks(story) == ["enough were left"]

    def test_seats_that_were_surely_free(self):
        """If no stock was reported: how many were available throughout the call."""
        story = told("false sold out", operation(outcome="sold_out", version=None, available=None, free=5))
        assert story.happened[0].endswith("the answer was 'sold out'.")
        assert story.why == (
            "The buyer asked for 2 tickets of event 0 and was told 'sold out', but at least 5 were available "
            "throughout the call."
        )

    def test_no_moment_suits(self):
        """Where neither is known."""
        assert told("false sold out", operation(outcome="sold_out", version=None, available=None)).why == (
            "At every moment of the call enough seats were available."
        )


class TestStaleRead:
    def test_a_later_sale_with_a_smaller_version(self):
        """How long after the other's answer the call began, and which versions were reported."""
        story = told("stale read", operation(), another(version=7, invoked_ns=16_000_000, completed_ns=17_000_000))
        assert story.why == (
            "Buyer 7 called 1.98 ms after buyer 3 had been answered. Version 8 of event 0 existed by then, but the "
            "call made version 7."
        )
        assert marks(story) == ["", "after version 8"]

    def test_a_refusal_at_a_past_version(self):
        """Whatever the order of the rows."""
        seen = another(outcome="sold_out", version=7, available=0, invoked_ns=14_020_400, completed_ns=17_000_000)
        story = told("stale read", seen, operation())
        assert [row["buyer"] for row in story.operations] == [3, 7]
        assert "Buyer 7 called 0.0004 ms after buyer 3 had been answered" in story.why
        assert "the call was answered from version 7" in story.why

    def test_told_of_a_purchase_that_was_not_there_yet(self):
        """Told again before it was sold."""
        story = told("stale read", later(10, cause="repeated", version=None, available=None), operation())
        assert story.happened[0].endswith("the answer was that this purchase was already sold.")
        assert story.why.endswith("already sold, but it did not exist during the call.")

    def test_baskets_in_a_circle(self):
        """Each event alone has an order, both together have none; a basket is one call."""
        story = told(
            "stale read",
            operation(), operation(line=1, event=1, version=4),
            another(version=9), another(line=1, event=1, version=3),
        )  # fmt: skip
        assert len(story.happened) == 2
        assert story.happened[1].startswith("Buyer 7 bought 1 ticket of event 0 and 1 ticket of event 1 (called 12.90")
        assert "version 9, 40 left of event 0; version 3, 40 left of event 1" in story.happened[1]
        assert "no order explains all of them" in story.why


class TestDoubleSale:
    def test_more_tickets_than_were_bought(self):
        """Under one purchase id."""
        story = told("double sale", operation(tickets=4))
        assert story.why == ("The buyer asked for 2 tickets of event 0 and owns 4 under one purchase id: 2 too many.")
        assert marks(story) == ["4 in the ledger"]

    def test_one_id_sold_twice(self):
        """At which versions."""
        story = told("double sale", operation(tickets=2), later(version=11, tickets=2))
        assert story.why == "Purchase 3ed86a36… was sold twice, at versions 8 and 11: the buyer requested it once."
        assert marks(story) == ["", "sold again"]


def test_a_double_refund_is_told_with_its_purchase():
    """Bought once, refunded twice."""
    story = told("double refund", operation(), refund(), refund(18, version=10, available=44))
    assert len(story.happened) == 3
    assert "was refunded twice, at versions 9 and 10" in story.why
    assert marks(story) == ["", "", "refunded again"]


class TestHalfPurchase:
    def test_one_event_of_a_basket_is_missing(self):
        """What was bought, and what the ledger has of each event."""
        story = told(
            "half purchase",
            operation(tickets=2), operation(line=1, event=1, quantity=1, version=3, available=9, tickets=0),
        )  # fmt: skip
        bought, kept = story.happened
        assert bought == (
            "Buyer 3 bought 2 tickets of event 0 and 1 ticket of event 1 (called 12.41 ms, answered 14.02 ms after the "
            "start): the answer was 'sold', version 8, 40 left of event 0; version 3, 9 left of event 1."
        )
        assert kept == "This purchase has 2 tickets of event 0 and none of event 1 in the ledger."
        assert marks(story) == ["", "none in the ledger"]

    def test_of_unknown_outcome(self):
        """No answer; half of it is there."""
        story = told("half purchase", operation(outcome="unknown", version=None, tickets=1))
        assert "ended without an answer 14.02 ms" in story.happened[0]
        assert story.happened[0].endswith("the outcome is unknown.")
        assert marks(story) == ["1 of 2 in the ledger"]

    def test_stock_without_tickets(self):
        """The one half of a sale."""
        assert told("half purchase", event(available=30)).short == "10 seats of event 0 were neither sold nor in stock"

    def test_given_back_in_part(self):
        """Two bought, one refunded."""
        assert marks(told("half purchase", operation(), refund(quantity=1))) == ["", "not what was bought"]


class TestDeadlock:
    def test_met_and_tried_again(self):
        """The purchase was sold after all; no ticket is wrong."""
        story = told("deadlock", operation(attempts=2, retries_deadlock=1))
        assert story.why.startswith(
            "Buyer 3 met a deadlock: its transaction and another one each waited for a lock that the other held."
        )
        assert "the purchase was sold at a later attempt" in story.why
        assert marks(story) == ["a deadlock"]

    def test_given_up(self):
        """How many there were, and that nothing was sold."""
        story = told("deadlock", operation(outcome="conflict", cause="deadlock", attempts=3, retries_deadlock=2))
        assert story.happened[0].endswith("the answer was 'nothing sold', after 3 attempts (deadlock).")
        assert story.why.startswith("Buyer 3 met 3 deadlocks")


class TestAnswers:
    @pytest.mark.parametrize(
        ("fields", "did", "answer"),
        [
            ({"outcome": "unavailable"}, "asked for", "no connection was available, and nothing was sent."),
            ({"kind": "refund", "outcome": "unknown"}, "asked for a refund of", "the outcome is unknown."),
            ({"kind": "refund", "outcome": "failed"}, "asked for a refund of", "the answer was 'nothing refunded'."),
            (REFUNDED | {"cause": "repeated"}, "asked for a refund of", "was already refunded."),
            (REFUNDED | {"version": None}, "refunded", "the answer was 'refunded', 40 left."),
            ({"outcome": "sold", "cause": "repeated"}, "asked again for", "was already sold."),
            ({"available": -3}, "bought", "the answer was 'sold', version 8, \N{MINUS SIGN}3 left."),
        ],
    )
    def test_each_outcome_is_told_as_its_buyer_heard_it(self, fields, did, answer):
        """The request, and the answer."""
        (text,) = told("deadlock", operation(**fields)).happened
        assert f"Buyer 3 {did} 2 tickets" in text
        assert text.endswith(answer)

    def test_a_refused_basket_tells_each_event_that_refused(self):
        """With its version and its stock."""
        refused = {"outcome": "sold_out", "cause": "insufficient", "available": 1}
        (text,) = told("deadlock", operation(**refused), operation(line=1, event=1, version=3, **refused)).happened
        assert "'sold out', version 8, 1 left of event 0; version 3, 1 left of event 1." in text


def test_a_history_of_others_is_told_by_its_own_names():
    """Buyers, events and purchases may be texts; and a column with holes holds floats."""
    named = {"buyer": "ann", "event": "gala", "purchase_id": "order-17"}
    (bought, _) = told("lost sale", operation(**named, tickets=0)).happened
    assert bought.startswith("Buyer ann bought 2 tickets of event gala")
    assert told("double refund", refund(**named), refund(18, **named)).short == "purchase order-17 was refunded twice"
    assert told("lost sale", operation(buyer=3.0, event=0.0, version=8.0)).happened == [THREE_BOUGHT]


def test_without_a_name_only_what_happened_is_told():
    """A check of somebody's own may give none: the check's own sentence says why."""
    story = story_of(proven(operation(), check="my_check"))
    assert (story.name, story.sentences, story.meaning) == ("my_check", [THREE_BOUGHT], "")
    assert marks(story) == [""]


class TestFromTheChecks:
    """What the checks give as evidence has the columns that a story goes by."""

    @pytest.fixture
    def stories(self, history, ledger):
        """The stories of all that the checks find wrong, by anomaly."""

        def tell(*operations, **books):
            found = checks.judge(history(*operations), ledger(**books))
            return {each.anomaly: story_of(each) for each in reversed(found) if each.anomaly}

        return tell

    def test_two_buyers_of_one_version(self, stories):
        """An oversell, and the lost update that brought it about."""
        found = stories(
            {"buyer": 1, "version": 2, "available": 0}, {"buyer": 2, "version": 2, "available": 0},
            total=1, available=0, version=2, tickets=(1, 2),
        )  # fmt: skip
        assert "buyer 1 and buyer 2 both made version 2 of event 0" in found[Anomaly.LOST_UPDATE].short
        assert found[Anomaly.OVERSELL].happened[0].startswith("Buyer 2 bought 1 ticket of event 0")

    def test_a_sale_that_is_gone(self, stories):
        """Told, and not in the ledger."""
        found = stories({"buyer": 1, "quantity": 2, "version": 2, "available": 8}, total=10, available=8, version=2)
        assert found[Anomaly.LOST_SALE].happened[1] == "This purchase has no ticket of event 0 in the ledger."

    def test_a_false_refusal(self, stories):
        """The reported stock was enough."""
        refused = {"buyer": 4, "outcome": "sold_out", "version": 1, "available": 10}
        found = stories(refused, total=10, available=10)
        assert found[Anomaly.FALSE_SOLD_OUT].why.endswith("but the reported stock was 10.")

    def test_tickets_of_nobody(self, stories):
        """By the id of their purchase."""
        found = stories({"version": 2, "available": 9}, total=10, available=8, version=3, tickets=(1, 9))
        assert "No answer reports purchase 00000000…" in found[Anomaly.PHANTOM_SALE].sentences

    def test_half_a_basket(self, stories):
        """The event that is missing."""
        lines = [{"line": line, "event": line, "purchase_id": 1, "version": 2, "available": 9} for line in (0, 1)]
        found = stories(*lines, events=[(0, 10, 9, 2), (1, 10, 9, 2)], tickets=((0, 1),))
        assert "This purchase has no ticket of event 1 in the ledger." in found[Anomaly.HALF_PURCHASE].happened


def test_a_verdict_says_what_is_wrong_with_which_calls(history, ledger):
    """A violation alone has a diagnosis: what was expected, the calls that show it and the line that is wrong."""
    sold = [{"buyer": 1, "version": 2, "available": 8, "quantity": 2}, {"buyer": 2, "version": 3, "available": 8}]
    found = checks.judge(history(*sold), ledger(total=10, available=7, version=3, tickets=(1, 1, 2)))
    (wrong,) = [each for each in found if each.status is Status.INVALID]
    diagnosis = wrong.diagnosis
    assert (wrong.anomaly, diagnosis.reason, diagnosis.expected) == (Anomaly.LOST_UPDATE, Reason.OVERWRITTEN, 7)
    assert [call.buyer for call in diagnosis.calls] == ["1", "2"]
    assert [(line.place, line.version, line.available) for line in diagnosis.lines] == [(1, 3, 8)]
    assert {each.diagnosis for each in found if each is not wrong} == {None}


@pytest.mark.parametrize(
    ("anomaly", "tickets", "short", "why"),
    [
        (Anomaly.HALF_PURCHASE, 58, "2 seats of event 0 were neither sold nor in stock for a moment", "together"),
        (
            Anomaly.HALF_PURCHASE,
            61,
            "1 seat of event 0 was both sold and in stock for a moment",
            "together",
        ),
        (Anomaly.OVERSELL, 103, "3 tickets too many of event 0", "3 more tickets than seats"),
    ],
)
def test_what_was_so_for_a_moment_is_told_with_its_moment(anomaly, tickets, short, why):
    """And in the past tense: it is no longer in the ledger."""
    story = told(anomaly, {"event": 0, "total": 100, "available": 40, "at_ns": 412_000_000, "tickets": tickets})
    (happened,) = story.happened
    assert happened == (
        f"412.00 ms after the start event 0 had 100 seats, {tickets} tickets in the ledger and 40 left in stock."
    )
    assert story.short == short
    assert why in story.why


@pytest.mark.parametrize(
    ("second", "short"),
    [(another, "buyer 3 and buyer 7 own the same ticket"), (later, "buyer 3 owns one ticket twice")],
)
def test_a_ticket_that_is_in_the_ledger_twice_is_told_with_its_owners(second, short):
    story = told(Anomaly.OVERSELL, operation(ticket=77), second(ticket=77))
    assert story.short == short
    assert story.why == "The ledger has two tickets with the same id: one seat was sold twice."
    assert marks(story) == ["its ticket is in the ledger twice"] * 2


@pytest.mark.parametrize(
    ("version", "why"),
    [(8, "The answer came from a version that had already been replaced when the call began."),
     (None, "No state during the call explains the answer.")],
)  # fmt: skip
def test_an_outdated_answer_is_told_by_its_version_only_where_it_has_one(version, why):
    assert told(Anomaly.STALE_READ, operation(version=version)).why == why
