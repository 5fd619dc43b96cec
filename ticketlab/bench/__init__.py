"""Benches: a hot event sold by the lab and its peers, and the checks' speed and memory. Writes nothing to disk.

    results = bench.run(bench.HotEvent(buyers=(16, 64)))
    results.as_json()

Every subject sells the same event on the same server, in turn. Its claim is compared with the ledger after every trial;
an unproven claim is an error and has no speed.
"""

from ticketlab.bench.results import BenchResults, HotEvent
from ticketlab.bench.runner import run

__all__ = ["BenchResults", "HotEvent", "run"]
