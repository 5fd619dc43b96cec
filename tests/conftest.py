"""Literal histories, ledgers and results of runs, and what tests of other processes need, wherever they are."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import settings
from verdicts import of_trial, proven

from ticketlab.history import parquet
from ticketlab.history.ledger import Ledger
from ticketlab.history.recording import ABSENT, COLUMNS
from ticketlab.outcomes import NOT_SEEN, RETRIES
from ticketlab.report.model import RunResults

# jsonschema does without this grammar where it is not installed; to read it takes three seconds of each process.
sys.modules.setdefault("rfc3987_syntax", None)

pytest_plugins = ["pytester"]
pytest.register_assert_rewrite("repository_story")  # what fails in there is to be explained as in a test

DEADLINE_S = 60
CONDITIONS = "PostgreSQL 18.6 (embedded) · fsync on, full_page_writes on, synchronous_commit on · 16 buyers"

# What is drawn is the same each time, so that a test that passed will pass. HYPOTHESIS_PROFILE=explore draws anew, and
# ten times as much. A failure prints the story that it shrank to: that is kept as a test, and no database of examples.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False, database=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


LONGEST_FIRST = ("notebooks", "postgres", "unit")
IN_MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 2**30
"""Bytes: of each server its data, and what it logs ahead of that."""


def pytest_configure(config):
    """Servers keep their data in memory where there is plenty of it: a database is made and dropped four times as fast.

    Of what processes wrote nothing is lost there when they are killed, as on a disk. The stress tests keep to the disk,
    and so does whoever has set TMPDIR. Where the tests' own files lie is looked up before, and stays.
    """
    stress = any("stress" in Path(each).parts for each in config.args)
    if IN_MEMORY.is_dir() and not stress and shutil.disk_usage(IN_MEMORY).free > MEMORY_NEEDED:
        tempfile.gettempdir()
        os.environ.setdefault("TMPDIR", str(IN_MEMORY))


def pytest_collection_modifyitems(items):
    """What takes longest begins first: or in the end one process works, and the others wait for it."""
    place = {folder: number for number, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))


def pytest_addoption(parser):
    """On which servers tests run; told apart from options of ticketlab's own."""
    parser.addoption(
        "--on",
        metavar="SERVER[,…]",
        help="servers to test on, such as embedded:15 (default: embedded; of the stress tests all that are at hand)",
    )


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
            "version": None,
            "available": None,
            "line": 0,
            "kind": "purchase",
            **ABSENT,
            **dict.fromkeys(RETRIES.values(), 0),
        }
        rows = [plain | {"purchase_id": number} | each for number, each in enumerate(operations, start=1)]
        for row in rows:
            row |= {name: NOT_SEEN for name in ("version", "available") if row[name] is None}
        ids = b"".join(purchase_id(row.pop("purchase_id")) for row in rows)
        frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "purchase_id"])
        return frame.assign(purchase_id=parquet.purchase_ids(ids))[list(COLUMNS)].astype(COLUMNS)

    return make


@pytest.fixture
def ledger():
    """A ledger of one event (or of `events`) whose tickets are given by the numbers of their purchases.

    A ticket is such a number, or a pair: the event first; or three numbers, the last of them the ticket's own.
    """

    def make(*, total=0, available=0, version=1, tickets=(), events=None):
        rows = events if events is not None else [(0, total, available, version)]
        pairs = [each if isinstance(each, tuple) else (0, each) for each in tickets]
        return Ledger.of(events=rows, tickets=[(event, *map(purchase_id, ids)) for event, *ids in pairs])

    return make


@pytest.fixture(scope="session")
def trial():
    """One row of measures, of a trial of 100 seats; `naive` is the control."""

    def make(strategy, tickets=100, **fields):
        over = max(0, tickets - 100)
        row = {
            "trial": 1, "strategy": strategy, "safe": strategy != "naive", "buyers": 16, "pool_size": 20,
            "repeat": 1, "seconds": 0.5,
            "seats": 100, "tickets": tickets, "oversold": over, "sold": tickets, "sales": tickets, "sold_out": 16,
            "conflicts": 0, "failed": 0, "unavailable": 0, "unknown": 0, "purchases_per_s": 200.0, "p50_ms": 2.0,
            "p95_ms": 4.0, "p99_ms": 8.0, "retries": 0, **dict.fromkeys(RETRIES.values(), 0),
            "found_seats": tickets, "failed_with_seats": 0, "failure_share": 0.0, "progress": "PROGRESS",
            "verdict": "INVALID" if over else "VALID",
        }  # fmt: skip
        return row | fields

    return make


@pytest.fixture(scope="session")
def verdict():
    """One verdict of the check that nobody oversells, with so many rows of evidence."""

    def make(strategy, status, summary, *, rows=0, evidence=(), check="no_oversell", anomaly=None, **setting):
        evidence = evidence or [
            {"buyer": 1, "purchase_id": f"purchase-{row}", "version": 100 + row} for row in range(rows)
        ]
        told = proven(*evidence, anomaly=anomaly, check=check, status=status, summary=summary)
        return of_trial(told, **{"strategy": strategy, "safe": strategy != "naive"} | setting)

    return make


@pytest.fixture(scope="session")
def results(trial):
    """What a run of these trials found; they are numbered in their order."""

    def make(*trials, **fields):
        rows = [each | {"trial": number} for number, each in enumerate(trials, start=1)]
        setting = ("strategy", "buyers", "pool_size", "repeat")
        curves = [
            {name: row[name] for name in setting} | {"seconds": step / 10, "left": 100 - step}
            for row in rows
            for step in range(row["tickets"] + 1)
        ]
        return RunResults(
            **{
                "run": "2026-01-02-compare", "name": "Two ways to sell 100 tickets",
                "command": "ticketlab run --seed 7", "conditions": CONDITIONS,
                "measures": pd.DataFrame(rows, columns=list(trial("atomic"))),
                "stock": pd.DataFrame(curves, columns=[*setting, "seconds", "left"]),
                "trials": [
                    row | {"history_sha256": f"{row['trial']:064x}", "progress": {"verdict": row["progress"]}}
                    for row in rows
                ],
            } | fields
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def eventually():
    """Wait until something is so, and fail when it is not within the deadline, showing what `found` finds then."""

    def wait(condition, found=lambda: None):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"this has not come true: {found()}"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def is_running():
    """Whether a process is there, and not only its entry that nobody has collected."""

    def look(pid):
        stat = Path(f"/proc/{pid}/stat")
        if stat.parent.parent.joinpath("self").exists():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return stat.read_text().rpartition(")")[2].split()[0] != "Z"
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.Signals(0))
            return True
        return False

    return look
