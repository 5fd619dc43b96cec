"""The lab against its peers, side by side: what a hot event can be sold at, and what each layer on the way costs.

    results = bench.run(bench.HotEvent(buyers=(16, 64)))
    results.as_json()

Every contender sells the same event on the same server, in turn; what it claims to have sold is compared with the
ledger after every trial, and a claim that is not proven is an error and no number. Writes nothing to disk.
"""

from ticketlab.bench.plan import HotEvent
from ticketlab.bench.results import Results
from ticketlab.bench.runner import run

__all__ = ["HotEvent", "Results", "run"]
