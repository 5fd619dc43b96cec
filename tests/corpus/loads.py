"""The loads under which the functions of the corpus are judged."""

from corpus.expected import FAULTS, Expected, Need
from ticketlab import Experiment
from ticketlab.load import Fault

SERVER_SETTINGS = {
    "max_prepared_transactions": "64",  # for two-phase commits
    "deadlock_timeout": "20ms",  # or each deadlock would hold its buyers up for a second
}
LOSSES = 8
"""Cuts of a kind in a trial."""
CRASHES = 2
KINDS = {
    Need.CRASH: "crash",
    Need.DISCONNECT: "disconnect",
    Need.LOSE_REQUEST: "lose-request",
    Need.LOSE_REPLY: "lose-reply",
}


def experiment(
    expected: Expected, needs, *, buyers: int, seats: int, purchases: int, seconds: float, seed: int = 1
) -> Experiment:
    """One trial of a function: few seats, of which there are `seats` in all, or plenty where something is to break."""
    needs = {*needs}
    events = 4 if Need.EVENTS in needs else 1
    plenty = Need.PLENTY in needs or needs & {*FAULTS}
    return Experiment(
        strategies=(expected.name,),
        buyers=(buyers,),
        repeats=1,
        seed=seed,
        seconds=seconds,
        purchases=purchases,
        stock=10 * purchases if plenty else seats // events,
        quantity=(1, 3) if Need.QUANTITY in needs else (1, 1),
        events=events,
        refunds=0.3 if Need.REFUNDS in needs else 0.0,
        faults=tuple(fault for need in FAULTS if need in needs for fault in _faults(need, purchases)),
        warm_up_s=0.0,
        server="embedded",
        **({"double_calls": 0.3} if Need.DOUBLE_CALLS in needs else {}),
    )


def _faults(need: Need, purchases: int) -> list[Fault]:
    """So many of a kind, spread over the purchases."""
    count = CRASHES if need is Need.CRASH else LOSSES
    return [Fault.parse(f"{KINDS[need]}@{purchases * (number + 1) // (count + 2)}") for number in range(count)]
