"""Samples stock and tickets of each event during a trial, in one snapshot each time.

The ledger at the end cannot show a violation that was repaired before; only a sample can. Knows neither SQL nor
checks: it calls a given function, and keeps the samples that do not add up.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

from ticketlab.load import driver

Reading: TypeAlias = Iterable[tuple[int, int | None, int]]
"""For each event its number, the available tickets of its row or None, and its tickets; empty if it failed."""

_REST: Final = 50
"""A reading is followed by a rest of 50 times its duration, so that readings take at most 2 % of the time."""
_SHORTEST_REST_S: Final = 0.01
_LAST_READING_S: Final = 3.0
_MOST_KEPT: Final = 3
"""The most samples kept for each event and kind of disagreement; one is enough as evidence."""


class Sample(NamedTuple):
    """One event in one reading."""

    at_ns: int
    """When the reading began, by `time.perf_counter_ns`."""
    event: int
    available: int | None
    tickets: int


class Sampler:
    """The readings of one trial, in a thread of their own."""

    def __init__(self, read: Callable[[], Reading], seats: Sequence[int]) -> None:
        """Sample by calling `read`; `seats` are those of each event, by its number."""
        self._read = read
        self._seats = seats
        self._stop = threading.Event()
        self.count = 0
        """How many readings succeeded, those of the warm-up among them."""
        self._disagreements: Counter[tuple[int, bool]] = Counter()
        self.kept: list[Sample] = []
        """Samples whose stock and tickets did not add up to the seats."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample until the block ends."""
        thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(_LAST_READING_S)  # a reading that takes longer may go on: it holds no lock

    def _run(self) -> None:
        driver.pin_to_one_cpu()
        self._read()  # opens the connection, which takes longer than all that follows
        rest_s = _SHORTEST_REST_S
        while not self._stop.wait(rest_s):
            began_ns = time.perf_counter_ns()
            samples = [Sample(began_ns, *row) for row in self._read()]
            for sample in samples:
                self._keep(sample)
            self.count += bool(samples)
            rest_s = max(_SHORTEST_REST_S, _REST * (time.perf_counter_ns() - began_ns) / 1e9)

    def _keep(self, sample: Sample) -> None:
        """Keep a sample whose stock and tickets do not add up to the seats, unless enough of its kind are kept."""
        seats = self._seats[sample.event]
        oversold = sample.tickets > seats
        if not oversold and sample.available in {None, seats - sample.tickets}:
            return
        kind = (sample.event, oversold)
        self._disagreements[kind] += 1
        if self._disagreements[kind] <= _MOST_KEPT:
            self.kept.append(sample)
