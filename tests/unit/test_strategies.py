import random

import pytest

from ticketlab.errors import NotFoundError
from ticketlab.tickets import RetryPolicy, strategies


def test_the_registry_finds_every_file():
    """Each strategy file is found by its being there, under the name of its function."""
    assert set(strategies.registry()) >= {"naive", "pessimistic", "optimistic", "atomic"}
    assert all(name == each.name and each.summary for name, each in strategies.registry().items())


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
    policy = RetryPolicy(tries=9, first_pause_s=0.01, longest_pause_s=0.05)
    random.seed(1)
    longest = [max(policy.pause_s(attempt) for _ in range(2_000)) for attempt in (1, 2, 3, 4, 9)]
    assert longest == pytest.approx([0.01, 0.02, 0.04, 0.05, 0.05], rel=0.02)
    assert policy.pause_s(1) != policy.pause_s(1)
