"""Contenders that sell through the repository, as an application does: any strategy, driven by the lab's own load."""

from ticketlab.bench.subject import BenchContext, Claim
from ticketlab.history.recording import purchases_of
from ticketlab.load.driver import run_load
from ticketlab.outcomes import Outcome
from ticketlab.tickets import EventRepository, Strategy


def sell(strategy: Strategy, ground: BenchContext) -> Claim:
    """Sell by a strategy; the claim is what its buyers were told."""
    repository = EventRepository(ground.database, strategy)
    driven = run_load(
        repository, ground.plan, [ground.event], warm_up_event=ground.warm_up_event, on_tick=ground.on_tick
    )
    if driven.interrupted:
        raise KeyboardInterrupt
    if driven.stuck:
        raise driven.stuck
    repository.settle([ground.event])
    purchases = purchases_of(driven.history)
    outcomes = purchases["outcome"].value_counts()
    sales = int(outcomes[Outcome.SOLD])
    # There are seats for everybody: until the last purchase was over all of the time was selling time.
    seconds = float(purchases["completed_ns"].max()) / 1e9 if sales else 1.0
    return Claim(
        sold=int(purchases.loc[purchases["outcome"] == Outcome.SOLD, "quantity"].sum()),
        per_s=sales / seconds,
        purchases=len(purchases),
        conflicts=int(outcomes[Outcome.CONFLICT]),
        unanswered=int(outcomes[[Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.UNKNOWN]].sum()),
        history=driven.history,
    )
