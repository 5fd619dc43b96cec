"""A history made by others is read as it stands, every fault of it is named, and it is judged as one of our own."""

from uuid import UUID, uuid5

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ticketlab import checks
from ticketlab.checks.verdict import Anomaly, Status, Verdict
from ticketlab.errors import InvalidInputError
from ticketlab.formats import imports
from ticketlab.formats.imports import NEEDS_NO_TICKETS, Table
from ticketlab.formats.imports._parsers import IDS_OF_TEXT
from ticketlab.history import recording as histories
from ticketlab.history.recording import COLUMNS
from ticketlab.outcomes import NOT_SEEN

HEADER = "buyer,event,quantity,purchase_id,invoked_ns,completed_ns,outcome"
SALE = "3,0,2,00000000-0000-0000-0000-000000000001,10,20,sold"
SALE_OF_1 = SALE.replace("001,", "101,")
REFUND = "3,0,2,00000000-0000-0000-0000-000000000101,30,40,refunded,refund"
BOTH_LATER = [f"{row.replace('10,20', '50,60')},purchase" for row in (SALE_OF_1, SALE)]
EIGHT_OF_SEVEN = "event 0: by the answers, buyers owned 8 tickets for 7 seats at one time"
SOLD_TO_BOB = "bob,rock,1,order-1,10,20,sold"


def table(*lines, name="orders.csv", header=HEADER):
    return Table.of_csv("\n".join([header, *lines, ""]).encode(), name=name)


def read(*lines, header=HEADER, stock=9, **tables):
    return imports.read(table(*lines, header=header), stock=None if "events" in tables else stock, **tables)


def tickets(*lines):
    return table(*lines, name="tickets.csv", header="event,purchase_id")


class TestColumns:
    def test_seven_columns_are_enough(self):
        """What is missing is what the plainest operation has; the frame has all columns in their types."""
        read_in = read(SALE, SALE.replace("sold", "SOLD_OUT").replace("001,10", "002,30").replace("20", "40"))
        assert read_in.history.dtypes.to_dict() == pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS).dtypes.to_dict()
        first, second = read_in.history.to_dict("records")
        assert first == {
            "buyer": 0, "event": 0, "line": 0, "kind": "purchase", "quantity": 2, "purchase_id": UUID(int=1).bytes,
            "scheduled_ns": 10, "invoked_ns": 10, "completed_ns": 20, "outcome": "sold", "cause": "none",
            "attempts": 1, "retries_stale_version": 0, "retries_concurrent_update": 0, "retries_serialization": 0,
            "retries_deadlock": 0, "retries_lock_timeout": 0, "retries_pool_timeout": 0, "version": NOT_SEEN,
            "available": NOT_SEEN, "handed": NOT_SEEN, "handed_digest": NOT_SEEN, "handed_elsewhere": 0,
        }  # fmt: skip
        assert (second["outcome"], second["cause"]) == ("sold_out", "insufficient")

    def test_empty_cells_of_columns_that_may_be_missing_are_not_told(self):
        """As where the column is missing; a number with nothing behind its point is whole."""
        header = f"{HEADER},version,available,cause,kind,scheduled_ns,attempts,line"
        row = read(f"{SALE},,3.0,,,,,", header=header).history.iloc[0]
        assert row[["version", "available", "cause", "kind", "scheduled_ns", "attempts", "line"]].tolist() == [
            NOT_SEEN, 3, "none", "purchase", 10, 1, 0
        ]  # fmt: skip

    def test_rows_of_one_call_are_its_lines(self):
        """The same purchase_id, invoked_ns and kind: one operation, its rows together whatever lies between them."""
        basket = [f"1,{event},1,basket,10,20,sold" for event in (0, 1)]
        history = read(basket[0], "2,0,1,other,10,20,sold", basket[1], "1,0,1,basket,30,40,failed").history
        assert history["line"].tolist() == [0, 1, 0, 0]
        assert history["buyer"].tolist() == [0, 0, 1, 0]
        assert history["event"].tolist() == [0, 1, 0, 0]

    def test_rows_are_put_in_order_of_invocation(self):
        """And each still knows where in the file it stands."""
        late = SALE.replace("001,10,20", "002,50,60")
        read_in = read(late, SALE)
        assert read_in.history["invoked_ns"].tolist() == [10, 50]
        assert read_in.places.tolist() == [3, 2]

    def test_what_is_not_read_is_told(self):
        """A column that is not known may be a known one that was misspelt."""
        assert read(f"{SALE},2", header=f"{HEADER},verson").notes == ("Not read: the column verson.",)


class TestNames:
    def test_names_are_numbered_as_they_come_and_numbers_keep_their_order(self):
        """Event 10 comes after event 9; names come as they come."""
        rows = [SALE.replace(",0,", f",{event},", 1).replace("001,", f"00{event},") for event in ("7", "9", "8")]
        assert read(*rows).events.known.to_pylist() == ["7", "8", "9"]
        assert read(*(row.replace(",7,", ",x,") for row in rows)).events.known.to_pylist() == ["x", "9", "8"]

    def test_a_purchase_id_that_is_no_uuid_makes_one(self):
        """By uuid5, which is said; one that is stays as it is, in capitals or not."""
        upper = SALE.replace("0000-000000000001", "0000-00000000000A")
        read_in = read(SOLD_TO_BOB, upper)
        assert read_in.history["purchase_id"].tolist() == [uuid5(IDS_OF_TEXT, "order-1").bytes, UUID(int=10).bytes]
        assert "purchase_id of 1 of 2 rows is not a UUID" in read_in.notes[0]

    def test_evidence_speaks_in_the_names_of_the_file(self):
        """Event, buyer and purchase as the file has them, and the line on which they stand."""
        read_in = read(
            SOLD_TO_BOB, SOLD_TO_BOB.replace("1,10", "2,10"), stock=1, tickets=tickets("rock,order-1", "rock,order-2")
        )
        verdict = next(each for each in imports.judge(read_in) if each.check == "no_oversell")
        assert verdict.status is Status.INVALID
        assert verdict.summary.startswith("event rock: 2 tickets for 1 seat")
        row = verdict.evidence[0]
        assert (row["buyer"], row["event"], row["purchase_id"], row["in_file"]) == ("bob", "rock", "order-2", 3)


FAULTY_ROWS = [
    (SALE.replace(",2,", ",0,"), "quantity: found '0'; expected a whole number from 1 to 2,147,483,647"),
    (SALE.replace(",2,", ",-3,"), "quantity: found '-3'"),
    (SALE.replace(",2,", ",two,"), "quantity: found 'two'"),
    (SALE.replace(",2,", ",2147483648,"), "quantity: found '2147483648'; expected a whole number from 1 to"),
    (SALE.replace(",2,", ",1.5,"), "quantity: found '1.5'"),
    (SALE.replace(",2,", ",,"), "quantity: found nothing"),
    (SALE.replace(",10,", ",-1,"), "invoked_ns: found '-1'; expected a whole number from 0"),
    (SALE.replace(",20,", ",9e18,"), "completed_ns: found '9e18'"),
    (SALE.replace(",20,", ",99999999999999999999,"), "completed_ns: found '99999999999999999999'"),
    (SALE.replace(",20,", ",9,"), "completed_ns: found '9'; expected at least invoked_ns"),
    (SALE.replace("sold", "bought"), "outcome: found 'bought'; expected one of sold, sold_out, conflict"),
    (SALE.replace("sold", "refunded"), "outcome: found 'refunded'; expected an outcome of a purchase"),
    (SALE.replace("3,0", ",0"), "buyer: found nothing; expected a name or a number"),
    (SALE.replace("3,0", "3,"), "event: found nothing; expected a name or a number"),
    ("3,0,2,,10,20,sold", "purchase_id: found nothing; expected a UUID"),
    ("3,0,2", "the whole row: 3 cells; expected 7, as in the first line"),
    (f"{SALE},1", "the whole row: 8 cells; expected 7, as in the first line"),
]


class TestFaults:
    @pytest.mark.parametrize(("row", "said"), FAULTY_ROWS, ids=[said for _, said in FAULTY_ROWS])
    def test_a_bad_row_is_named(self, row, said):
        """By its line, its column, what was found there and what is expected."""
        with pytest.raises(InvalidInputError) as refused:
            read("7,0,1,other,0,1,sold", row)
        assert str(refused.value).startswith("orders.csv has 1 error:\n  line 3, ")
        assert said in str(refused.value)

    @pytest.mark.parametrize(
        ("column", "cell", "said"),
        [
            ("kind", "gift", "kind: found 'gift'; expected one of purchase, refund"),
            ("kind", "refund", "outcome: found 'sold'; expected an outcome of a refund"),
            ("cause", "magic", "cause: found 'magic'; expected one of none, insufficient"),
            ("version", "-1", "version: found '-1'; expected a whole number from 0 to 2,147,483,647, or an empty cell"),
            ("available", "lots", "available: found 'lots'"),
            ("attempts", "0", "attempts: found '0'; expected a whole number from 1"),
            ("retries_deadlock", "40000", "retries_deadlock: found '40000'; expected a whole number from 0 to 32,767"),
            ("line", "1", "line: found '1'; expected 0: lines of one operation count from 0"),
        ],
    )
    def test_a_bad_cell_of_another_column_is_named(self, column, cell, said):
        """What may be missing must be right where it is there."""
        with pytest.raises(InvalidInputError, match=f"line 2, {said}"):
            read(f"{SALE},{cell}", header=f"{HEADER},{column}")

    def test_a_row_that_is_there_twice_is_named(self):
        """One purchase asks for an event once at a time; the line of the other one is told."""
        with pytest.raises(InvalidInputError, match=r"line 4, event: found '0'; expected another .* than on line 2"):
            read(SALE, SALE.replace("001,", "002,"), SALE)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (SALE.replace("3,0", "4,1"), "buyer: found '4'; expected the same as on line 2"),
            (SALE.replace("3,0", "3,1").replace(",20", ",21"), "completed_ns: found '21'; expected the same as"),
            (SALE.replace("3,0", "3,1").replace("sold", "failed"), "outcome: found 'failed'; expected the same as"),
        ],
    )
    def test_rows_of_one_operation_tell_one_story(self, row, said):
        """One buyer, one answer at one time."""
        with pytest.raises(InvalidInputError, match=f"line 3, {said}"):
            read(SALE, row)

    def test_twenty_faults_are_listed_and_all_are_counted(self):
        """In the order of the file."""
        with pytest.raises(InvalidInputError) as refused:
            read(*[f"1,0,0,{number},20,10,sold" for number in range(30)], "1,0")
        head, *listed, last = str(refused.value).splitlines()
        assert head == "orders.csv has 31 errors:"
        assert [line.split(",")[0] for line in listed] == [f"  line {number}" for number in range(2, 22)]
        assert last == "  … and 11 more"

    def test_lines_are_counted_as_an_editor_does(self):
        """Empty lines count, and so do those within quotes; so it is with the line ends of Windows."""
        text = f'{HEADER}\n\n"a\nb",0,1,one,0,1,sold\n\n"say ""no""",0,1,two,0,1,sold\n3,0,0,three,0,1,sold\n'
        for data in (text.encode(), text.replace("\n", "\r\n").encode(), text.replace("\n", "\r").encode()):
            with pytest.raises(InvalidInputError, match="line 7, quantity: found '0'"):
                imports.read(Table.of_csv(data, name="x"), stock=1)


class TestFiles:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "is empty"),
            (b" \n\n", "is empty"),
            (HEADER.encode("utf-16"), "UTF-16 text: save it as UTF-8"),
            (f"{HEADER}\n1,caf\xe9,1,x,0,1,sold\n".encode("latin-1"), "line 2: the byte e9 is not UTF-8"),
            (f"{HEADER}\n1,\0,1,x,0,1,sold\n".encode(), "line 2: found a zero byte"),
            (b"PAR1", "a Parquet file: name it .parquet"),
            (b"\x1f\x8b", "compressed by gzip"),
            (f"{HEADER},event\n".encode(), "has the column event more than once"),
            (f"{HEADER}\n{SALE}".replace("quantity", "Qantity").encode(), r"lacks quantity \(is it 'Qantity'\?\)"),
            (f"{HEADER}\n{SALE}".replace("outcome", "x").encode(), "lacks outcome. Its columns are: buyer, event"),
            (f"{HEADER}\n{SALE}".replace(",", ";").encode(), "separated by ';': use commas"),
        ],
    )
    def test_what_is_no_such_file_is_refused(self, data, said):
        """With what was found, and where there is something to do, what."""
        with pytest.raises(InvalidInputError, match=said):
            imports.read(Table.of_csv(data, name="orders.csv"), stock=1)

    def test_a_mark_before_the_text_is_no_part_of_it(self):
        """Spreadsheets put one before UTF-8."""
        assert len(Table.of_csv(f"\ufeff{HEADER}\n{SALE}".encode(), name="x")) == 1

    def test_a_file_that_is_not_there_or_no_parquet_is_refused(self, tmp_path):
        """By its path."""
        (tmp_path / "orders.parquet").write_text(HEADER)
        (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
        for name, said in (
            ("none.csv", "No such file"),
            ("orders.parquet", "not a Parquet"),
            ("torn.parquet", "cannot"),
        ):
            with pytest.raises(InvalidInputError, match=said):
                Table.read(tmp_path / name)

    def test_parquet_names_rows(self, tmp_path):
        """Counted from 1, for it has no lines; numbers that are not told are null."""
        path = tmp_path / "orders.parquet"
        rows = {
            "buyer": ["a", "b"], "event": [1, 2], "quantity": [1, 0], "purchase_id": ["x", "y"],
            "invoked_ns": [1, 2], "completed_ns": [1.0, 2.0], "outcome": ["sold", "sold"], "version": [2, None],
        }  # fmt: skip
        pd.DataFrame(rows).to_parquet(path)
        with pytest.raises(InvalidInputError, match=r"1 error:\n  row 2, quantity: found '0'"):
            imports.read(Table.read(path), stock=1)

    def test_parquet_of_other_types_is_refused(self, tmp_path):
        """Times as times of day, or ids of another length, are nothing to guess about."""
        path = tmp_path / "orders.parquet"
        pq.write_table(pa.table({"event": [[1]]}), path)
        with pytest.raises(InvalidInputError, match="column event: found list"):
            Table.read(path)
        pq.write_table(pa.table({"purchase_id": [b"short"]}), path)
        with pytest.raises(InvalidInputError, match="of another length; expected the 16"):
            Table.read(path)


class TestBooks:
    def test_seats_are_given_once(self):
        """By --stock or by a file, and not by both."""
        events = table("0,9", header="event,total")
        for given in ({"stock": None}, {"stock": 1, "events": events}):
            with pytest.raises(InvalidInputError, match="either --stock for all events, or --events"):
                imports.read(table(SALE), **given)
        with pytest.raises(InvalidInputError, match="--stock takes a whole number from 0"):
            imports.read(table(SALE), stock=-1)

    def test_a_file_of_events_has_what_they_ended_with(self):
        """Total, and where known the stock and the version; an empty cell is not known."""
        events = table("1,5,4,2", "0,9,,", name="events.csv", header="event,total,available,version")
        columns = ["event", "total", "available", "version"]
        assert read(SALE, events=events).ledger.events[columns].to_numpy().tolist() == [
            [0, 9, *[NOT_SEEN] * 2],
            [1, 5, 4, 2],
        ]

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (["0,9", "0,9"], "events.csv has 1 error:\n  line 3, event: found '0'; expected each event once"),
            (["0,many"], "events.csv has 1 error:\n  line 2, total: found 'many'"),
            (["1,9"], "orders.csv has 1 error:\n  line 2, event: found '0'; expected an event of events.csv"),
        ],
    )
    def test_faults_of_the_events_are_named(self, rows, said):
        """And every event that is bought from is among them."""
        with pytest.raises(InvalidInputError) as refused:
            read(SALE, events=table(*rows, name="events.csv", header="event,total"))
        assert str(refused.value) == said or said in str(refused.value)

    def test_tickets_are_rows_or_counted(self):
        """Both ways make the same ledger."""
        mine = "00000000-0000-0000-0000-000000000001"
        counted = table(f"0,{mine},2", name="tickets.csv", header="event,purchase_id,tickets")
        one, two = (read(SALE, tickets=each).ledger.tickets for each in (tickets(f"0,{mine}", f"0,{mine}"), counted))
        pd.testing.assert_frame_equal(one, two)
        assert len(one) == 2

    def test_faults_of_the_tickets_are_named(self):
        """Too many to be held are refused before they are."""
        header = "event,purchase_id,tickets"
        for row, said in (
            ("0,x,-1", "tickets: found '-1'"),
            (",x,1", "event: found nothing"),
            ("0,,1", "purchase_id: found nothing"),
            ("0,x,2000000000", "2,000,000,000 tickets: at most"),
        ):
            with pytest.raises(InvalidInputError, match=said):
                read(SALE, tickets=table(row, name="tickets.csv", header=header))

    def test_a_stock_that_is_not_told_is_what_the_tickets_leave(self):
        """It speaks neither for nor against the seller."""
        seats = read(SALE, tickets=tickets("0,x")).ledger.seats()
        assert seats[["total", "available", "tickets", "oversold"]].to_numpy().tolist() == [[9, 8, 1, 0]]


@pytest.fixture
def judged(monkeypatch):
    """A judge of the order who finds nothing wrong, and the number of tickets that he was shown."""
    shown = []

    def decide(case, _chosen):
        shown.append(len(case.ledger.tickets))
        return (Verdict(check="strict_serializability", status=Status.VALID, summary="in order"),)

    monkeypatch.setattr(checks, "decide", decide)
    return shown


@pytest.mark.parametrize(
    ("summary", "in_its_words"),
    [
        ("event 1: version 2 was made twice", "event jazz: version 2 was made twice"),
        ("events 0, 1: no order was found", "events rock, jazz: no order was found"),
        ("events 0, 1 and 7 more: no order was found", "events rock, jazz and 7 more: no order was found"),
        ("event 0: 1 event, and event 1 too", "event rock: 1 event, and event jazz too"),
        ("the only event has its seats, 2 in all", "the only event has its seats, 2 in all"),
    ],
)
def test_each_event_has_the_name_that_the_file_gives_it(monkeypatch, summary, in_its_words):
    said = (Verdict(check="strict_serializability", status=Status.VALID, summary=summary),)
    monkeypatch.setattr(checks, "decide", lambda _case, _chosen: said)
    found = imports.judge(read(SOLD_TO_BOB, SOLD_TO_BOB.replace("rock", "jazz").replace("order-1", "order-2")))
    assert [each.summary for each in found] == [in_its_words]


class TestWithoutTickets:
    def test_what_needs_tickets_is_not_decided(self):
        """Each check says why; what a history tells by itself is judged."""
        for verdict in imports.judge(read(SALE)):
            assert (verdict.status is Status.UNKNOWN) == (verdict.check not in NEEDS_NO_TICKETS)
            assert verdict.status is Status.VALID or verdict.summary.startswith("no ledger was given")

    def test_the_order_is_judged_as_if_all_that_was_told_is_so(self, judged):
        """The tickets are those of the sales that were not given back."""
        refund = SALE.replace("10,20,sold", "30,40,refunded") + ",refund"
        rows = f"{SALE},", refund, SALE.replace("001,", "002,") + ","
        (verdict,) = imports.judge(read(*rows, header=f"{HEADER},kind"))
        assert (verdict.status, judged) == (Status.VALID, [2])

    @pytest.mark.parametrize(
        ("stock", "more", "found"),
        [
            (7, [], EIGHT_OF_SEVEN),
            (8, [], None),
            (7, [REFUND.replace("30,40", "15,40")], None),  # it may have come before the last sale
            (7, [REFUND.replace("30,40", "15,40").replace("refunded", "unknown")], None),
            (7, [REFUND], EIGHT_OF_SEVEN),
            (7, [REFUND.replace("30,40", "3,8")], EIGHT_OF_SEVEN),
            (8, [SALE_OF_1.replace("10,20", "30,40") + ",purchase"], None),  # the first sale, confirmed
            (8, [REFUND, SALE_OF_1.replace("10,20", "50,60") + ",purchase"], None),  # and sold anew
            (9, [REFUND, *BOTH_LATER], EIGHT_OF_SEVEN.replace("8", "10").replace("7", "9")),
            (10, [REFUND, *BOTH_LATER], None),
        ],
    )
    def test_answers_alone_show_an_oversell(self, stock, more, found):
        """Four buyers were sold two tickets each: too many, if none of them can have given them back in time."""
        rows = [f"{SALE.replace('001,', f'10{number},')},purchase" for number in (1, 2, 3, 4)]
        verdicts = {
            each.check: each for each in imports.judge(read(*rows, *more, stock=stock, header=f"{HEADER},kind"))
        }
        verdict = verdicts["no_oversell"]
        assert (verdict.summary if verdict.status is Status.INVALID else None) == found
        assert verdict.anomaly is (Anomaly.OVERSELL if found else None)

    def test_a_lost_answer_hides_no_oversell(self):
        """What was answered is too much already: neither check is left open."""
        rows = [SALE, SALE.replace("001,", "002,"), SALE.replace("001,", "003,").replace("sold", "unknown")]
        verdicts = {each.check: each for each in imports.judge(read(*rows, stock=3))}
        assert verdicts["no_oversell"].status is verdicts["strict_serializability"].status is Status.INVALID

    def test_the_stock_at_the_end_must_be_what_the_answers_leave(self):
        events = table("0,9,8", name="events.csv", header="event,total,available")
        verdicts = {each.check: each for each in imports.judge(read(SALE, events=events))}
        assert verdicts["no_oversell"].anomaly is Anomaly.LOST_UPDATE
        assert verdicts["no_oversell"].summary.startswith("event 0: the stock is 8")

    def test_an_id_that_was_sold_again_after_its_refund_owns_its_tickets(self, judged):
        rows = [f"{SALE},purchase", REFUND.replace("101,", "001,"), f"{SALE.replace('10,20', '50,60')},purchase"]
        (verdict,) = imports.judge(read(*rows, header=f"{HEADER},kind"))
        assert (verdict.status, judged) == (Status.VALID, [2])

    def test_an_id_whose_end_depends_on_the_order_of_its_calls_leaves_the_order_open(self):
        """A second sale and a refund at the same time: the sale may have confirmed the first one, or come after it."""
        rows = [f"{SALE},purchase", REFUND.replace("101,", "001,"), f"{SALE.replace('10,20', '30,40')},purchase"]
        found = {each.check: each for each in imports.judge(read(*rows, header=f"{HEADER},kind"))}
        order = found["strict_serializability"]
        assert order.status is Status.UNKNOWN
        assert "what 1 purchase id owns at the end depends on the order of the calls" in order.summary

    def test_a_ledger_that_lost_every_ticket_is_judged(self):
        """Its file has a header alone; a history or a list of events without a row says nothing, and is refused."""
        verdicts = {each.check: each for each in imports.judge(read(SALE, tickets=tickets()))}
        assert (verdicts["sales_in_ledger"].status, verdicts["sales_in_ledger"].anomaly) == (
            Status.INVALID,
            Anomaly.LOST_SALE,
        )
        with pytest.raises(InvalidInputError, match=r"events\.csv has no rows"):
            read(SALE, events=table(name="events.csv", header="event,total"))

    def test_a_stock_below_0_is_judged(self):
        """A system that sells too much may report one: it is data, and it is wrong."""
        events = table("0,2,-3,", name="events.csv", header="event,total,available,version")
        found = imports.judge(read(SALE, events=events, tickets=tickets(*[SALE.split(",")[1] + ",order-1"] * 2)))
        assert {each.check: each.status for each in found}["no_oversell"] is Status.INVALID

    def test_a_file_of_which_nothing_is_decided_is_known_as_such(self):
        """A lost answer without tickets leaves all open but deadlocks."""
        assert not imports.is_decided(imports.judge(read(SALE.replace("sold", "unknown"))))
        assert imports.is_decided(imports.judge(read(SALE)))

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (SALE.replace("sold", "unknown") + ",", "the outcome of 1 row is unknown"),
            (f"{SALE},repeated", "1 row reports an earlier purchase that is not in the file"),
        ],
    )
    @pytest.mark.usefixtures("judged")
    def test_what_only_tickets_can_tell_leaves_the_order_open(self, row, said):
        """An answer that was lost, or that tells of a purchase which is not in the file."""
        (verdict,) = imports.judge(read(row, header=f"{HEADER},cause"))
        assert verdict.status is Status.UNKNOWN
        assert said in verdict.summary


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("held", [[1, 2, 2, 3], [1, 2, 2, 3, 9], [1, 2, 3]], ids=["right", "too many", "too few"])
def test_a_history_comes_back_as_it_was_saved(tmp_path, history, ledger, form, held):
    """Written by plain pandas and read again, a history is the same, and so is every verdict on it."""
    observed = history(
        {"version": 2, "available": 2, "invoked_ns": 0, "completed_ns": 9, "buyer": 1, "retries_deadlock": 1},
        {"quantity": 1, "purchase_id": 2, "version": 3, "available": 1, "invoked_ns": 5, "completed_ns": 20},
        {"event": 1, "line": 1, "purchase_id": 2, "version": 2, "available": 8, "invoked_ns": 5, "completed_ns": 20},
        {"outcome": "unknown", "purchase_id": 3, "invoked_ns": 30, "completed_ns": 40},
        {"outcome": "sold_out", "cause": "insufficient", "version": 4, "available": 0, "invoked_ns": 50},
        {"kind": "refund", "outcome": "failed", "cause": "connection", "invoked_ns": 60, "purchase_id": 1},
    )  # fmt: skip
    owners = [(0, 1), (0, 2), (1, 2), (0, 3), (0, 9)][: len(held)] if len(held) > 3 else [(0, 1), (0, 2), (0, 3)]
    books = ledger(events=[(0, 3, 0, 4), (1, 9, 8, 2)], tickets=owners)
    frames = {"orders": observed, "events": books.events, "tickets": books.tickets}
    for name, frame in frames.items():
        plain = (
            frame.assign(purchase_id=[str(UUID(bytes=each)) for each in frame["purchase_id"]])
            if name != "events"
            else frame
        )
        path = tmp_path / f"{name}.{form}"
        plain.to_csv(path, index=False) if form == "csv" else plain.to_parquet(path)
    orders, events, kept = (Table.read(tmp_path / f"{name}.{form}") for name in frames)
    read_in = imports.read(orders, events=events, tickets=kept)
    pd.testing.assert_frame_equal(read_in.history, observed)
    pd.testing.assert_frame_equal(read_in.ledger.tickets, books.tickets)
    pd.testing.assert_frame_equal(read_in.ledger.events, books.events)
    found = [
        (
            each.check,
            each.status,
            each.summary,
            [{k: v for k, v in row.items() if k != "in_file"} for row in each.evidence],
        )
        for each in imports.judge(read_in)
    ]
    assert found == [
        (each.check, each.status, each.summary, list(each.evidence)) for each in checks.judge(observed, books)
    ]


def test_ids_of_sixteen_bytes_are_read_as_they_are(tmp_path, history):
    """A history.parquet of our own is a history of others too."""
    path = tmp_path / "history.parquet"
    observed = history({"version": 2}, {"version": 3, "invoked_ns": 5})
    histories.write(observed, path)
    pd.testing.assert_frame_equal(imports.read(Table.read(path), stock=9).history, observed)
    assert np.array_equal(imports.read(Table.read(path), stock=9).places, [1, 2])
