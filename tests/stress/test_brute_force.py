"""The checks and the brute force agree on many more random small histories than `make test` compares."""

import pytest
from compared_cases import MOST_UNDECIDED, compared, compared_without_tickets, is_wrong_without_tickets
from generated_cases import generated

CASES = 20_000
AT_ONCE = 1_000
SHOWN = 5

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_checks_agree_with_the_brute_force(first):
    """No VALID for an impossible history, no INVALID for a possible one, and few of those with an answer left open."""
    wrong, undecided, answered = [], [], 0
    for seed in range(first, first + AT_ONCE):
        found = compared(generated(seed))
        answered += found.case.answered
        if found.disagreement:
            wrong.append(f"seed {seed}: {found.disagreement}\n{found}")
        elif found.undecided:
            undecided.append(f"seed {seed}:\n{found}")
    assert not wrong, "\n\n".join([f"{len(wrong)} of {AT_ONCE:,} are wrong, the first:", *wrong[:SHOWN]])
    shown = "\n\n".join([f"{len(undecided)} of {answered:,} are undecided, the first:", *undecided[:SHOWN]])
    assert len(undecided) <= MOST_UNDECIDED * answered, shown


@pytest.mark.parametrize("first", range(0, CASES // 4, AT_ONCE))
def test_checks_agree_with_the_brute_force_where_no_tickets_are_known(first):
    """No oversell in the answers of a possible history, and no valid order of an impossible one."""
    found = ((seed, compared_without_tickets(generated(seed))) for seed in range(first, first + AT_ONCE))
    wrong = [f"seed {seed}: {each}" for seed, each in found if is_wrong_without_tickets(each)]
    assert not wrong, "\n\n".join([f"{len(wrong)} of {AT_ONCE:,} are wrong, the first:", *wrong[:SHOWN]])
