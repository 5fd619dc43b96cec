import pytest

from ticketlab.outcomes import CONFLICTS, Cause, cause_of


@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("40001", Cause.SERIALIZATION),
        ("40P01", Cause.DEADLOCK),
        ("55P03", Cause.LOCK_TIMEOUT),
        ("23514", Cause.CONSTRAINT),
        ("08006", Cause.CONNECTION),
        ("57P01", Cause.CONNECTION),
        ("53300", Cause.CONNECTION),
        (None, Cause.CONNECTION),
        ("57014", Cause.TRANSACTION),
        ("42P01", Cause.TRANSACTION),
    ],
)
def test_a_sqlstate_tells_its_cause(sqlstate, cause):
    """Conflicts, constraints, lost connections and other failures are told apart by their SQLSTATE."""
    assert cause_of(sqlstate) is cause


def test_only_conflicts_are_tried_again():
    """A constraint or a lost connection is not cured by another try."""
    assert frozenset({Cause.STALE_VERSION, Cause.SERIALIZATION, Cause.DEADLOCK, Cause.LOCK_TIMEOUT}) == CONFLICTS
