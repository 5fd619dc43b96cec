"""The load of one trial: who buys, when and from where, and which faults are injected. Knows strategies by their call.

The plan of a load can be read without a database client; `driver.run_load` runs it.
"""

from ticketlab.faults.schedule import CUTS, Actions, Fault, FaultKind
from ticketlab.load.plan import Plan

__all__ = ["CUTS", "Actions", "Fault", "FaultKind", "Plan"]
