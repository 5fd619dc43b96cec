"""The stories of a repository, longer and many more, and other ones each time."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from repository_story import Story, examples

from ticketlab.tickets import EventRepository, strategies

SAFE = [each.name for each in strategies.registry().values() if each.safe]

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", SAFE)
def test_long_stories_agree_with_the_model(database, name):
    """Two hundred stories of up to a hundred calls."""
    repository = EventRepository(database, name)
    long = settings(examples(200), stateful_step_count=100, derandomize=False)
    run_state_machine_as_test(lambda: Story(repository), settings=long)
