import pytest

from ticketlab.outcomes import CONFLICTS, Cause, cause_of


@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("40001", Cause.CONCURRENT_UPDATE),
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


def test_the_file_that_raised_it_tells_one_40001_from_the_other():
    """PostgreSQL's predicate.c finds that no serial order is left; any other file, that a row was changed meanwhile."""
    assert cause_of("40001", raised_in="predicate.c") is Cause.SERIALIZATION
    assert cause_of("40001", raised_in="nodeModifyTable.c") is Cause.CONCURRENT_UPDATE


def test_only_conflicts_are_tried_again():
    """A constraint or a lost connection is not cured by another try."""
    assert set(CONFLICTS) == {
        Cause.STALE_VERSION, Cause.CONCURRENT_UPDATE, Cause.SERIALIZATION, Cause.DEADLOCK, Cause.LOCK_TIMEOUT,
    }  # fmt: skip
