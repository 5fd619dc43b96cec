"""Exports say what a history says, in the words of other checkers: each operation once, and nothing beyond."""

import json
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ticketlab.errors import InvalidInputError
from ticketlab.formats import FORMATS, _elle, append, operations, register
from ticketlab.formats._calls import Calls
from ticketlab.history.ledger import Ledger

SALE = {"version": 2, "available": 1, "invoked_ns": 10, "completed_ns": 20}
NEXT = {"version": 3, "available": 0, "invoked_ns": 15, "completed_ns": 30, "buyer": 1}
REFUSED = {
    "outcome": "sold_out", "cause": "insufficient", "version": 3, "available": 0, "invoked_ns": 40, "completed_ns": 50,
}  # fmt: skip


@pytest.fixture
def books(ledger):
    """The ledger after two sales of two seats."""
    return ledger(total=2, available=0, version=3, tickets=[1, 2])


def maps(lines):
    return json.loads("\n".join(lines))


def steps(lines, kinds=("ok", "info", "fail")):
    """The steps of every transaction as it was answered."""
    return [each["value"] for each in maps(lines) if each["type"] in kinds]


class TestAppend:
    def test_sales_append_and_refusals_read(self, history, books):
        """Elle's own example in our words: an array, a map a line, and in the end a read that gives the order."""
        assert list(append(history(SALE, NEXT, REFUSED), books)) == [
            "[",
            '{"index":0,"type":"invoke","process":0,"time":10,"f":"txn","value":[["append",0,0]]},',
            '{"index":1,"type":"invoke","process":1,"time":15,"f":"txn","value":[["append",0,1]]},',
            '{"index":2,"type":"ok","process":0,"time":20,"f":"txn","value":[["append",0,0]]},',
            '{"index":3,"type":"ok","process":1,"time":30,"f":"txn","value":[["append",0,1]]},',
            '{"index":4,"type":"invoke","process":0,"time":40,"f":"txn","value":[["r",0,null]]},',
            '{"index":5,"type":"ok","process":0,"time":50,"f":"txn","value":[["r",0,[0,1]]]},',
            '{"index":6,"type":"invoke","process":2,"time":51,"f":"txn","value":[["r",0,null]]},',
            '{"index":7,"type":"ok","process":2,"time":51,"f":"txn","value":[["r",0,[0,1]]]}',
            "]",
        ]

    def test_a_lost_update_reads_one_list_twice(self, history, ledger):
        """Two who made one version read the same list, and then each another one: no order has both."""
        lost = history(SALE, SALE | {"buyer": 1})
        assert steps(append(lost, ledger(total=2, available=1, version=2, tickets=[1, 2]))) == [
            [["r", 0, []], ["append", 0, 0], ["r", 0, [0]]],
            [["r", 0, []], ["append", 0, 1], ["r", 0, [1]]],
            [["r", 0, [0]]],
        ]

    def test_a_sale_beyond_the_last_version_was_read_by_itself_alone(self, history, ledger):
        """What the ledger does not have the last read has not, and the sale still shows what it saw."""
        gone = history(SALE, NEXT)
        assert steps(append(gone, ledger(total=2, available=1, version=2, tickets=[1]))) == [
            [["append", 0, 0]],
            [["r", 0, [0]], ["append", 0, 1], ["r", 0, [0, 1]]],
            [["r", 0, [0]]],
        ]

    def test_a_version_that_nobody_was_told_of_is_appended_by_nobody(self, history, books):
        """Elle ends where it reads what nobody appended: an operation without an answer did, before all others."""
        lines = maps(append(history(NEXT, {"outcome": "unknown", "version": None}), books))
        assert [(each["type"], each["value"]) for each in lines[:2]] == [
            ("invoke", [["append", 0, -2]]), ("info", [["append", 0, -2]])
        ]  # fmt: skip
        assert lines[-1]["value"] == [["r", 0, [-2, 0]]]
        assert [["append", 0, 1]] in [each["value"] for each in lines if each["type"] == "info"]

    def test_outcomes_are_ok_fail_or_info(self, history, books):
        """What surely did nothing fails, what may have happened is told so."""
        rest = [{"outcome": each} for each in ("conflict", "failed", "unavailable", "unknown")]
        told = maps(append(history(SALE, NEXT, *rest), books))
        ends = [each for each in told if each["type"] != "invoke" and each["value"][0][0] == "append"]
        types = {each["value"][0][2]: each["type"] for each in ends}
        assert [types[row] for row in range(6)] == ["ok", "ok", "fail", "fail", "fail", "info"]

    def test_what_was_made_before_has_no_steps(self, history, books):
        """Neither a sale told once more nor a refund of nothing changed anything, or says what it saw."""
        told_again = {"cause": "repeated", "invoked_ns": 60, "completed_ns": 70, "purchase_id": 1}
        nothing = told_again | {"kind": "refund", "outcome": "refunded"}
        assert steps(append(history(SALE, NEXT, told_again, nothing), books))[2:4] == [[], []]

    def test_of_an_event_without_order_nothing_is_read(self, history, books):
        """Where a sale carries no version, versions are no order of sales."""
        unordered = history(SALE | {"version": None}, NEXT, REFUSED)
        assert steps(append(unordered, books)) == [[["append", 0, 0]], [["append", 0, 1]], []]

    def test_of_many_refusals_the_first_and_the_last_read(self, history, books):
        """Answered first and called last: whoever came between says nothing more of time."""
        refusals = [REFUSED | {"invoked_ns": 40 + each, "completed_ns": 50 + each} for each in range(4)]
        assert [bool(each) for each in steps(append(history(SALE, NEXT, *refusals), books))] == [
            True, True, True, False, False, True, True
        ]  # fmt: skip

    def test_a_basket_is_one_transaction(self, history, ledger):
        """All its lines happen at once; its refusals are read however many there are."""
        lines = [SALE | {"event": line, "line": line, "purchase_id": 1} for line in (0, 1)]
        refused = [
            REFUSED | {"event": line, "line": line, "version": 2, "purchase_id": 2, "invoked_ns": 40 + again}
            for again in range(3)
            for line in (0, 1)
        ]
        books = ledger(events=[(0, 2, 1, 2), (1, 2, 1, 2)], tickets=[(0, 1), (1, 1)])
        assert steps(append(history(*lines, *refused), books)) == [
            [["append", 0, 0], ["append", 1, 1]],
            *[[["r", 0, [0]], ["r", 1, [1]]]] * 3,
            [["r", 0, [0]]],
            [["r", 1, [1]]],
        ]

    def test_lists_without_measure_are_refused(self, history, ledger, monkeypatch):
        """Before anything is written, and with another way to go."""
        monkeypatch.setattr(_elle, "MOST_ELEMENTS", 3)
        with pytest.raises(InvalidInputError, match=r"4 elements, more than 3.*elle-register"):
            append(history(SALE), ledger(total=9, version=4))


class TestRegister:
    def test_a_sale_reads_the_version_before_and_writes_its_own(self, history, books):
        """The version with which an event begins is null: Elle's registers begin so."""
        assert list(register(history(SALE, NEXT, REFUSED), books))[:5] == [
            "[",
            '{"index":0,"type":"invoke","process":0,"time":10,"f":"txn","value":[["r",0,null],["w",0,2]]},',
            '{"index":1,"type":"invoke","process":1,"time":15,"f":"txn","value":[["r",0,null],["w",0,3]]},',
            '{"index":2,"type":"ok","process":0,"time":20,"f":"txn","value":[["r",0,null],["w",0,2]]},',
            '{"index":3,"type":"ok","process":1,"time":30,"f":"txn","value":[["r",0,2],["w",0,3]]},',
        ]
        assert steps(register(history(SALE, NEXT, REFUSED), books))[2:] == [[["r", 0, 3]]] * 2

    def test_written_values_are_unique(self, history, books):
        """The second to make a version, and whoever tells none, writes what nobody reads."""
        rows = SALE, SALE | {"buyer": 1}, {"outcome": "unknown"}, {"outcome": "failed"}
        assert [each[-1] for each in steps(register(history(*rows), books))[:4]] == [
            ["w", 0, 2], ["w", 0, -2], ["w", 0, -3], ["w", 0, -4]
        ]  # fmt: skip


class TestProcesses:
    def test_a_process_that_crashed_calls_no_more(self, history, books):
        """Whoever got no answer goes on under a number that nobody has."""
        calls = [{"invoked_ns": at, "completed_ns": at + 5, "outcome": "unknown"} for at in (0, 10, 20)]
        other = {"invoked_ns": 30, "completed_ns": 40, "outcome": "failed", "buyer": 1}
        told = maps(register(history(*calls, other, other | {"invoked_ns": 50, "completed_ns": 60}), books))
        assert [each["process"] for each in told if each["type"] == "invoke"][:5] == [0, 2, 3, 1, 1]

    def test_a_tie_is_concurrent(self, history, books):
        """An answer in the instant of the next call is not before it: calls come first, by another process."""
        calls = [{"invoked_ns": at, "completed_ns": at + 10, "outcome": "failed"} for at in (0, 10)]
        told = maps(register(history(*calls), books))[:4]
        assert [(each["type"], each["process"]) for each in told] == [
            ("invoke", 0), ("invoke", 1), ("fail", 0), ("fail", 1)
        ]  # fmt: skip


class TestPorcupine:
    def test_an_operation_has_its_input_and_its_output(self, history, books):
        """The fields of Porcupine's Operation, and in the end what the ledger holds."""
        sale, end = operations(history(SALE), books)
        assert sale == (
            f'{{"clientId":0,"input":{{"op":"purchase","purchaseId":"{UUID(int=1)}",'
            '"lines":[{"event":0,"total":2,"quantity":1}]},"call":10,'
            '"output":{"outcome":"sold","again":false,"lines":[{"version":2,"available":1}]},"return":20}'
        )
        assert end == (
            '{"clientId":1,"input":{"op":"read","lines":[{"event":0,"total":2}]},"call":21,'
            '"output":{"outcome":"read","lines":[{"version":3,"available":0,"tickets":2}]},"return":21}'
        )

    def test_what_is_unknown_returns_after_everything(self, history, books):
        """So that it may take effect at any time, or never."""
        *_, unknown, end = map(json.loads, operations(history(SALE, {"outcome": "unknown"}), books))
        assert unknown["output"] == {
            "outcome": "unknown", "again": False, "lines": [{"version": None, "available": None}]
        }  # fmt: skip
        assert unknown["return"] > end["return"] > 1_000_000


def rows():
    """Rows of any history, right or wrong."""
    return some.fixed_dictionaries(
        {
            "buyer": some.integers(0, 2),
            "event": some.integers(0, 1),
            "invoked_ns": some.integers(0, 20),
            "lasted": some.integers(0, 20),
            "outcome": some.sampled_from(["sold", "sold_out", "unknown", "failed"]),
            "cause": some.sampled_from(["none", "none", "none", "repeated"]),
            "version": some.sampled_from([None, 1, 2, 2, 3, 4, 6]),
        }
    )


@pytest.fixture
def told(history):
    """A history of such rows, in order."""

    def make(drawn):
        ordered = sorted(drawn, key=lambda row: row["invoked_ns"])
        return history(
            *({k: v for k, v in row.items() if k != "lasted"} | {"completed_ns": row["invoked_ns"] + row["lasted"]}
              for row in ordered)
        )  # fmt: skip

    return make


@pytest.mark.parametrize("form", FORMATS)
def test_a_history_of_nothing_is_a_history(history, books, form):
    """No operation, and still what the ledger holds in the end."""
    lines = list(FORMATS[form](history(), Ledger(events=books.events, tickets=books.tickets[:0])))
    assert "null" in "".join(lines) or "read" in "".join(lines)


def answered(lines):
    """Each call with its answer; a process does one thing at a time, and after a crash nothing more."""
    running, pairs, crashed = {}, [], set()
    for each in lines:
        if each["type"] == "invoke":
            assert each["process"] not in crashed | running.keys()
            running[each["process"]] = each
        else:
            pairs.append((running.pop(each["process"]), each))
            crashed |= {each["process"]} if each["type"] == "info" else set()
    assert not running
    return pairs


def contradictions(lines):
    """What Elle's list_append.clj would find in short: reads that are no prefixes, or a circle of dependencies."""
    ends = [end for _, end in answered(lines) if end["type"] != "fail"]
    begins = {end["index"]: call["index"] for call, end in answered(lines)}
    writers, readers, longest = {}, {}, {}
    for end in ends:
        for name, key, value in end["value"]:
            if name == "append":
                writers[key, value] = end["index"]
            elif value is not None:
                readers.setdefault((key, (value or [None])[-1]), set()).add(end["index"])
                short, long = sorted([longest.get(key, []), value], key=len)
                if long[: len(short)] != short:
                    return "no order"
                longest[key] = long
    before = {end["index"]: {each["index"] for each in ends if each["type"] == "ok"
              and each["index"] < begins[end["index"]]} for end in ends}  # fmt: skip
    for end in ends:
        for name, key, value in end["value"]:
            order = [None, *longest.get(key, [])]
            if name == "append":
                previous = order[order.index(value) - 1] if value in order else order[-1]
                before[end["index"]] |= readers.get((key, previous), set()) | {writers.get((key, previous))}
            else:
                before[end["index"]].add(writers.get((key, (value or [None])[-1])))
    try:
        TopologicalSorter({end: others - {end, None} for end, others in before.items()}).prepare()
    except CycleError:
        return "a circle"
    return None


@pytest.mark.parametrize("seed", range(40))
def test_a_right_history_contradicts_itself_nowhere(history, ledger, seed):
    """Sales, baskets, refusals and lost answers, each in an instant of its call: Elle would find nothing in them."""
    chance, version, left, rows = Random(seed), [1, 1], [6, 6], []
    for number in range(1, 31):
        wanted = chance.choice([[0], [1], [0, 1]])
        outcome = chance.choice(["sold", "sold", "unknown", "failed"])
        refusing = [event for event in wanted if not left[event]]
        if not refusing and (outcome == "sold" or (outcome == "unknown" and chance.random() < 0.5)):
            for event in wanted:
                version[event], left[event] = version[event] + 1, left[event] - 1
        outcome = "sold_out" if refusing and outcome == "sold" else outcome
        call = {
            "outcome": outcome, "purchase_id": number, "buyer": chance.randrange(4),
            "invoked_ns": 1000 * number - chance.randrange(4000),
            "completed_ns": 1000 * number + chance.randrange(4000),
        }  # fmt: skip
        for line, event in enumerate(refusing if outcome == "sold_out" else wanted):
            told = version[event] if outcome in {"sold", "sold_out"} else -1
            rows.append(call | {"line": line, "event": event, "version": told})
    rows.sort(key=lambda row: row["invoked_ns"])
    books = ledger(events=[(event, 6, left[event], version[event]) for event in (0, 1)])
    assert contradictions(maps(append(history(*rows), books))) is None


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([SALE, SALE | {"buyer": 1}, NEXT], "no order"),
        ([SALE | {"completed_ns": 12, "version": 3}, NEXT | {"version": 2}], "a circle"),
        ([SALE, NEXT, REFUSED | {"version": 2}], "a circle"),
        ([SALE, NEXT, REFUSED | {"version": 4}], "a circle"),
    ],
    ids=["lost update", "out of order", "stale refusal", "dirty refusal"],
)
def test_a_wrong_history_contradicts_itself(history, books, rows, found):
    """The same eyes see what is wrong with the order."""
    assert contradictions(maps(append(history(*rows), books))) == found


@pytest.mark.parametrize("export", [append, register])
def test_every_operation_is_told_once_and_as_elle_wants_it(told, ledger, export):
    """Whatever the history: calls are answered, writes are unique, what is read was written by somebody."""

    @settings(max_examples=80, deadline=None)
    @given(some.lists(rows(), max_size=12), some.integers(1, 7))
    def holds(drawn, version):
        observed = told(drawn)
        lines = maps(export(observed, ledger(events=[(0, 9, 0, version), (1, 9, 0, None)])))
        assert [each["index"] for each in lines] == list(range(len(lines)))
        assert [each["time"] for each in lines] == sorted(each["time"] for each in lines)
        calls = answered(lines)
        ours = [pair for pair in calls if pair[0]["process"] < Calls.of(observed).processes]
        assert Counter((call["time"], end["time"]) for call, end in ours) == Counter(
            zip(observed["invoked_ns"], observed["completed_ns"], strict=True)
        )
        assert all([step[:2] for step in call["value"]] == [step[:2] for step in end["value"]] for call, end in calls)
        written = Counter((step[1], step[2]) for call, _ in calls for step in call["value"] if step[0] != "r")
        assert all(count == 1 for count in written.values())
        read = [step for _, end in calls for step in end["value"] if step[0] == "r" and isinstance(step[2], list)]
        assert all((key, each) in written for _, key, values in read for each in values)

    holds()


def test_every_operation_is_a_line_for_porcupine(told, ledger):
    """Parsed back, a line has the times and the outcome of its row, and none is missing."""

    @settings(max_examples=40, deadline=None)
    @given(some.lists(rows(), max_size=12))
    def holds(drawn):
        observed = told(drawn)
        lines = [json.loads(line) for line in operations(observed, ledger(events=[(0, 9, 0, 1), (1, 9, 0, 1)]))]
        *lines, one, two = lines
        assert [(each["call"], each["output"]["outcome"]) for each in lines] == list(
            zip(observed["invoked_ns"], observed["outcome"], strict=True)
        )
        assert one["call"] == two["call"] > observed["completed_ns"].max() if len(observed) else True

    holds()
