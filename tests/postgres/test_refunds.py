"""A purchase given back: all of it or nothing, once, and beside whatever else goes on. Nothing sleeps."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from uuid import uuid4

import psycopg
import pytest

from ticketlab.errors import InvalidInputError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.runs import lab
from ticketlab.runs.experiment import Experiment
from ticketlab.tickets import Database, EventRepository, RetryPolicy, strategies
from ticketlab.tickets.purchase import BasketLine
from ticketlab.tickets.repository import GIVE_BACK
from ticketlab.tickets.sql import SELL_ALL
from ticketlab.tickets.strategies import lock_timeout

SAFE = [each.name for each in strategies.registry().values() if each.safe]
BASKETS = [name for name in SAFE if strategies.get(name).basket]
KINDS = {"atomic", "coalesced", "optimistic", "pessimistic", "serializable", "sharded", "skip_locked"}
NEVER_WAITING = "nowait"
BUYERS, ROUNDS = 8, 12
RUN = {
    "buyers": (8,),
    "repeats": 1,
    "seconds": 60.0,
    "warm_up_s": 0.0,
    "server": "embedded",
    "refunds": 0.4,
    "double_calls": 0.0,
}
REFUSE_TO_DELETE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23000'; END
$$;
CREATE TRIGGER refuse BEFORE DELETE ON tickets FOR EACH ROW WHEN (OLD.event_id = '{event}') EXECUTE FUNCTION refuse();
"""

pytestmark = pytest.mark.usefixtures("nothing_for_the_pool_to_clean_up")


@pytest.fixture
def database(shared_database):
    return shared_database


@pytest.fixture(params=SAFE)
def repository(request, database):
    """A repository of each safe strategy."""
    return EventRepository(database, request.param)


@pytest.fixture(params=BASKETS)
def baskets(request, database):
    """A repository of each safe strategy that sells baskets."""
    return EventRepository(database, request.param)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """The bounded wait is as long as it takes to see it, on however slow a machine."""
    monkeypatch.setattr(lock_timeout, "BOUND", "SET LOCAL lock_timeout = '60s'")


@pytest.fixture
def bought(an_event):
    """An event of ten tickets, three of which were bought under the id that is given too."""

    def make(repository):
        event, purchase_id = an_event(repository), uuid4()
        assert repository.purchase_tickets(event.id, 3, purchase_id).success
        return event, purchase_id

    return make


@pytest.fixture
def giving_back(database):
    """Another, who has given a purchase back and not committed it yet."""

    @contextmanager
    def give(purchase_id):
        with psycopg.connect(database.settings.url) as connection:
            assert connection.execute(GIVE_BACK, {"purchase_id": purchase_id}).fetchall()
            yield connection

    return give


def patient(repository):
    """The same repository, of a buyer who never gives up: for the strategy that tries again instead of waiting."""
    retry = RetryPolicy(**asdict(repository.strategy.retry) | {"max_attempts": 100_000, "deadline_s": None})
    return EventRepository(repository.database, replace(repository.strategy, retry=retry))


def told(result):
    """What a refund was told: how it ended, and what came back."""
    return result.outcome, result.cause, result.quantity


NOTHING = (Outcome.REFUNDED, Cause.REPEATED, 0)
ALL_THREE = (Outcome.REFUNDED, Cause.NONE, 3)


class TestOfOneEvent:
    def test_its_tickets_return_to_the_stock(self, repository, bought, agreed):
        """They go, and nobody else's with them; once settled, the stock is what is left of all seats."""
        event, purchase_id = bought(repository)
        assert repository.purchase_tickets(event.id, 2, uuid4()).success
        result = repository.cancel_purchase(purchase_id)
        assert told(result) == ALL_THREE
        assert (result.tickets, result.success, result.attempts) == ((), False, 1)
        assert not repository.tickets_of(purchase_id)
        agreed(repository, event, tickets=2)

    def test_it_makes_one_version_and_tells_it_with_the_stock(self, repository, bought, books):
        """Both are those of the event's row as the refund left it; the stamp is later than that of the sale."""
        event, purchase_id = bought(repository)
        stock, version, _ = books(event.id)
        before = repository.get(event.id) if not repository.strategy.reconcile_stock else event
        result = repository.cancel_purchase(str(purchase_id))
        assert (result.version, result.available_tickets) == (version + 1, stock + 3)
        assert list(result.lines) == [BasketLine(event.id, 3, version + 1, stock + 3)]
        assert books(event.id) == (stock + 3, version + 1, 0)
        assert repository.get(event.id).updated_at > before.updated_at

    def test_a_second_call_changes_nothing(self, repository, bought, books):
        """Nor does one for an id that never bought: nothing is owned, which is what was asked for."""
        event, purchase_id = bought(repository)
        repository.cancel_purchase(purchase_id)
        before = books(event.id)
        for each in (purchase_id, purchase_id, uuid4()):
            result = repository.cancel_purchase(each)
            assert told(result) == NOTHING
            assert (result.version, result.available_tickets, result.lines) == (None, None, ())
        assert books(event.id) == before

    def test_what_came_back_is_sold_to_the_next(self, repository, an_event, agreed):
        """The last tickets, after a refusal; to the very last, wherever the rest of the stock lies."""
        event, first = an_event(repository), uuid4()
        assert repository.purchase_tickets(event.id, 4, first).success
        assert repository.purchase_tickets(event.id, 6, uuid4()).success
        assert repository.purchase_tickets(event.id, 1, uuid4()).outcome is Outcome.SOLD_OUT
        assert repository.cancel_purchase(first).quantity == 4
        assert [repository.purchase_tickets(event.id, each, uuid4()).outcome for each in (5, 3, 1, 1)] == [
            Outcome.SOLD_OUT,
            Outcome.SOLD,
            Outcome.SOLD,
            Outcome.SOLD_OUT,
        ]
        agreed(repository, event, tickets=10)

    def test_the_id_may_buy_again_and_owns_what_it_bought_last(self, repository, an_event, bought, agreed):
        """Another number of tickets, of another event: a sale of its own, which can be repeated and given back."""
        (event, purchase_id), another = bought(repository), an_event(repository)
        repository.cancel_purchase(purchase_id)
        again = repository.purchase_tickets(another.id, 2, purchase_id)
        assert (again.outcome, again.cause, len(again.tickets)) == (Outcome.SOLD, Cause.NONE, 2)
        repeated = repository.purchase_tickets(another.id, 2, purchase_id)
        assert (repeated.cause, sorted(repeated.tickets)) == (Cause.REPEATED, sorted(again.tickets))
        former = repository.purchase_tickets(event.id, 3, purchase_id)
        assert (former.outcome, former.cause) == (Outcome.FAILED, Cause.REPEATED)
        agreed(repository, another, tickets=2)
        assert told(repository.cancel_purchase(purchase_id)) == (Outcome.REFUNDED, Cause.NONE, 2)
        agreed(repository, event, tickets=0)
        agreed(repository, another, tickets=0)


class TestOfABasket:
    def test_the_tickets_of_every_event_return(self, baskets, an_event, books):
        """A line an event, in the order of their ids, with the version and the stock that its row now has."""
        one, two, three = sorted(an_event(baskets).id for _ in range(3))
        purchase_id = uuid4()
        assert baskets.purchase_basket({three: 10, one: 3, two: 1}, purchase_id).success
        assert baskets.purchase_tickets(one, 2, uuid4()).success
        result = baskets.cancel_purchase(purchase_id)
        assert told(result) == (Outcome.REFUNDED, Cause.NONE, 14)
        assert (result.version, result.available_tickets) == (None, None)
        assert list(result.lines) == [BasketLine(one, 3, 4, 8), BasketLine(two, 1, 3, 10), BasketLine(three, 10, 3, 10)]
        assert [books(each) for each in (one, two, three)] == [(8, 4, 2), (10, 3, 0), (10, 3, 0)]
        assert told(baskets.cancel_purchase(purchase_id)) == NOTHING
        assert books(one) == (8, 4, 2)

    def test_what_the_database_refuses_of_one_event_leaves_all_as_it_was(self, baskets, an_event, books, database):
        """The tickets of the last event may not be deleted: none come back, and the result tells a failure."""
        events = sorted(an_event(baskets).id for _ in range(2))
        purchase_id = uuid4()
        assert baskets.purchase_basket(dict.fromkeys(events, 2), purchase_id).success
        with psycopg.connect(database.settings.url, autocommit=True) as connection:
            connection.execute(REFUSE_TO_DELETE.format(event=events[1]))
            try:
                result = baskets.cancel_purchase(purchase_id)
            finally:
                connection.execute("DROP FUNCTION refuse CASCADE")
        assert told(result) == (Outcome.FAILED, Cause.CONSTRAINT, 0)
        assert "rolled back (constraint): not this one" in result.message
        assert [books(each) for each in events] == [(8, 2, 2)] * 2
        assert told(baskets.cancel_purchase(purchase_id)) == (Outcome.REFUNDED, Cause.NONE, 4)

    def test_an_event_that_was_deleted_has_nothing_to_give_back(self, baskets, an_event, books):
        """Its tickets went with it; those of the other one return."""
        one, two = an_event(baskets).id, an_event(baskets).id
        purchase_id = uuid4()
        assert baskets.purchase_basket({one: 1, two: 2}, purchase_id).success
        baskets.delete(one)
        result = baskets.cancel_purchase(purchase_id)
        assert (told(result), list(result.lines)) == ((Outcome.REFUNDED, Cause.NONE, 2), [BasketLine(two, 2, 3, 10)])
        assert books(two) == (10, 3, 0)

    def test_its_events_are_locked_in_their_order_before_any_ticket(self, baskets, an_event, gate, eventually):
        """While another has the first event, neither the second one nor a ticket is held: nobody waits in a circle."""
        first, second = sorted(an_event(baskets).id for _ in range(2))
        purchase_id = uuid4()
        assert baskets.purchase_basket({second: 2, first: 1}, purchase_id).success
        with psycopg.connect(baskets.database.settings.url) as other, ThreadPoolExecutor(1) as threads:
            other.execute("SELECT FROM events WHERE id = %s FOR NO KEY UPDATE", [first])
            refund = threads.submit(baskets.cancel_purchase, purchase_id)
            eventually(lambda: gate.waiting_for(other.info.backend_pid))
            other.execute("SELECT FROM tickets WHERE purchase_id = %s FOR UPDATE NOWAIT", [purchase_id])
            other.execute("SELECT FROM events WHERE id = %s FOR UPDATE NOWAIT", [second])
            other.rollback()
            assert told(refund.result(timeout=30)) == ALL_THREE


class TestMeeting:
    @pytest.mark.parametrize("commit", [True, False])
    def test_of_two_refunds_at_one_moment_one_gives_back(
        self, repository, bought, giving_back, gate, eventually, agreed, commit
    ):
        """The second waits for the first: if that is committed nothing is left to do, else it does it."""
        event, purchase_id = bought(repository)
        with giving_back(purchase_id) as other, ThreadPoolExecutor(1) as threads:
            second = threads.submit(repository.cancel_purchase, purchase_id)
            eventually(lambda: gate.waiting_for(other.info.backend_pid))
            other.commit() if commit else other.rollback()
            assert told(second.result(timeout=30)) == (NOTHING if commit else ALL_THREE)
        agreed(repository, event, tickets=0)

    def test_a_refund_that_waited_gives_back_what_was_bought_meanwhile_as_a_whole(
        self, repository, an_event, bought, giving_back, gate, eventually, agreed
    ):
        """The id was given back and has bought again, of another event too, when its second refund comes to it."""
        (event, purchase_id), another = bought(repository), an_event(repository)
        with giving_back(purchase_id) as other, ThreadPoolExecutor(1) as threads:
            second = threads.submit(repository.cancel_purchase, purchase_id)
            eventually(lambda: gate.waiting_for(other.info.backend_pid))
            quantities = {"event_ids": [event.id, another.id], "quantities": [2, 3]}
            other.execute(SELL_ALL, quantities | {"purchase_id": purchase_id})
            other.commit()
            assert told(second.result(timeout=30)) == (Outcome.REFUNDED, Cause.NONE, 5)
        agreed(repository, event, tickets=0)
        agreed(repository, another, tickets=0)

    def test_two_refunds_that_waited_do_not_wait_for_each_other(self, database, bought, rival, gate, eventually, books):
        """Though a third one holds the key of the row that both saw, as who inserts tickets does: no deadlock."""
        repository, another = EventRepository(database, "atomic"), uuid4()
        event, purchase_id = bought(repository)
        assert repository.purchase_tickets(event.id, 2, another).success
        with psycopg.connect(database.settings.url) as inserting, rival(event.id) as other:
            inserting.execute("SELECT FROM events WHERE id = %s FOR KEY SHARE", [event.id])
            with ThreadPoolExecutor(2) as threads:
                refunds = [threads.submit(repository.cancel_purchase, purchase_id)]
                eventually(lambda: gate.waiting_for(other.info.backend_pid))
                (first,) = gate.waiting_for(other.info.backend_pid)
                refunds.append(threads.submit(repository.cancel_purchase, another))
                eventually(lambda: gate.waiting_for(first))
                other.commit()
                results = [refund.result(timeout=30) for refund in refunds]
        assert [(each.outcome, each.quantity, each.attempts) for each in results] == [
            (Outcome.REFUNDED, 3, 1),
            (Outcome.REFUNDED, 2, 1),
        ]
        assert books(event.id) == (9, 6, 1)

    def test_a_purchase_that_is_not_committed_yet_owns_nothing_to_give_back(self, repository, an_event, gate, agreed):
        """Its refund comes first, waits for nothing, and takes nothing from it."""
        event, purchase_id = an_event(repository), uuid4()
        gate.shut()
        with ThreadPoolExecutor(1) as threads:
            purchase = threads.submit(repository.purchase_tickets, event.id, 2, purchase_id)
            try:
                gate.held()
                assert told(EventRepository(repository.database).cancel_purchase(purchase_id)) == NOTHING
            finally:
                gate.open()
            assert purchase.result(timeout=30).success
        agreed(repository, event, tickets=2)

    @pytest.mark.parametrize("commit", [True, False])
    @pytest.mark.parametrize("same_event", [True, False])
    def test_a_purchase_under_an_id_that_is_being_given_back_waits(
        self, repository, an_event, bought, giving_back, gate, eventually, agreed, same_event, commit
    ):
        """For the event, or on the ticket's id alone: it buys anew if the refund is committed, else sells nothing."""
        event, purchase_id = bought(repository)
        wanted = event if same_event else an_event(repository)
        buyer = patient(repository)
        with giving_back(purchase_id) as other, ThreadPoolExecutor(1) as threads:
            purchase = threads.submit(buyer.purchase_tickets, wanted.id, 2, purchase_id)
            tries = same_event and repository.strategy.name == NEVER_WAITING
            eventually(lambda: tries or gate.waiting_for(other.info.backend_pid))
            other.commit() if commit else other.rollback()
            result = purchase.result(timeout=30)
        assert (result.outcome, len(result.tickets)) == ((Outcome.SOLD, 2) if commit else (Outcome.FAILED, 0))
        assert (result.cause is Cause.REPEATED) == (not commit)
        agreed(repository, wanted, tickets=2 if commit else 3 * same_event)
        if not same_event:
            agreed(repository, event, tickets=0 if commit else 3)

    @pytest.mark.parametrize("commit", [True, False])
    def test_a_refund_while_another_buys_loses_neither(self, repository, bought, gate, eventually, agreed, commit):
        """It waits for the event's row, or needs not to: the stock is right whether the other commits or not."""
        event, purchase_id = bought(repository)
        gate.shut()
        with ThreadPoolExecutor(2) as threads:
            try:
                purchase = threads.submit(repository.purchase_tickets, event.id, 2, uuid4())
                backend = gate.held()
                refund = threads.submit(repository.cancel_purchase, purchase_id)
                eventually(lambda: refund.done() or gate.waiting_for(backend))
                if not commit:
                    gate.cancel(backend)
                    purchase.result(timeout=30)
            finally:
                gate.open()
            assert told(refund.result(timeout=30)) == ALL_THREE
            assert purchase.result(timeout=30).success is commit
        agreed(repository, event, tickets=2 if commit else 0)

    def test_who_waits_for_a_refund_buys_what_came_back(self, repository, an_event, giving_back, gate, eventually):
        """The last tickets are being given back: a buyer is not told that they are gone, for by then they are not."""
        event, purchase_id = an_event(repository), uuid4()
        assert repository.purchase_tickets(event.id, 10, purchase_id).success
        buyer, tries = patient(repository), repository.strategy.name == NEVER_WAITING
        with giving_back(purchase_id) as other, ThreadPoolExecutor(1) as threads:
            purchase = threads.submit(buyer.purchase_tickets, event.id, 10, uuid4())
            eventually(lambda: tries or purchase.done() or gate.waiting_for(other.info.backend_pid))
            ended_before = purchase.done()
            other.commit()
            result = purchase.result(timeout=30)
        # Who need not wait for the row sees the event as it was before the refund, and says so by its version.
        assert result.outcome is (Outcome.SOLD_OUT if ended_before else Outcome.SOLD)
        assert not ended_before or (result.available_tickets, result.version) == (0, 2)

    def test_many_who_buy_and_give_back_agree_with_the_books(self, repository, an_event, agreed):
        """Few seats and many buyers, who give back every other purchase twice: what they were told is what is there."""
        event = an_event(repository, tickets=BUYERS)

        def live(buyer):
            generator, owned = random.Random(buyer), 0
            for turn in range(ROUNDS):
                quantity, purchase_id = generator.randint(1, 3), uuid4()
                bought = repository.purchase_tickets(event.id, quantity, purchase_id)
                owned += quantity if bought.success else 0
                if turn % 2:
                    result = repository.cancel_purchase(purchase_id)
                    assert result.outcome is Outcome.REFUNDED
                    assert result.quantity == (quantity if bought.success else 0)
                    assert told(repository.cancel_purchase(purchase_id)) == NOTHING
                    owned -= result.quantity
            return owned

        with ThreadPoolExecutor(BUYERS) as threads:
            owned = sum(threads.map(live, range(BUYERS)))
        assert owned <= BUYERS
        agreed(repository, event, tickets=owned)

    def test_baskets_and_their_refunds_neither_deadlock_nor_lose_a_ticket(self, baskets, an_event, agreed):
        """Events in random order, bought and given back by many at once: each is answered, and the books agree."""
        events = [an_event(baskets, tickets=60).id for _ in range(5)]

        def live(buyer):
            generator, kept, causes = random.Random(buyer), [], set()
            for turn in range(ROUNDS):
                purchase_id = uuid4()
                chosen = {each: generator.randint(1, 3) for each in generator.sample(events, generator.randint(2, 5))}
                results = [baskets.purchase_basket(chosen, purchase_id)]
                if turn % 3:
                    results.append(baskets.cancel_purchase(purchase_id))
                    assert results[1].quantity == (sum(chosen.values()) if results[0].success else 0)
                elif results[0].success:
                    kept.append(chosen)
                causes |= {cause for each in results for cause in (each.cause, *each.retries)}
            return kept, causes

        with ThreadPoolExecutor(BUYERS) as threads:
            lives = list(threads.map(live, range(BUYERS)))
        assert Cause.DEADLOCK not in set().union(*(causes for _, causes in lives))
        for event_id in events:
            event = baskets.get(event_id)
            agreed(baskets, event, tickets=sum(each.get(event_id, 0) for kept, _ in lives for each in kept))


class TestFailures:
    def test_an_id_that_is_none_is_refused(self, database):
        """It is the caller's mistake, and nothing was sent."""
        with pytest.raises(InvalidInputError, match="purchase_id must be a UUID, not 'no uuid'"):
            EventRepository(database).cancel_purchase("no uuid")

    def test_more_than_all_seats_do_not_come_back(self, database, bought, books):
        """A row that has lost sales, as a control's may, would hold more than there are: the constraint refuses it."""
        repository = EventRepository(database)
        event, purchase_id = bought(repository)
        repository.update(event.id, 2, available_tickets=8)
        result = repository.cancel_purchase(purchase_id)
        assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.CONSTRAINT)
        assert "CHK_available_tickets_within_total" in result.message
        assert books(event.id) == (8, 3, 3)

    def test_a_lost_connection_leaves_it_unknown_until_it_is_asked_for_again(
        self, repository, bought, rival, waiting, end_those_who_wait, agreed
    ):
        """The backend is ended in the statement that commits: nobody can tell from here, and asking again is safe."""
        event, purchase_id = bought(repository)
        repository.settle([event.id])  # so that there is a ticket on the row which the rival can sell
        with rival(event.id) as other, ThreadPoolExecutor(1) as threads:
            refund = threads.submit(repository.cancel_purchase, purchase_id)
            waiting(other)
            end_those_who_wait(other)
            result = refund.result(timeout=30)
            other.rollback()
        assert told(result) == (Outcome.UNKNOWN, Cause.CONNECTION, 0)
        assert told(repository.cancel_purchase(purchase_id)) == ALL_THREE
        agreed(repository, event, tickets=0)

    def test_no_connection_in_time_is_unavailable(self, single, bought, books):
        """Nothing was sent, and the purchase is as it was."""
        event, purchase_id = bought(EventRepository(single))
        with Database(single.settings.model_copy(update={"pool_acquire_timeout_s": 0.05})) as small:
            repository = EventRepository(small)
            with small.connection():
                result = repository.cancel_purchase(purchase_id)
        assert told(result) == (Outcome.UNAVAILABLE, Cause.POOL_TIMEOUT, 0)
        assert books(event.id) == (7, 2, 3)

    @pytest.mark.parametrize(("released_at", "attempts"), [(2, 3), (None, 4)])
    def test_a_conflict_is_tried_again_by_the_policy_of_the_strategy(
        self, single, bought, rival, books, released_at, attempts
    ):
        """Here a lock that is waited for 10 ms: given up after the policy's tries, or had once it is let go."""

        class Releasing(RetryPolicy):
            """Lets go of the event in the given pause."""

            def pause_s(self, attempt):
                if attempt == released_at:
                    other.rollback()
                return 0.0

        strategy = replace(strategies.get("atomic"), retry=Releasing(max_attempts=4))
        repository = EventRepository(single, strategy)
        event, purchase_id = bought(repository)
        with single.connection() as connection:
            connection.execute("SET lock_timeout = '10ms'")
        with rival(event.id) as other:
            result = repository.cancel_purchase(purchase_id)
            other.rollback()
        assert (result.attempts, {*result.retries}, result.cause) == (
            attempts,
            {Cause.LOCK_TIMEOUT},
            Cause.LOCK_TIMEOUT,
        )
        assert result.outcome is (Outcome.REFUNDED if released_at else Outcome.CONFLICT)
        assert books(event.id) == ((10, 3, 0) if released_at else (7, 2, 3))


class TestARun:
    @pytest.mark.parametrize(
        "names",
        [
            pytest.param([each for each in SAFE if each in KINDS], id="one of each kind"),
            pytest.param([each for each in SAFE if each not in KINDS], id="variants", marks=pytest.mark.slow),
        ],
    )
    def test_its_history_explains_its_ledger(self, tmp_path, names):
        """Every id has what was sold to it, or nothing once it was given back; and the stock is what that leaves."""
        experiment = Experiment(**RUN, strategies=tuple(names), stock=60, quantity=(1, 3), purchases=400)
        run = lab.run(experiment, out=tmp_path)
        for trial in run.trials:
            self.explains(trial)
            history = trial.history()
            assert {"sold", "sold_out", "refunded"} <= set(history["outcome"]), trial.strategy
            assert (history["kind"] == "purchase").sum() <= 400
        assert (run.measures["sold"] == run.measures["tickets"]).all()
        assert (run.measures["refunded"] > 0).all()
        assert (run.stock["left"] >= 0).all()
        assert not run.measures[["failed", "unavailable", "unknown", "refunds_failed", "refunds_unknown"]].any(
            axis=None
        )

    def test_baskets_come_back_whole(self, tmp_path):
        """Of each event what was bought of it, in a run of several events that are few in seats."""
        events = {"events": 4, "basket": (2, 3), "stock": 40}
        run = lab.run(Experiment(**RUN, **events, strategies=tuple(BASKETS), purchases=200), out=tmp_path)
        for trial in run.trials:
            self.explains(trial)
            refunds = trial.history().query("outcome == 'refunded'")
            assert refunds["line"].max() > 0
        assert (run.measures["sold"] == run.measures["tickets"]).all()

    def test_it_says_that_there_were_refunds(self, tmp_path):
        """In its conditions, its notes, its file and its numbers; and the command that runs it again has them."""
        run = lab.run(Experiment(**RUN, strategies=("atomic",), stock=500, purchases=100), out=tmp_path)
        back = int(run.measures["refunded"].iloc[0])
        assert "40 % of the sales refunded" in run.conditions
        assert any(note.startswith(f"{back} tickets refunded") for note in run.notes)
        assert '"refunds": 0.4' in (run.folder / "experiment.json").read_text()
        assert "--refunds 0.4" in run.experiment.command()
        (told,) = run.trial_rows()
        assert (told["refunded"], told["sold"] + back, told["sales"]) == (back, 100, 100)
        assert (told["refunds_failed"], told["refunds_unknown"]) == (0, 0)

    def explains(self, trial):
        """That the tickets of every purchase and the stock of every event follow from what buyers were told."""
        history, ledger = trial.history(), trial.ledger()
        history["id"] = [bytes(each) for each in history["purchase_id"]]
        told = history[history["outcome"].isin(["sold", "refunded"])]
        assert (told["cause"] != "repeated").all()
        change = told["quantity"].where(told["outcome"] == "sold", -told["quantity"])
        owned = change.groupby([told["event"], told["id"]]).sum()
        held = Counter(
            (event, bytes(each)) for event, each in ledger.tickets[["event", "purchase_id"]].itertuples(index=False)
        )
        assert held == owned[owned > 0].to_dict()
        assert (owned >= 0).all()
        seats = ledger.seats()
        assert (seats["available"] + seats["tickets"] == seats["total"]).all()
        if not strategies.get(trial.strategy).reconcile_stock:
            made = told.groupby("event")["version"]
            assert (made.nunique() == made.size()).all()
            versions = made.size().reindex(seats["event"], fill_value=0) + 1
            assert versions.tolist() == seats["version"].tolist()
