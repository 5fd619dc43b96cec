"""Who buys, when, and from where, and what goes wrong: the load of one trial. Knows strategies only by their call.

What a load is to be can be read here without a database's client; `executors.drive` lets it loose.
"""

from ticketlab.faults.schedule import CUTS, Actions, Fault, FaultKind
from ticketlab.load.plan import Plan

__all__ = ["CUTS", "Actions", "Fault", "FaultKind", "Plan"]
