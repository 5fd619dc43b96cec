from uuid import UUID

import pandas as pd
import pytest

from ticketlab.evidence import history as histories
from ticketlab.evidence.history import COLUMNS, NOT_SEEN, Recorder, collect
from ticketlab.evidence.ledger import Ledger
from ticketlab.outcomes import Cause, Outcome

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
        "attempts": 1,
        "version": 2,
        "available": 9,
    }
    recorder.record(**(operation | changes))


def test_what_was_recorded_is_collected_in_order_of_invocation():
    """The operations of all buyers stand in one history, its clock starting with the trial."""
    one, other = Recorder(1), Recorder(2)
    record(one, SECOND, 1_200, outcome=Outcome.SOLD_OUT, cause=Cause.INSUFFICIENT, version=None, available=None)
    record(other, FIRST, 1_100, attempts=3, cause=Cause.STALE_VERSION)
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
