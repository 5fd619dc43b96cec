"""What options of `ticketlab run` stand for: every strategy, and a load that tries everything. Runs nothing."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ticketlab.runs.experiment import Experiment


def all_that_sell(*, baskets: bool) -> list[str]:
    """The strategies of --all: those that sell baskets, or those whose flaw does not need baskets."""
    from ticketlab.tickets.strategies import entry_point_strategies, get, registry

    family = {name: get(name) for name in (*registry(), *entry_point_strategies())}
    return [name for name, each in family.items() if (each.basket if baskets else not each.for_baskets)]


def thorough(experiment: "Experiment", *, given: Collection[str]) -> "Experiment":
    """The experiment of --thorough: all that its strategies and its server can do; `given` options stay."""
    from ticketlab.runs.experiment import thorough
    from ticketlab.tickets.strategies import get

    chosen = [get(name) for name in experiment.strategies]
    return thorough(
        experiment,
        given={"faults" if name == "fault" else name for name in given},
        baskets=all(each.basket for each in chosen),
        refunds=not any(each.schema for each in chosen),
    )
