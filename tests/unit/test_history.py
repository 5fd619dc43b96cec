from uuid import UUID

import pandas as pd
import pytest

from ticketlab.history import recording as histories
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import COLUMNS, Recorder, collect, purchases_of
from ticketlab.outcomes import NOT_SEEN, RETRIES, Cause, Kind, Outcome

FIRST, SECOND = UUID(int=1).bytes, UUID(int=2).bytes


def record(recorder, purchase_id, invoked_ns, **changes):
    operation = {
        "event": 0,
        "quantity": 1,
        "purchase_id": purchase_id,
        "scheduled_ns": invoked_ns,
        "invoked_ns": invoked_ns,
        "completed_ns": invoked_ns + 5,
        "outcome": Outcome.SOLD,
        "cause": Cause.NONE,
        "retries": (),
        "version": 2,
        "available": 9,
    }
    recorder.record(**(operation | changes))


def test_what_was_recorded_is_collected_in_order_of_invocation():
    """The operations of all buyers stand in one history, its clock starting with the trial."""
    one, other = Recorder(1), Recorder(2)
    record(one, SECOND, 1_200, outcome=Outcome.SOLD_OUT, cause=Cause.INSUFFICIENT, version=None, available=None)
    record(other, FIRST, 1_100, retries=(Cause.STALE_VERSION,) * 2, cause=Cause.STALE_VERSION)
    collected = collect([one, other], start_ns=1_000)
    assert collected[["buyer", "invoked_ns", "completed_ns", "attempts", "version"]].to_numpy().tolist() == [
        [2, 100, 105, 3, 2],
        [1, 200, 205, 1, NOT_SEEN],
    ]
    assert collected["outcome"].tolist() == ["sold", "sold_out"]
    assert collected["cause"].tolist() == ["stale_version", "insufficient"]
    assert collected["purchase_id"].tolist() == [FIRST, SECOND]


def test_a_recorder_counts_its_operations():
    """The number of operations is known while they are recorded."""
    recorder = Recorder(0)
    assert len(recorder) == 0
    record(recorder, FIRST, 1)
    record(recorder, SECOND, 2)
    assert len(recorder) == 2


def test_retries_are_recorded_by_their_cause():
    """Each cause has its count, in the purchase that met it and in no other."""
    recorder = Recorder(0)
    met = (Cause.DEADLOCK, Cause.STALE_VERSION, Cause.DEADLOCK)
    for number, retries in enumerate([(), met, (), (Cause.POOL_TIMEOUT,)]):
        record(recorder, FIRST, number, retries=retries)
    collected = collect([recorder], start_ns=0)
    counts = {name: collected[name].tolist() for name in RETRIES.values() if collected[name].any()}
    assert counts == {
        "retries_stale_version": [0, 1, 0, 0],
        "retries_deadlock": [0, 2, 0, 0],
        "retries_pool_timeout": [0, 0, 0, 1],
    }
    assert collected["attempts"].tolist() == [1, 4, 1, 2]


def test_more_retries_than_the_column_holds_are_told_as_the_most():
    """A count does not turn into another number; the attempts have it whole."""
    recorder = Recorder(0)
    record(recorder, FIRST, 0, retries=(Cause.SERIALIZATION,) * 70_000)
    row = collect([recorder], start_ns=0).iloc[0]
    assert (row["retries_serialization"], row["attempts"]) == (32_767, 70_001)


def test_a_basket_is_one_purchase_of_several_rows():
    """Its lines stay together among purchases of the same instant, and it counts once."""
    one, other = Recorder(1), Recorder(2)
    for recorder, purchase_id in ((one, FIRST), (other, SECOND)):
        for line, event in enumerate((4, 2, 3)):
            record(recorder, purchase_id, 10, event=event, line=line, retries=(Cause.DEADLOCK,))
    collected = collect([one, other], start_ns=0)
    assert (len(one), len(other), len(purchases_of(collected))) == (1, 1, 2)
    assert collected[["buyer", "event", "line", "retries_deadlock"]].to_numpy().tolist() == [
        [1, 4, 0, 1], [1, 2, 1, 1], [1, 3, 2, 1], [2, 4, 0, 1], [2, 2, 1, 1], [2, 3, 2, 1],
    ]  # fmt: skip


def test_refunds_are_told_from_purchases():
    """Each has its kind and its outcome, line by line; a recorder counts purchases alone."""
    recorder = Recorder(0)
    record(recorder, FIRST, 10)
    for line in (0, 1):
        record(recorder, FIRST, 20, line=line, kind=Kind.REFUND, outcome=Outcome.REFUNDED)
    record(recorder, SECOND, 30, kind=Kind.REFUND, outcome=Outcome.UNKNOWN, retries=(Cause.DEADLOCK,))
    record(recorder, SECOND, 40, outcome=Outcome.UNKNOWN)
    collected = collect([recorder], start_ns=0)
    assert collected[["kind", "outcome", "line", "retries_deadlock"]].to_numpy().tolist() == [
        ["purchase", "sold", 0, 0],
        ["refund", "refunded", 0, 0],
        ["refund", "refunded", 1, 0],
        ["refund", "unknown", 0, 1],
        ["purchase", "unknown", 0, 0],
    ]
    assert (len(recorder), len(purchases_of(collected))) == (2, 2)


def test_a_history_of_another_version_is_refused(tmp_path, history):
    """What it lacks is named, and that it may come from another version."""
    old = pd.DataFrame(history({})).drop(columns=["line", "retries_deadlock"])
    histories.write(old, tmp_path / "history.parquet")
    with pytest.raises(ValueError, match=r"history.parquet lacks line, retries_deadlock: .* another version"):
        histories.read(tmp_path / "history.parquet")


def test_a_history_without_operations_has_its_columns():
    """A trial in which nothing was bought is a history like any other."""
    assert dict(collect([], start_ns=0).dtypes) == pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS).dtypes.to_dict()


@pytest.mark.parametrize("operations", [(), ({}, {"outcome": "unknown", "cause": "connection"})], ids=["empty", "two"])
def test_a_history_is_read_as_it_was_written(tmp_path, history, operations):
    """Values and types survive the file."""
    written = history(*operations)
    histories.write(written, tmp_path / "history.parquet")
    pd.testing.assert_frame_equal(histories.read(tmp_path / "history.parquet"), written)


def test_a_ledger_is_read_as_it_was_written(tmp_path, ledger):
    """Values and types of both tables survive their files."""
    written = ledger(total=3, available=1, version=3, tickets=[1, 2])
    written.write(tmp_path)
    read = Ledger.read(tmp_path)
    pd.testing.assert_frame_equal(read.events, written.events)
    pd.testing.assert_frame_equal(read.tickets, written.tickets)


def test_seats_count_tickets_and_oversells_of_each_event(ledger):
    """Each event has its own tickets and its own overhang; one without tickets has none of either."""
    seats = ledger(events=[(0, 1, 0, 3), (1, 5, 5, 1)], tickets=[(0, 1), (0, 2), (0, 2)]).seats()
    assert seats[["tickets", "oversold"]].to_numpy().tolist() == [[3, 2], [0, 0]]
