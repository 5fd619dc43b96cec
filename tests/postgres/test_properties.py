"""Whatever is called, and in whatever order, the repository does what a model in plain Python does."""

import re

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from repository_story import MOST_MIGRATIONS, Story, examples

from ticketlab import mutants
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository, PurchaseResult, strategies

SAFE = [each.name for each in strategies.registry().values() if each.safe]
STEP = re.compile(r"^(?:events_\d+ = )?state\.(?!teardown|agrees)(\w+)", re.MULTILINE)


class Brief(Story):
    """A story without migrations, of which each takes as long as twenty calls: the mistakes below are not in them."""

    def __init__(self, repository):
        super().__init__(repository)
        self.migrations = MOST_MIGRATIONS


class ForgetsTheStock(EventRepository):
    """Its refunds are told, and not made."""

    def cancel_purchase(self, purchase_id):
        owned = self.tickets_of(purchase_id)
        if not owned:
            return super().cancel_purchase(purchase_id)
        return PurchaseResult(outcome=Outcome.REFUNDED, quantity=len(owned), cause=Cause.NONE)


class KeepsTheVersion(EventRepository):
    """Its updates compare no version."""

    def update(self, event_id, expected_version, **values):
        del expected_version
        return super().update(event_id, self.get(event_id).version, **values)


@pytest.mark.parametrize("stories", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SAFE)
def test_a_repository_does_what_the_model_does(shared_database, name, stories):
    """Events, purchases, baskets, refunds and migrations, in stories of up to thirty calls."""
    repository = EventRepository(shared_database, name)
    run_state_machine_as_test(lambda: Story(repository), settings=settings(examples(stories), stateful_step_count=30))


@pytest.mark.parametrize(
    ("repository", "strategy", "shown"),
    [
        (EventRepository, mutants.get("atomic_one_off"), "purchase"),
        (ForgetsTheStock, "atomic", "cancel"),
        (KeepsTheVersion, "atomic", "update"),
    ],
)
@pytest.mark.slow
def test_what_is_wrong_is_told_in_a_few_steps(shared_database, repository, strategy, shown):
    """Who is wrong even alone is found out, and the report has four calls at most, the one that went wrong as the last.

    A control: a machine that these passed would prove nothing.
    """
    broken = repository(shared_database, strategy)
    short = settings(examples(100), stateful_step_count=6, phases=[Phase.generate, Phase.shrink])
    with pytest.raises((AssertionError, pytest.fail.Exception)) as failure:
        run_state_machine_as_test(lambda: Brief(broken), settings=short)
    steps = STEP.findall("\n".join(failure.value.__notes__))
    assert (steps[0], steps[-1]) == ("begin_with_an_event", shown)
    assert len(steps) <= 4
