"""The search for an order: its verdicts with their evidence, its limits, and that it agrees with trying all orders."""

from collections import Counter
from itertools import chain, combinations, permutations
from uuid import UUID

import pytest
from random_histories import random_case
from told import at, basket, refused, sold

from ticketlab.evidence.linearizability import MOST_OPERATIONS, linearizable
from ticketlab.evidence.verdict import EVIDENCE_LIMIT, Status

VALID, INVALID, UNKNOWN = Status.VALID, Status.INVALID, Status.UNKNOWN


class TestVerdict:
    def test_the_operations_that_have_no_place_are_the_evidence(self, history, ledger):
        """Two sales of one version: the longest order has one of them and what came before, and the other is shown."""
        operations = sold(2, 2, **at(0, 1)), sold(3, 1, buyer=1, **at(2, 9)), sold(3, 1, buyer=2, **at(3, 8))
        verdict = linearizable(history(*operations), ledger(total=3, available=0, version=4, tickets=[1, 2, 3]))
        assert verdict.check == "linearizability"
        assert verdict.summary == "event 0: no order explains more than 2 of 3 operations; after them comes none of 1"
        assert [(row["buyer"], row["version"]) for row in verdict.evidence] in ([(1, 3)], [(2, 3)])

    def test_a_basket_is_shown_with_all_its_rows(self, history, ledger):
        """The evidence of an operation is all that its buyer was told."""
        rows = basket(1, [(0, 2, 1), (1, 9, 1)])
        verdict = linearizable(history(*rows), ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], tickets=[(0, 1), (1, 1)]))
        assert [row["event"] for row in verdict.evidence] == [0, 1]

    def test_tickets_that_no_order_ends_in_are_the_evidence(self, history, ledger):
        """Where every operation has its place, what the ledger has otherwise is shown."""
        verdict = linearizable(history(sold(2, 1)), ledger(total=2, available=1, version=2, tickets=[1, 5]))
        assert verdict.summary == "event 0: no order ends in what the ledger holds"
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
        verdict = linearizable(history(*sales, refused(-1, -1, quantity=3, **at(0, 200))), books, time_limit_s=0.2)
        assert verdict.status is UNKNOWN
        assert verdict.summary == "event 0 not decided within 0.2 s"

    def test_one_event_that_is_wrong_is_enough(self, history, ledger):
        """INVALID is said though another event was not decided."""
        sales = [at(0, 100, quantity=1 + number % 3) for number in range(40)]
        tickets = [(0, number) for number, sale in enumerate(sales, start=1) for _ in range(sale["quantity"])]
        books = ledger(events=[(0, 200, 200 - len(tickets), 1), (1, 5, 4, 1)], tickets=tickets)
        rows = history(*sales, refused(-1, -1, quantity=3, **at(0, 200)))
        assert linearizable(rows, books, time_limit_s=0.4).status is INVALID

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

    @pytest.mark.parametrize("first", range(0, 300, 50))
    def test_it_agrees_with_trying_out_every_order(self, first):
        """Of up to six operations, in right and wrong histories, each order and each choice is tried by brute force."""
        for seed in range(first, first + 50):
            case = random_case(10_000 + seed, operations=(1, 6))
            assert (linearizable(*case).status is VALID) == some_order_explains(*case), seed


def some_order_explains(history, ledger):
    """Whether some order of some of the operations, of unknown outcome or not, is right: all of them are tried."""
    calls = {}
    for place, row in enumerate(history.to_dict("records")):
        if row["outcome"] not in {"conflict", "failed", "unavailable"}:
            first = place - row["line"]
            calls.setdefault(first, []).append(row)
    told_again(calls.values())
    known = [rows for rows in calls.values() if rows[0]["outcome"] != "unknown"]
    lost = [rows for rows in calls.values() if rows[0]["outcome"] == "unknown"]
    chosen = chain.from_iterable(combinations(lost, count) for count in range(len(lost) + 1))
    books = Books(history, ledger)
    return any(in_time(order) and books.explain(order) for some in chosen for order in permutations([*known, *some]))


def told_again(calls):
    """Mark sales that only confirm an earlier one: of the same id, without a version or with that of the first."""
    made = {}
    for rows in calls:
        if (rows[0]["kind"], rows[0]["outcome"]) != ("purchase", "sold") or rows[0]["cause"] == "repeated":
            continue
        versions = {(row["event"], row["version"]) for row in rows}
        first = made.setdefault(rows[0]["purchase_id"], versions)
        if first is not versions and all(each[1] == -1 or each in first for each in versions):
            for row in rows:
                row["cause"] = "repeated"


def in_time(order):
    """Whether nobody comes before one who was answered when he called; an operation with no answer is so never."""
    latest = 0
    for call, *_ in order:
        latest = max(latest, call["invoked_ns"])
        if call["outcome"] != "unknown" and call["completed_ns"] < latest:
            return False
    return True


class Books:
    """The events and tickets that one order after another is tried on."""

    def __init__(self, history, ledger):
        self.totals = dict(zip(ledger.events["event"], ledger.events["total"], strict=True))
        self.end = {row.event: (row.available, row.version) for row in ledger.events.itertuples()}
        self.tickets = Counter(zip(ledger.tickets["event"], ledger.tickets["purchase_id"], strict=True))
        sales = history[(history["kind"] == "purchase") & (history["cause"] != "repeated")]
        sold = sales[sales["outcome"] == "sold"]
        self.untold = set(sold.loc[sold["version"] == -1, "event"])
        self.sellers = set(sales.loc[sales["outcome"].isin(["sold", "unknown"]), "purchase_id"])

    def explain(self, order):
        """Whether everything was so when it happened in this order, and the ledger holds what it leaves."""
        self.left, self.version = dict(self.totals), dict.fromkeys(self.totals, 1)
        self.owned = {}
        return all(map(self.happens, order)) and self.ends()

    def happens(self, rows):
        """Let one operation take effect; whether it could."""
        owner, repeated = rows[0]["purchase_id"], rows[0]["cause"] == "repeated"
        owns = self.owned.get(owner)
        if rows[0]["kind"] == "refund":
            if repeated and rows[0]["outcome"] == "refunded":
                return owns is None
            wanted = {row["event"]: row["quantity"] for row in rows}
            return self.owned.pop(owner, None) == wanted and all(self.moves(row, row["quantity"]) for row in rows)
        if rows[0]["outcome"] == "sold_out":
            return all(map(self.lacks, rows))
        if repeated and (owns is not None or owner in self.sellers):
            return owns is not None
        there = {row["event"]: self.tickets[row["event"], owner] if repeated else 0 for row in rows}
        self.owned[owner] = {row["event"]: there[row["event"]] or row["quantity"] for row in rows}
        return owns is None and all(self.moves(row, -self.owned[owner][row["event"]]) for row in rows)

    def moves(self, row, tickets):
        """Add tickets to the stock, or take some; whether they were there, and the buyer was told so."""
        event = row["event"]
        self.left[event] += tickets
        self.version[event] += 1
        silent = row["outcome"] == "unknown" or row["cause"] == "repeated" or event in self.untold
        return self.left[event] >= 0 and (silent or self.told(row))

    def lacks(self, row):
        """Whether a refusal was right about this event."""
        event, quantity = row["event"], row["quantity"]
        return max(self.left[event], row["available"]) < quantity and (event in self.untold or self.told(row))

    def told(self, row):
        """Whether the buyer was told what is so, or nothing."""
        event = row["event"]
        return row["version"] in (-1, self.version[event]) and row["available"] in (-1, self.left[event])

    def ends(self):
        """Whether the ledger holds what there is now."""
        held = Counter({(event, owner): count for owner, lines in self.owned.items() for event, count in lines.items()})
        versions = {event: self.end[event][1] if event in self.untold else made for event, made in self.version.items()}
        return held == self.tickets and all(
            self.end[event][0] in (-1, left) and self.end[event][1] in (-1, versions[event])
            for event, left in self.left.items()
        )
