import random
from pathlib import Path

import pytest

from ticketlab.errors import InvalidInputError, NotFoundError
from ticketlab.outcomes import RETRY_CAUSES, Cause
from ticketlab.tickets import RetryPolicy, strategies


def test_the_registry_finds_every_file():
    """Each strategy file is found by its being there: one strategy a file, under the name of both."""
    files = {path.stem for path in Path(strategies.__file__).parent.glob("*.py")} - {"__init__", "mutants"}
    assert set(strategies.registry()) == files


@pytest.mark.parametrize("name", strategies.registry())
def test_a_strategy_says_how_it_works_what_it_costs_and_when_to_take_it(name):
    """Whoever chooses among them reads these three."""
    chosen = strategies.get(name)
    assert chosen.name == name
    assert chosen.summary
    assert chosen.cost
    assert chosen.when


def test_controls_come_first():
    """The order of the registry is the order of every table: what is known to be unsafe leads."""
    claims = [each.safe for each in strategies.registry().values()]
    assert claims == sorted(claims)
    assert not claims[0]


def test_an_unknown_strategy_is_told_which_there_are():
    """A typing error is answered with the names that exist."""
    with pytest.raises(NotFoundError, match=r"no strategy 'pesimistic'.*pessimistic"):
        strategies.get("pesimistic")


def test_pauses_grow_to_a_bound_and_are_jittered():
    """The longest possible pause doubles with each attempt until the bound, and two pauses differ."""
    policy = RetryPolicy(max_attempts=9, backoff_initial_s=0.01, backoff_max_s=0.05)
    random.seed(1)
    longest = [max(policy.pause_s(attempt) for _ in range(2_000)) for attempt in (1, 2, 3, 4, 9)]
    assert longest == pytest.approx([0.01, 0.02, 0.04, 0.05, 0.05], rel=0.02)
    assert policy.pause_s(1) != policy.pause_s(1)


@pytest.mark.parametrize(("jitter", "least"), [(0.0, 0.01), (0.5, 0.005), (1.0, 0.0)])
def test_jitter_is_the_share_of_a_pause_that_is_left_to_chance(jitter, least):
    """None of it and every pause is as long as it may be; all of it and some are next to nothing."""
    policy = RetryPolicy(backoff_initial_s=0.01, jitter=jitter)
    random.seed(1)
    pauses = [policy.pause_s(1) for _ in range(2_000)]
    assert min(pauses) == pytest.approx(least, abs=0.0001)
    assert max(pauses) == pytest.approx(0.01, abs=0.0001)


def test_a_pause_after_very_many_attempts_can_still_be_computed():
    """The doublings end somewhere."""
    assert RetryPolicy(backoff_max_s=0.1, jitter=0).pause_s(10**9) == 0.1


def test_every_strategy_retries_for_causes_that_a_retry_may_cure():
    """None names a cause outside of those that are worth another try."""
    assert all({*each.retry.causes} <= {*RETRY_CAUSES} for each in strategies.registry().values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_attempts": 0}, "at least one attempt"),
        ({"backoff_initial_s": -1}, "pauses that are not negative"),
        ({"jitter": 1.5}, "a jitter from 0 to 1"),
        ({"causes": (Cause.CONSTRAINT,)}, "causes among stale_version, .*pool_timeout"),
    ],
)
def test_a_retry_policy_that_can_not_be_followed_is_refused(values, said):
    """What is wrong with it is said when it is made, not when a purchase first fails."""
    with pytest.raises(InvalidInputError, match=said):
        RetryPolicy(**values)
