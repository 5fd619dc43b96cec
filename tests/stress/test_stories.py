"""The stories of a repository, longer and many more, and other ones each time."""

import time

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from repository_story import Story, examples

from ticketlab.tickets import EventRepository, strategies

SAFE = [each.name for each in strategies.registry().values() if each.safe]
A_FEW = 5
MOST = 40
"""Times so many stories."""

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("name", SAFE)
def test_long_stories_agree_with_the_model(database, name, seconds):
    """Up to two hundred stories of up to a hundred calls, as many as there is time for."""
    repository = EventRepository(database, name)
    long = settings(examples(A_FEW), stateful_step_count=100, derandomize=False)
    end = time.monotonic() + seconds
    for _ in range(MOST):
        run_state_machine_as_test(lambda: Story(repository), settings=long)
        if time.monotonic() > end:
            break
