"""A batch that fails: whose fault it is, what each of it is told, and that nobody is sold to twice. Nothing sleeps."""

import pytest
from batches import ids, results, run, sales, told

from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import EventRepository
from ticketlab.tickets.strategies import coalesced
from ticketlab.tickets.strategy import CommitUnknownError

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")

# The purchase of the given id is refused, at once or only when the transaction would commit.
REFUSE_AT_ONCE = "ALTER TABLE tickets ADD CONSTRAINT refused CHECK (purchase_id <> '{bad}')"
REFUSE_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tickets DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.purchase_id = '{bad}') EXECUTE FUNCTION refuse();
"""
END_THE_BACKEND = """
CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
CREATE TRIGGER end_it BEFORE INSERT ON tickets
    FOR EACH ROW WHEN (NEW.purchase_id = '{fatal}') EXECUTE FUNCTION end_it();
"""
# A sequence remembers, also of what is rolled back.
FAIL_AT_FIRST = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') = 1 THEN RAISE EXCEPTION 'as told' USING ERRCODE = '{sqlstate}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.fixture
def repository(single):
    return EventRepository(single, "coalesced")


@pytest.mark.parametrize("refusal", [REFUSE_AT_ONCE, REFUSE_AT_COMMIT], ids=["at_once", "at_commit"])
@pytest.mark.parametrize("place", range(5))
def test_a_bad_request_fails_alone(database, repository, an_event, buy_together, refusal, place):
    """The database refuses one of five, wherever it stands: that one failed, and the others are sold in order."""
    event, wanted = an_event(repository), ids(5)
    run(database, refusal.format(bad=wanted[place]))
    found = buy_together(event, *((1, each) for each in wanted))
    bad = found.pop(place)
    assert (bad.outcome, bad.cause) == (Outcome.FAILED, Cause.CONSTRAINT)
    assert told(found) == [(Outcome.SOLD, version, 11 - version) for version in (2, 3, 4, 5)]
    assert sales(database) == dict.fromkeys(set(wanted) - {wanted[place]}, 1)


def test_a_connection_lost_in_the_committing_statement_leaves_all_unknown(
    database, repository, an_event, together, rival, waiting, end_those_who_wait
):
    """Nobody of the batch can know; whoever asks again with his id is sold to once."""
    event, wanted = an_event(repository), [(2, each) for each in ids(3)]
    with rival(event.id) as other:
        with together(event, *wanted) as purchases:
            waiting(other)
            end_those_who_wait(other)
            found = results(purchases)
        other.rollback()
    assert [(each.outcome, each.cause) for each in found] == [(Outcome.UNKNOWN, Cause.CONNECTION)] * 3
    assert [repository.purchase_tickets(event.id, *each).cause for each in wanted] == [Cause.NONE] * 3
    assert sales(database) == {each: 2 for _, each in wanted}


def test_a_connection_lost_before_the_commit_is_a_failure_of_all(
    database, repository, an_event, together, rival, waiting, end_those_who_wait
):
    """There is not enough for all, so it is decided under the lock: lost while it waits for that, nothing was sold."""
    event, wanted = an_event(repository), [(4, each) for each in ids(3)]
    with rival(event.id) as other:
        with together(event, *wanted) as purchases:
            waiting(other)
            end_those_who_wait(other)
            found = results(purchases)
        other.rollback()
    assert [(each.outcome, each.cause) for each in found] == [(Outcome.FAILED, Cause.CONNECTION)] * 3
    assert not sales(database)
    again = [repository.purchase_tickets(event.id, *each).outcome for each in wanted]
    assert again == [Outcome.SOLD, Outcome.SOLD, Outcome.SOLD_OUT]


def test_an_answer_that_was_lost_is_had_by_asking_again(
    database, repository, an_event, monkeypatch, buy_together, served
):
    """The batch was committed, and nobody was told: with the same ids each has its tickets, in one transaction."""

    def lose(connection, requests):
        coalesced.serve(connection, requests)
        raise CommitUnknownError("lost")

    event, wanted = an_event(repository), [(2, each) for each in ids(3)]
    with monkeypatch.context() as patch:
        patch.setattr(repository.database.get_or_create(coalesced._gatherer), "_serve", lose)
        assert [each.outcome for each in buy_together(event, *wanted)] == [Outcome.UNKNOWN] * 3
    found = buy_together(event, *wanted)
    assert [(each.outcome, each.cause) for each in found] == [(Outcome.SOLD, Cause.REPEATED)] * 3
    assert served == [3, 3]
    assert sales(database) == {each: 2 for _, each in wanted}


def test_a_connection_lost_among_parts_of_a_batch_is_told_to_each_part_as_it_was(
    database, repository, an_event, buy_together
):
    """Sold before it was lost, lost while it was sold, not sent any more: each of the eight hears what is true."""
    event, wanted = an_event(repository), ids(8)
    run(database, REFUSE_AT_ONCE.format(bad=wanted[1]))
    run(database, END_THE_BACKEND.format(fatal=wanted[2]))
    found = buy_together(event, *((1, each) for each in wanted))
    assert [(each.outcome, each.cause) for each in found] == [
        (Outcome.SOLD, Cause.NONE),
        (Outcome.FAILED, Cause.CONSTRAINT),
        *[(Outcome.UNKNOWN, Cause.CONNECTION)] * 2,
        *[(Outcome.FAILED, Cause.CONNECTION)] * 4,
    ]
    assert sales(database) == {wanted[0]: 1}


@pytest.mark.parametrize("sqlstate", ["40P01", "55P03"])
def test_a_batch_that_met_a_conflict_is_tried_again_by_each(
    database, repository, an_event, buy_together, served, sqlstate
):
    """Deadlock, lock timeout: nobody is to blame, so all try again as their policy says, and not one by one at once."""
    event, wanted = an_event(repository), ids(4)
    run(database, FAIL_AT_FIRST.format(sqlstate=sqlstate))
    found = buy_together(event, *((1, each) for each in wanted))
    cause = {"40P01": Cause.DEADLOCK, "55P03": Cause.LOCK_TIMEOUT}[sqlstate]
    assert [(each.outcome, each.retries) for each in found] == [(Outcome.SOLD, [cause])] * 4
    assert sorted(each.version for each in found) == [2, 3, 4, 5]
    assert (served[0], sum(served[1:])) == (4, 4)


def test_a_statement_that_takes_too_long_is_not_tried_again_one_by_one(
    database, repository, an_event, buy_together, served
):
    """The time that it may take is over for all: each failed, rather than waiting as long again behind the others."""
    event = an_event(repository)
    run(database, FAIL_AT_FIRST.format(sqlstate="57014"))
    found = buy_together(event, *((1, each) for each in ids(4)))
    assert [(each.outcome, each.cause) for each in found] == [(Outcome.FAILED, Cause.TRANSACTION)] * 4
    assert served == [4]
    assert not sales(database)
