import pytest

from ticketlab.outcomes import CONFLICTS, RETRY_CAUSES, Cause, cause_of


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


@pytest.mark.parametrize(
    ("sqlstate", "raised_in", "cause"),
    [
        ("40001", "predicate.c", Cause.SERIALIZATION),
        ("40001", "nodeModifyTable.c", Cause.CONCURRENT_UPDATE),
        ("40001", "heapam.c", Cause.CONCURRENT_UPDATE),
        ("40P01", "predicate.c", Cause.DEADLOCK),
        ("53200", "predicate.c", Cause.TRANSACTION),
    ],
)
def test_the_file_of_postgresql_tells_one_40001_from_the_other(sqlstate, raised_in, cause):
    """Only the one about serializability comes from predicate.c; of other errors the file says nothing."""
    assert cause_of(sqlstate, raised_in=raised_in) is cause


def test_only_conflicts_are_tried_again():
    """A constraint or a lost connection is not cured by another try; an empty pool may be, where a policy says so."""
    conflicts = {
        Cause.STALE_VERSION,
        Cause.CONCURRENT_UPDATE,
        Cause.SERIALIZATION,
        Cause.DEADLOCK,
        Cause.LOCK_TIMEOUT,
    }
    assert set(CONFLICTS) == conflicts
    assert set(RETRY_CAUSES) == conflicts | {Cause.POOL_TIMEOUT}
