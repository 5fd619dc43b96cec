"""A reader beside the buyers: stock and tickets of each event, in one snapshot, again and again while they buy.

The ledger at the end cannot show a violation that was repaired before; only a reading during the trial can. Knows
neither SQL nor checks: it calls a given function, and keeps the samples that do not add up.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

from ticketlab.load import driver

Reading: TypeAlias = Iterable[tuple[int, int | None, int]]
"""Of each event its number, the stock that its row says is left or None, and its tickets; empty if it failed."""

_REST: Final = 50
"""A reading is followed by a rest of so many times its own duration: it takes at most 2 % of the time."""
_SHORTEST_REST_S: Final = 0.01
_LAST_READING_S: Final = 3.0
_MOST_KEPT: Final = 3
"""Samples that are kept of each event and kind of disagreement, at most; one would prove it."""


class Sample(NamedTuple):
    """What was read of one event."""

    at_ns: int
    """When the reading began, by `time.perf_counter_ns`."""
    event: int
    available: int | None
    tickets: int


class Sampler:
    """The readings of one trial, made in a thread of its own."""

    def __init__(self, read: Callable[[], Reading], seats: Sequence[int]) -> None:
        """Read by `read`, and compare with the seats of each event, by its number."""
        self._read = read
        self._seats = seats
        self._stop = threading.Event()
        self.count = 0
        """How many readings succeeded, those of the warm-up among them."""
        self._found: Counter[tuple[int, bool]] = Counter()
        self.kept: list[Sample] = []
        """Those of events whose stock and tickets did not add up to the seats."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read for as long as the block lasts."""
        thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(_LAST_READING_S)  # a reading that takes longer is not waited for: it holds nothing

    def _run(self) -> None:
        driver.pin_to_one_cpu()
        self._read()  # opens the connection, which takes longer than all that follows
        rest_s = _SHORTEST_REST_S
        while not self._stop.wait(rest_s):
            began_ns = time.perf_counter_ns()
            found = [Sample(began_ns, *each) for each in self._read()]
            for sample in found:
                self._keep(sample)
            self.count += bool(found)
            rest_s = max(_SHORTEST_REST_S, _REST * (time.perf_counter_ns() - began_ns) / 1e9)

    def _keep(self, sample: Sample) -> None:
        """Keep a sample whose stock and tickets do not add up to the seats, unless there are some of its kind."""
        seats = self._seats[sample.event]
        oversold = sample.tickets > seats
        if not oversold and sample.available in {None, seats - sample.tickets}:
            return
        alike = (sample.event, oversold)
        self._found[alike] += 1
        if self._found[alike] <= _MOST_KEPT:
            self.kept.append(sample)
