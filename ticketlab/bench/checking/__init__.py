"""What the checks cost: operations a second and peak memory, by size, of histories that are right and that are not.

    results = checking.run(checking.ChecksBench(sizes=(10_000, 1_000_000)))
    results.as_json()

Every verdict is compared with what the history was made to be: a wrong one is an error. Opens no connection, and
writes nothing to disk. For comparison, not measured here: Elle, which infers a transactional history's anomalies from
what clients read, tells of 100 to 160 thousand transactions/s (https://github.com/jepsen-io/elle).
"""

from ticketlab.bench.checking.plan import ChecksBench
from ticketlab.bench.checking.results import Results
from ticketlab.bench.checking.runner import run

__all__ = ["ChecksBench", "Results", "run"]
