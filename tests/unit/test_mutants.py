"""The mutants as records: every safe strategy has one, each says its mistake, and no strategy list has any."""

import pytest

from ticketlab import mutants
from ticketlab.errors import NotFoundError
from ticketlab.mutants import Trigger
from ticketlab.mutants._sql import edited
from ticketlab.tickets import strategies

MUTANTS = mutants.registry()
CLAIMS = {
    "answers_match_tickets",
    "leaves_connection_clean",
    "setup_unchanged",
    "no_oversell",
    "sales_in_ledger",
    "tickets_accounted_for",
    "no_false_sold_out",
    "no_deadlock",
    "strict_serializability",
    "exactly_once",
    "atomic",
    "durable",
}


def test_there_are_many_mutants():
    """With fewer, that all are caught would say little of the checks."""
    assert len(MUTANTS) >= 28


def test_every_safe_strategy_has_a_broken_twin():
    """And none is the twin of a control, which is broken already."""
    assert {each.base for each in MUTANTS.values()} == {
        each.name for each in strategies.registry().values() if each.safe
    }


def test_no_mutant_is_among_the_strategies():
    """Nobody is to choose one: the registry, which every list and table is made of, has none of them."""
    assert not MUTANTS.keys() & strategies.registry().keys()
    assert not [each for each in strategies.registry().values() if each.summary.startswith("mutant")]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_by_its_name(name):
    """Who names it gets it, under the name of its function, and marked as not safe."""
    found = mutants.get(name)
    assert found is MUTANTS[name].strategy
    assert found.name == name
    assert not found.safe


def test_an_unknown_strategy_is_told_of_no_mutants():
    """A typing error is answered with what there is to choose from."""
    with pytest.raises(NotFoundError) as raised:
        strategies.get("pesimistic_unlocked")
    assert "pessimistic" in str(raised.value)
    assert not [name for name in MUTANTS if name in str(raised.value)]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_the_claim_of_a_check(name):
    """By that check it is to be found."""
    assert MUTANTS[name].expected_check in CLAIMS


def test_every_claim_is_broken_by_a_mutant():
    """A check that none of them breaks would go unmeasured."""
    assert {each.expected_check for each in MUTANTS.values()} == CLAIMS


@pytest.mark.parametrize("name", MUTANTS)
def test_only_mutants_that_show_in_baskets_sell_them(name):
    """A basket is sold by the mistake, or not at all: never by the twin, where nothing is wrong."""
    shown = MUTANTS[name]
    twin = strategies.get(shown.base)
    in_baskets = shown.trigger is Trigger.BASKETS
    assert shown.strategy.basket_only is in_baskets
    assert (shown.strategy.basket is not None) is in_baskets
    assert shown.strategy.basket is not twin.basket or not in_baskets


def test_every_mutant_says_a_mistake_of_its_own():
    """Its summary says it, in a line that no other has."""
    summaries = [each.strategy.summary for each in MUTANTS.values()]
    assert all(each.startswith("mutant: ") and len(each) <= 100 for each in summaries)
    assert len(set(summaries)) == len(summaries)


def test_edited_sql_has_every_edit():
    """Each edit applies to the result of the one before."""
    assert edited("SELECT 1 FOR UPDATE", ("UPDATE", "SHARE"), (" FOR SHARE", "")) == "SELECT 1"


def test_an_edit_that_finds_nothing_is_refused():
    """Otherwise the mutant would silently be its base strategy."""
    with pytest.raises(
        ValueError, match=r"edits 'FOR SHARE', which this statement does not contain: SELECT 1 FOR UPDATE"
    ):
        edited("SELECT 1 FOR UPDATE", ("FOR SHARE", ""))
