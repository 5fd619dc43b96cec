"""Functions of a user's own, adopted as strategies: what is understood, and what is told where it is not."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import EntryPoint
from uuid import UUID

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from ticketlab import PurchaseRequest, PurchaseResult, Settings, adopt, mutants
from ticketlab.cli import machine
from ticketlab.errors import InvalidInputError, NotFoundError, OwnCodeError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.tickets import Database, RetryPolicy, lending, strategies, user_code
from ticketlab.tickets.strategies.atomic import atomic

FILE = """
from __future__ import annotations
from dataclasses import dataclass
from beside_a_test import WORTH

@dataclass
class Answer:
    sold: bool

def buy(connection, request):
    return Answer(WORTH).sold
"""
THREADS = 16
DEADLINE_S = 30
REQUEST = PurchaseRequest(event_id=UUID(int=1), quantity=2, purchase_id=UUID(int=3))


def plain(connection, event_id, quantity, purchase_id):
    """Says what it was called with.

    And more.
    """
    return PurchaseResult(outcome=Outcome.FAILED, quantity=quantity, detail=f"{connection} {event_id} {purchase_id}")


class Till:
    """What a user's code may have of its own."""

    def __init__(self, settings):
        self.settings = settings
        self.closed = 0

    def close(self):
        self.closed += 1


class TestWhatAFunctionSays:
    def test_a_function_is_a_safe_strategy_of_its_name_that_tries_once(self):
        """Its summary is the first line of its docstring; nothing is tried again, and no id buys once by itself."""
        adopted = adopt(plain)
        assert (adopted.name, adopted.summary) == ("plain", "Says what it was called with.")
        assert adopted.safe
        assert adopted.retry.max_attempts == 1
        assert not adopted.derives_ticket_ids

    def test_what_is_said_beside_it_counts(self):
        """Name, summary, claim and retry policy can be given."""
        retry = RetryPolicy(max_attempts=3)
        adopted = adopt(plain, name="mine", summary="as it is", safe=False, retry=retry)
        assert (adopted.name, adopted.summary, adopted.safe, adopted.retry) == ("mine", "as it is", False, retry)

    def test_a_strategy_stays_what_it_is(self):
        """One that was made by the decorator has said everything."""
        assert adopt(atomic) is atomic

    def test_it_is_called_by_the_names_of_its_parameters(self):
        """The order is the user's, and what has a default is left alone."""

        def swapped(connection, purchase_id, event_id, quantity, hurry=True):
            assert hurry
            return plain(connection, event_id, quantity, purchase_id)

        told = adopt(swapped).purchase("way", REQUEST)
        assert told.detail == f"way {UUID(int=1)} {UUID(int=3)}"
        assert told.quantity == 2

    @pytest.mark.parametrize("annotation", [PurchaseRequest, None])
    def test_it_may_take_the_whole_request(self, annotation):
        """By its annotation, or by its name."""
        seen = []

        def buy(connection, request):
            seen.append(request)
            return True

        if annotation:
            buy.__annotations__["request"] = annotation
        adopt(buy).purchase("way", REQUEST)
        assert seen == [REQUEST]

    @pytest.mark.parametrize(
        ("kind", "opens"),
        [
            (psycopg.Connection, lending.committed),
            (psycopg.Connection[tuple[int]], lending.committed),
            (sqlalchemy.Connection, lending.sql_connection),
            (Session, lending.session),
        ],
    )
    def test_it_buys_through_what_its_first_parameter_is(self, kind, opens):
        """Everything on the lab's own pool can be seen."""

        def buy(way: kind, event_id, quantity, purchase_id):
            return True

        adopted = adopt(buy)
        assert adopted.resource is opens
        assert adopted.unseen == ""

    def test_annotations_may_be_texts(self):
        """As they are in a module that postpones them."""

        def buy(way: "Session", event_id, quantity, purchase_id):
            return True

        assert adopt(buy).resource is lending.session

    def test_without_an_annotation_it_buys_through_a_connection_that_is_committed(self):
        assert adopt(plain).resource is lending.committed
        assert not adopt(plain).autocommit

    def test_autocommit_gives_a_connection_in_autocommit_mode(self):
        adopted = adopt(plain, autocommit=True)
        assert adopted.resource is Database.connection
        assert adopted.autocommit

    def test_a_class_of_the_users_is_made_once_for_a_database_and_closed_with_it(self):
        """With the settings of that database; and it is told that not everything can be seen."""

        def buy(till: Till, event_id, quantity, purchase_id):
            return True

        adopted, settings = adopt(buy), Settings.from_url("postgresql://me:secret@127.0.0.1:1/name")
        database = Database(settings)
        with adopted.resource(database) as till, adopted.resource(database) as same:
            assert till is same
        assert till.settings is settings
        assert not till.closed
        database.close()
        database.close()
        assert till.closed == 1
        assert "connections of its own" in adopted.unseen

    def test_settings_alone_will_do(self):
        """For whoever keeps a pool somewhere else."""

        def buy(settings: Settings, event_id, quantity, purchase_id):
            return True

        settings = Settings.from_url("postgresql://me:secret@127.0.0.1:1/name")
        with adopt(buy).resource(Database(settings)) as way:
            assert way is settings

    def test_what_is_callable_has_a_name(self):
        """An object that can be called is known by its class, a partial by what it is."""

        class Buys:
            def __call__(self, connection, event_id, quantity, purchase_id):
                return True

        assert adopt(Buys()).name == "Buys"
        assert adopt(partial(plain), name="half").name == "half"


class TestWhatItReturns:
    def test_true_is_sold_and_false_is_sold_out(self):
        """Neither knows a version."""

        def buy(connection, event_id, quantity, purchase_id):
            return connection == "sell"

        sold, refused = (adopt(buy).purchase(way, REQUEST) for way in ("sell", "refuse"))
        assert (sold.outcome, sold.quantity, sold.version) == (Outcome.SOLD, 2, None)
        assert (refused.outcome, refused.cause) == (Outcome.SOLD_OUT, Cause.INSUFFICIENT)

    @pytest.mark.parametrize("returned", [None, 1, "sold"])
    def test_anything_else_is_no_answer(self, returned):
        """What was returned is told, and what should have been."""

        def buy(connection, event_id, quantity, purchase_id):
            return returned

        with pytest.raises(OwnCodeError, match=f"buy returned {returned!r}. It must return True if it sold"):
            adopt(buy).purchase("way", REQUEST)


class TestWhatIsNoPurchaseFunction:
    @pytest.mark.parametrize(
        ("function", "told"),
        [
            (lambda: True, "do not say what it buys through"),
            (lambda event_id, quantity, purchase_id: True, "do not say what it buys through"),
            (lambda *words: True, "do not say what it buys through"),
            (lambda connection, event_id, quantity: True, "takes connection, event_id, quantity"),
            (lambda connection, event, quantity, purchase_id: True, "takes connection, event, quantity, purchase_id"),
            (7, "7 is not a function"),
        ],
    )
    def test_it_is_refused_with_the_form_of_one(self, function, told):
        """Whoever wrote it sees what is wrong, and what a purchase function looks like."""
        with pytest.raises(InvalidInputError, match=told) as caught:
            adopt(function)
        assert "def buy(connection, event_id, quantity, purchase_id) -> bool" in str(caught.value)

    def test_a_coroutine_function_is_refused(self):
        """Buyers are threads."""

        async def buy(connection, event_id, quantity, purchase_id):
            return True

        with pytest.raises(InvalidInputError, match="is a coroutine function"):
            adopt(buy)

    @pytest.mark.parametrize("kind", [psycopg.AsyncConnection, "psycopg.Connection | None"])
    def test_a_way_that_there_is_not_is_refused(self, kind):
        """What stands there is told."""

        def buy(way, event_id, quantity, purchase_id):
            return True

        buy.__annotations__["way"] = kind
        with pytest.raises(InvalidInputError, match="A purchase cannot use"):
            adopt(buy)

    def test_an_annotation_that_is_not_imported_is_told(self):
        """As it is where it is imported for type checkers only."""

        def buy(way, event_id, quantity, purchase_id):
            return True

        buy.__annotations__["way"] = "Nowhere"
        with pytest.raises(InvalidInputError, match=r"name 'Nowhere' is not defined.*only under TYPE_CHECKING"):
            adopt(buy)


class TestByName:
    @pytest.fixture
    def shop(self, tmp_path, monkeypatch):
        """Write the source of a module that can be imported, and return its name."""
        monkeypatch.syspath_prepend(str(tmp_path))
        user_code.load_reference.cache_clear()

        def write(source, name="shop_of_a_test"):
            monkeypatch.delitem(sys.modules, name, raising=False)
            (tmp_path / f"{name}.py").write_text(source)
            return name

        yield write
        user_code.load_reference.cache_clear()

    def test_a_function_is_found_by_module_and_name(self, shop):
        """It is known by the name that was typed, so that the command can be typed again."""
        module = shop("def buy(connection, event_id, quantity, purchase_id):\n    return True\n")
        assert strategies.get(f"{module}:buy").name == f"{module}:buy"
        assert strategies.is_external(f"{module}:buy")
        assert not strategies.is_external("atomic")
        assert not mutants.is_external("pessimistic_unlocked")

    def test_a_function_is_found_in_a_file(self, shop, tmp_path):
        """Wherever it lies; what lies beside it can be imported."""
        shop("WORTH = True\n", name="beside_a_test")
        shop(
            "from beside_a_test import WORTH\ndef buy(connection, request):\n    return WORTH\n", name="file_of_a_test"
        )
        found = strategies.get(f"{tmp_path / 'file_of_a_test.py'}:buy")
        assert found.purchase("way", REQUEST).success

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("no_such_module:buy", "There is no module 'no_such_module'"),
            ("nowhere.py:buy", "There is no file nowhere.py"),
            (":buy", "':buy' is not a name"),
            ("shop_of_a_test:", "'shop_of_a_test:' is not a name"),
            ("shop_of_a_test:sell", "has no 'sell'. It has: buy"),
            ("atomik", "There is no strategy 'atomik'.*one of your own as module:name"),
        ],
    )
    def test_what_is_not_there_is_told(self, shop, name, told):
        """With what there is."""
        shop("from uuid import UUID\ndef buy(connection, request):\n    return True\n")
        with pytest.raises(NotFoundError, match=told):
            strategies.get(name)

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("import no_such_library\n", "No module named 'no_such_library'"),
            ("def buy(:\n", "SyntaxError"),
            ("raise RuntimeError('shop is shut')\n", "RuntimeError: shop is shut"),
        ],
    )
    def test_a_module_that_fails_is_told_with_the_users_traceback(self, shop, source, told):
        """His file and line, and nothing of what imports it."""
        module = shop(source)
        with pytest.raises(OwnCodeError, match=f"{module} failed in your code") as caught:
            strategies.get(f"{module}:buy")
        (note,) = caught.value.__notes__
        assert told in note
        assert f"{module}.py" in note
        assert "importlib" not in note
        assert "user_code.py" not in note

    @pytest.fixture
    def announcing(self, shop, monkeypatch):
        """A package that brings a purchase function under each of these names, and one that can not be imported."""
        module = shop("def buy(connection, event_id, quantity, purchase_id):\n    return True\n")

        def announce(*names):
            points = [EntryPoint(name, f"{module}:buy", strategies.GROUP) for name in names]
            points.append(EntryPoint("gone", "no_such_module:buy", strategies.GROUP))
            monkeypatch.setattr(
                strategies, "entry_points", lambda *, group: points if group == strategies.GROUP else []
            )
            strategies.entry_point_strategies.cache_clear()

        yield announce
        strategies.entry_point_strategies.cache_clear()

    def test_a_name_of_something_else_is_refused(self, shop):
        """Be it a text: what it says is not looked up in turn."""
        module = shop("NOTE = 'atomic'\n")
        with pytest.raises(InvalidInputError, match="'atomic' is not a function"):
            strategies.get(f"{module}:NOTE")

    def test_a_package_announces_its_strategies(self, announcing):
        """They are found by their entry point's name, and do not hide ours."""
        announcing("theirs", "atomic")
        assert list(strategies.entry_point_strategies()) == ["gone", "theirs"]
        assert strategies.get("theirs").name == "theirs"
        assert strategies.get("atomic") is atomic

    def test_the_command_line_lists_them_last(self, announcing, capsys):
        """A package that can not be imported is told, and keeps nobody from the others."""
        announcing("theirs")
        machine.strategies(as_json=True)
        printed = capsys.readouterr()
        assert [each["name"] for each in json.loads(printed.out)] == [*strategies.registry(), "theirs"]
        assert printed.err.startswith("Error: There is no module 'no_such_module'")


def test_sixteen_threads_at_a_barrier_make_one_object_of_a_users_class():
    entered = threading.Semaphore(0)
    made = []

    class Slow:
        """Its making lasts until a second thread makes one too, or surely does not."""

        def __init__(self, settings):
            made.append(self)
            entered.release()
            if len(made) == 1:
                others_waiting.wait(DEADLINE_S)

    def buy(slow: Slow, event_id, quantity, purchase_id):
        return True

    through = adopt(buy).resource
    database = Database(Settings.from_url("postgresql://nobody@127.0.0.1:1/nowhere"))
    barrier, others_waiting = threading.Barrier(THREADS + 1), threading.Event()

    def first_use(_):
        barrier.wait(DEADLINE_S)
        with through(database) as slow:
            return slow

    with ThreadPoolExecutor(THREADS) as threads:
        uses = [threads.submit(first_use, number) for number in range(THREADS)]
        barrier.wait(DEADLINE_S)
        assert entered.acquire(timeout=DEADLINE_S)
        second = entered.acquire(timeout=0.2)
        others_waiting.set()
        objects = {id(each.result(DEADLINE_S)) for each in uses}
    assert not second
    assert len(made) == len(objects) == 1
    database.close()
