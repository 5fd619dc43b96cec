"""Literal histories and ledgers, for tests that need no database."""

from uuid import UUID

import pandas as pd
import pytest

from ticketlab.evidence import tables
from ticketlab.evidence.history import COLUMNS, RETRIES
from ticketlab.evidence.ledger import Ledger


def purchase_id(number):
    return UUID(int=number).bytes


@pytest.fixture
def history():
    """A history of literal operations; what an operation leaves out is the plainest sale of one ticket."""

    def make(*operations):
        plain = {
            "buyer": 0,
            "event": 0,
            "quantity": 1,
            "scheduled_ns": 0,
            "invoked_ns": 0,
            "completed_ns": 1_000_000,
            "outcome": "sold",
            "cause": "none",
            "attempts": 1,
            "version": -1,
            "available": -1,
            "line": 0,
            **dict.fromkeys(RETRIES.values(), 0),
        }
        rows = [plain | {"purchase_id": number} | each for number, each in enumerate(operations, start=1)]
        ids = b"".join(purchase_id(row.pop("purchase_id")) for row in rows)
        frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "purchase_id"])
        return frame.assign(purchase_id=tables.purchase_ids(ids))[list(COLUMNS)].astype(COLUMNS)

    return make


@pytest.fixture
def ledger():
    """A ledger of one event (or of `events`) whose tickets are given by the numbers of their purchases."""

    def make(*, total=0, available=0, version=1, tickets=(), events=None):
        rows = events if events is not None else [(0, total, available, version)]
        pairs = [each if isinstance(each, tuple) else (0, each) for each in tickets]
        return Ledger.of(events=rows, tickets=[(event, purchase_id(number)) for event, number in pairs])

    return make
