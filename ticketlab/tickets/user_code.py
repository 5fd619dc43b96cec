"""Purchase functions and classes of users: adopted as strategies, and their errors told apart from the lab's."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from operator import attrgetter
from pathlib import Path
from types import FrameType, ModuleType, TracebackType, UnionType
from typing import Any, Final, NamedTuple, TypeAlias, get_origin

import psycopg
import sqlalchemy
from sqlalchemy.orm import Session

from ticketlab.errors import InvalidInputError, NotFoundError, OwnCodeError, TicketlabError
from ticketlab.outcomes import Cause, Outcome
from ticketlab.settings import Settings
from ticketlab.tickets import lending
from ticketlab.tickets.database import Database
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult
from ticketlab.tickets.strategy import Purchase, RetryPolicy, Schema, Strategy, commit_guard, strategy

_HERE: Final = Path(__file__).parent
_CALLERS: Final = frozenset(str(_HERE / name) for name in ("execution.py", "user_code.py", "trial_tables.py"))
"""The files that call what the user wrote."""
_IMPORTING: Final = (importlib.__file__, "<frozen importlib")
"""What lies between them and a module that is imported."""
_LAB: Final = str(_HERE.parent)


def raised_in_user_code(error: Exception) -> bool:
    """Whether it was raised by what the lab called, and not by the lab itself."""
    theirs = _theirs(error.__traceback__)
    return theirs is not None and not theirs.tb_frame.f_code.co_filename.startswith(_LAB)


@contextmanager
def wrap_user_errors(what: str, *, when: Callable[[Exception], bool] = lambda _error: True) -> Iterator[None]:
    """Around a call of what the user wrote: whatever it raises that the lab does not foresee is his.

    Args:
        what: what is called, as he named it.
        when: whether an error is his; by default each is. What is not is raised as it was.

    Raises:
        OwnCodeError: in its place, with his part of the traceback.
    """
    try:
        yield
    except TicketlabError:
        raise
    except Exception as error:
        if when(error):
            raise user_code_error(what, error) from error
        raise


def user_code_error(what: str, error: Exception) -> OwnCodeError:
    """The error to tell a user of whose code `error` came, with his part of the traceback as a note.

    Args:
        what: what was called or imported, as he named it.
        error: as it was caught; its traceback begins in the lab.
    """
    told = "".join(traceback.format_exception(type(error), error, _theirs(error.__traceback__)))
    made = OwnCodeError(f"{what} failed, in code of yours: {type(error).__name__}: {error}")
    made.add_note(told.rstrip())
    return made


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """From the first frame on that the lab called."""
    begins = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file in _CALLERS:
            begins = None
        elif begins is None and not file.startswith(_IMPORTING):
            begins = trace
        trace = trace.tb_next
    return begins


class Place(NamedTuple):
    """Where a thread is."""

    line: str
    """The line of the user's function that it is in, such as "shop.py:12, in buy"; else of the lab's."""
    is_theirs: bool
    """Whether that is code of the user's."""
    stack: str
    """The calls from that line on."""


def place_of(frame: FrameType) -> Place:
    """Where a thread is that is in this frame."""
    calls = traceback.StackSummary.extract(traceback.walk_stack(frame))[::-1]
    called = max((number for number, call in enumerate(calls) if call.filename in _CALLERS), default=-1) + 1
    while called < len(calls) and calls[called].filename == contextlib.__file__:
        called += 1  # the lab opens a connection
    is_theirs = 0 < called < len(calls) and not calls[called].filename.startswith(_LAB)
    ours = (number for number, call in enumerate(calls) if call.filename.startswith(_LAB))
    first = called if is_theirs else max(ours, default=len(calls) - 1)
    at = calls[first]
    stack = "".join(traceback.format_list(calls[first:])).rstrip()
    return Place(f"{Path(at.filename).name}:{at.lineno}, in {at.name}", is_theirs, stack)


Opens: TypeAlias = Callable[[Database], AbstractContextManager[Any]]
"""Opens what a purchase function buys through."""


def made_once(kind: type) -> Opens:
    """Opens an object of the user's class: one for all buyers of a database, closed with it."""

    def make(database: Database) -> Any:  # noqa: ANN401 - of the user's class
        with wrap_user_errors(kind.__name__):
            made = kind(database.settings)
        if callable(close := getattr(made, "close", None)):
            database.on_close(lambda: _close(f"{kind.__name__}.close", close, database.patience_s))
        return made

    return lambda database: nullcontext(database.get_or_create(make))


def _close(name: str, close: Callable[[], object], patience_s: float) -> None:
    """Close what is the user's, in a thread of its own: one that does not return keeps nothing from ending."""
    closed: Future[object] = Future()

    def run() -> None:
        try:
            closed.set_result(close())
        except BaseException as error:  # it is raised where it is waited for
            closed.set_exception(error)

    thread = threading.Thread(target=run, name="close", daemon=True)
    thread.start()
    if wait([closed], timeout=patience_s).not_done:
        place = place_of(sys._current_frames()[thread.ident or 0])  # noqa: SLF001 - its documented name
        error = OwnCodeError(f"{name} did not return within {patience_s:g} s: it waits in {place.line}.")
        error.add_note(place.stack)
        raise error
    with wrap_user_errors(name):
        closed.result()


PurchaseFunction: TypeAlias = Callable[..., PurchaseResult | bool]
"""A purchase function: see `adopt`."""

POOL_BYPASS_NOTE: Final = (
    "it has connections of its own, so the pool's size says nothing of it; a wait for one of them, and what it tries "
    "again by itself, are in its latency, and counted nowhere"
)
"""What the lab can not see of a purchase that goes past its pool."""
_WANTED: Final = ("event_id", "quantity", "purchase_id")
_NAMED: Final = "A strategy of your own is named as module:name or folder/file.py:name."
_FORM: Final = (
    "A purchase function is def buy(connection, event_id, quantity, purchase_id) -> bool: True where it sold, False "
    "where too few tickets were left. Its first parameter is annotated as what it buys through: psycopg.Connection, "
    "sqlalchemy.Connection, sqlalchemy.orm.Session, or a class of yours that is made with ticketlab.Settings. The "
    "psycopg connection is committed when it returns; ticketlab.adopt(buy, autocommit=True) gives one that is not."
)


def adopt(
    given: Strategy | PurchaseFunction | str,
    *,
    name: str | None = None,
    summary: str = "",
    safe: bool = True,
    retry: RetryPolicy | None = None,
    schema: Schema | None = None,
    idempotent: bool = False,
    autocommit: bool = False,
) -> Strategy:
    """Make a strategy of a function that buys; what is one already stays as it is.

    The function's first parameter is what it buys through, by its annotation: a `psycopg.Connection` of the lab's pool
    (without one too), a `sqlalchemy.Connection` or a `sqlalchemy.orm.Session` on the same pool, or a class of your own.
    That is made once a trial with the `Settings` of the database, has connections of its own, and is closed at the end
    where it has a `close`; `Settings` themselves will do as well. The other parameters are `event_id: UUID`,
    `quantity: int` and `purchase_id: UUID`, or one PurchaseRequest. It is called from many threads at once, and returns
    True (sold), False (sold out), or a PurchaseResult, which can tell of versions too. Errors of psycopg and SQLAlchemy
    that it lets pass are outcomes; all others end the run.

    The psycopg connection is as `with pool.connection()` gives it: committed when the function returns, before its
    answer counts, and rolled back when it raises. The function may commit by itself too. SQLAlchemy commits only what
    the function commits, as `engine.connect()` and a `Session` do anywhere.

    Args:
        given: a function, a Strategy, or either by its name: "module:name", or "folder/file.py:name".
        name: by which experiments and reports know it; by default as it was given.
        summary: its mechanism, in a line; by default the first line of its docstring.
        safe: whether it claims to be safe; otherwise it is a control, and meant to be caught.
        retry: what is tried again, and how often; by default nothing is.
        schema: the tables that it sells from, where those are not ticketlab's.
        idempotent: whether it claims that a purchase id buys once, however often it is called: then the lab calls
            some of them twice.
        autocommit: whether its psycopg connection is in autocommit mode: each statement is a transaction of its own,
            a lock ends with its statement, and the function begins and commits every longer transaction.

    Raises:
        InvalidInputError: it is no such function.
        NotFoundError: there is no such module, or nothing of that name in it.
        OwnCodeError: the module could not be imported.
    """
    if isinstance(given, Strategy):
        return given
    if isinstance(given, str):
        name = name or given
        given = load_reference(given)
        if isinstance(given, Strategy):
            return given
    call = _Call.of(given, autocommit=autocommit)
    described = strategy(
        safe=safe,
        summary=summary or (inspect.getdoc(given) or "a purchase function of one's own").partition("\n")[0],
        retry=retry,
        resource=call.through,
        schema=schema,
        idempotent=idempotent,
        autocommit=autocommit,
        unseen=call.unseen,
    )
    return described(call.purchase(name or _shown(given)))


@cache
def load_reference(reference: str) -> Any:  # noqa: ANN401 - whatever a module has
    """What a module has by a name: "module:name", or "folder/file.py:name".

    Raises:
        NotFoundError: there is no such module, or nothing of that name in it.
        OwnCodeError: the module could not be imported.
    """
    place, _, attribute = reference.rpartition(":")
    if not (place and attribute):
        raise NotFoundError(f"{reference!r} names nothing. {_NAMED}")
    module = _of_file(Path(place)) if place.endswith(".py") else _of_name(place)
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        there = [each for each, value in vars(module).items() if _is_offered(value, module)]
        raise NotFoundError(f"{place} has no {attribute!r}. It has: {', '.join(there) or 'no function'}.") from None


def _is_offered(value: object, module: ModuleType) -> bool:
    return isinstance(value, Strategy) or (inspect.isfunction(value) and value.__module__ == module.__name__)


def _of_name(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise user_code_error(place, error) from error
        raise NotFoundError(
            f"There is no module {place!r} to import, from {Path.cwd()} or from what is installed. {_NAMED}"
        ) from None
    except Exception as error:
        raise user_code_error(place, error) from error


def _of_file(path: Path) -> ModuleType:
    """A module of a file that lies anywhere; what lies beside it can be imported from it."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(f"ticketlab_own_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))
    sys.modules[spec.name] = module  # where what it defines, such as a dataclass, looks for its own module
    with wrap_user_errors(str(path)):
        spec.loader.exec_module(module)
    return module


class _Call(NamedTuple):
    """How a function is called, as its parameters say."""

    function: PurchaseFunction
    through: Opens
    unseen: str
    wanted: Sequence[str]
    """Its parameters after the first; none where it takes the whole request."""

    @classmethod
    def of(cls, function: Any, *, autocommit: bool) -> "_Call":  # noqa: ANN401 - whatever was given
        """What the function's signature says, or InvalidInputError."""
        if not callable(function) or inspect.iscoroutinefunction(function):
            what = "a coroutine function" if callable(function) else "no function"
            raise InvalidInputError(f"{function!r} is {what}. {_FORM}")
        first, *others = _parameters(function)
        through, unseen = _resource_for(first.annotation, autocommit=autocommit)
        whole = len(others) == 1 and (others[0].annotation is PurchaseRequest or others[0].name == "request")
        wanted = [each.name for each in others if each.default is inspect.Parameter.empty]
        if not whole and sorted(wanted) != sorted(_WANTED):
            raise InvalidInputError(f"{_shown(function)} takes {', '.join([first.name, *wanted])}. {_FORM}")
        return cls(function, through, unseen, () if whole else tuple(wanted))

    def purchase(self, name: str) -> Purchase:
        """The function as a strategy has it, under a name."""
        wanted = attrgetter(*self.wanted) if self.wanted else None
        function, names = self.function, self.wanted

        @wraps(function)
        def buy(way: Any, request: PurchaseRequest) -> PurchaseResult:  # noqa: ANN401 - what it works through
            with commit_guard():  # nobody knows which of its statements commits: any that is lost may have
                if wanted is None:
                    returned = function(way, request)
                else:
                    returned = function(way, **dict(zip(names, wanted(request), strict=True)))
            result = _result(returned, request, name)
            if result.success:
                lending.note_open_sale(way)
            return result

        buy.__name__ = name
        return buy


def _parameters(function: PurchaseFunction) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(function, eval_str=True).parameters.values())
    except NameError as error:
        raise InvalidInputError(
            f"The annotations of {_shown(function)} can not be read: {error}. What they name must be imported, not "
            "only under TYPE_CHECKING."
        ) from None
    except ValueError:
        found = []
    variadic = [each for each in found if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY)]
    if not found or found[0].name in _WANTED or variadic:
        raise InvalidInputError(
            f"The parameters of {_shown(function)} do not say what it buys through and what is bought. {_FORM}"
        )
    return found


def _resource_for(annotation: Any, *, autocommit: bool) -> tuple[Opens, str]:  # noqa: ANN401 - whatever stands there
    """What opens what a function buys through, and what can not be seen of it then."""
    wanted = get_origin(annotation) or annotation
    if wanted is inspect.Parameter.empty or wanted is Any:
        wanted = psycopg.Connection
    if wanted is Settings:
        return lambda database: nullcontext(database.settings), POOL_BYPASS_NOTE
    if not isinstance(wanted, type) or wanted is UnionType or issubclass(wanted, psycopg.AsyncConnection):
        raise InvalidInputError(f"A purchase can not go through {annotation}. {_FORM}")
    ways: dict[type, Opens] = {
        psycopg.Connection: Database.connection if autocommit else lending.committed,
        sqlalchemy.Connection: lending.sql_connection,
        Session: lending.session,
    }
    for kind, opens in ways.items():
        if issubclass(wanted, kind):
            return opens, ""
    return made_once(wanted), POOL_BYPASS_NOTE


def _result(returned: object, request: PurchaseRequest, name: str) -> PurchaseResult:
    """What a function returned, as a result."""
    if isinstance(returned, PurchaseResult):
        return returned
    if returned is True:
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)
    if returned is False:
        return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, cause=Cause.INSUFFICIENT)
    raise OwnCodeError(
        f"{name} returned {returned!r}. It must return True where it sold, False where too few tickets were left, or a "
        "ticketlab.PurchaseResult."
    )


def _shown(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
