"""What tests of other processes need, wherever they are."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

DEADLINE_S = 60


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
