"""Who buys, when, and from where, and what goes wrong: the load of one trial. Knows strategies only by their call."""

from ticketlab.load.executors import Driven, drive
from ticketlab.load.faults import Actions, Fault, FaultKind
from ticketlab.load.plan import Plan

__all__ = ["Actions", "Driven", "Fault", "FaultKind", "Plan", "drive"]
