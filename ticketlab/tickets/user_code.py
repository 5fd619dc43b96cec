"""Adopts users' purchase functions and classes as strategies, and separates their errors from the lab's."""

from __future__ import annotations

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
"""The files that call user code."""
_IMPORTING: Final = (importlib.__file__, "<frozen importlib")
"""The frames between those files and an imported module."""
_LAB: Final = str(_HERE.parent)


def raised_in_user_code(error: Exception) -> bool:
    """Whether the error was raised in user code that the lab called, not in the lab itself."""
    trace = _user_part(error.__traceback__)
    return trace is not None and not trace.tb_frame.f_code.co_filename.startswith(_LAB)


@contextmanager
def wrap_user_errors(what: str, *, when: Callable[[Exception], bool] = lambda _error: True) -> Iterator[None]:
    """Wrap a call of user code: errors other than TicketlabError become OwnCodeError.

    Args:
        what: the name of what is called, for the message.
        when: whether to convert an error; by default every error is converted.

    Raises:
        OwnCodeError: instead of the error, with the user's part of the traceback as a note.
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
    """Return the error that reports a user's error, with the user's part of the traceback as a note.

    Args:
        what: the name of what was called or imported.
        error: as it was caught; its traceback begins in the lab.
    """
    report = OwnCodeError(f"{what} failed in your code: {type(error).__name__}: {error}")
    lines = traceback.format_exception(type(error), error, _user_part(error.__traceback__))
    report.add_note("".join(lines).rstrip())
    return report


def _user_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that the lab called."""
    first = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file in _CALLERS:
            first = None
        elif first is None and not file.startswith(_IMPORTING):
            first = trace
        trace = trace.tb_next
    return first


class Place(NamedTuple):
    """The current position of a thread."""

    line: str
    """The line in the user's function, such as "shop.py:12, in buy"; otherwise in the lab."""
    is_theirs: bool
    """Whether the line is in user code."""
    stack: str
    """The stack from that line on."""


def place_of(frame: FrameType) -> Place:
    """Return the position of the thread whose current frame is `frame`."""
    calls = traceback.StackSummary.extract(traceback.walk_stack(frame))[::-1]
    called = max((number for number, call in enumerate(calls) if call.filename in _CALLERS), default=-1) + 1
    while called < len(calls) and calls[called].filename == contextlib.__file__:
        called += 1  # skip the context manager of a connection
    is_theirs = 0 < called < len(calls) and not calls[called].filename.startswith(_LAB)
    in_lab = (number for number, call in enumerate(calls) if call.filename.startswith(_LAB))
    first = called if is_theirs else max(in_lab, default=len(calls) - 1)
    at = calls[first]
    stack = "".join(traceback.format_list(calls[first:])).rstrip()
    return Place(f"{Path(at.filename).name}:{at.lineno}, in {at.name}", is_theirs, stack)


ResourceFactory: TypeAlias = Callable[[Database], AbstractContextManager[Any]]
"""Opens the resource that a purchase function gets as its first argument."""


def _shared_instance(kind: type) -> ResourceFactory:
    """Create one object of the user's class per database, shared by all buyers and closed with the database."""

    def make(database: Database) -> Any:  # noqa: ANN401 - of the user's class
        with wrap_user_errors(kind.__name__):
            instance = kind(database.settings)
        if callable(close := getattr(instance, "close", None)):
            database.on_close(lambda: _close(f"{kind.__name__}.close", close, database.patience_s))
        return instance

    return lambda database: nullcontext(database.get_or_create(make))


def _close(name: str, close: Callable[[], object], patience_s: float) -> None:
    """Close the user's object in a thread, so that a `close` that hangs blocks nothing."""
    closed: Future[object] = Future()

    def run() -> None:
        try:
            closed.set_result(close())
        except BaseException as error:  # raised by result() below
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
    "it has connections of its own, so the lab's pool size does not apply; waits for them and its own retries are part "
    "of the latency, but not counted"
)
"""What the lab cannot observe of a purchase that does not use its pool."""
_ARGUMENTS: Final = ("event_id", "quantity", "purchase_id")
_NAMED: Final = "Name a strategy of your own as module:name or folder/file.py:name."
_FORM: Final = (
    "A purchase function is def buy(connection, event_id, quantity, purchase_id) -> bool: True if it sold, False if "
    "too few tickets were left. The annotation of its first parameter selects its connection: psycopg.Connection, "
    "sqlalchemy.Connection, sqlalchemy.orm.Session, or a class of yours that takes ticketlab.Settings. The psycopg "
    "connection is committed when the function returns; ticketlab.adopt(buy, autocommit=True) lends one in autocommit "
    "mode."
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
    """Make a strategy of a purchase function; a Strategy is returned unchanged.

    The annotation of the function's first parameter selects its connection: a `psycopg.Connection` of the lab's pool
    (the default), a `sqlalchemy.Connection` or a `sqlalchemy.orm.Session` on the same pool, the database's `Settings`,
    or a class of your own. Such a class is instantiated with the `Settings` once per trial, uses its own connections,
    and its `close`, if any, is called at the end. The other parameters are `event_id: UUID`, `quantity: int` and
    `purchase_id: UUID`, or one PurchaseRequest. The function is called from many threads at once. It returns True
    (sold), False (sold out), or a PurchaseResult, which may report versions too. Errors of psycopg and SQLAlchemy that
    it raises are outcomes; all others end the run.

    The psycopg connection behaves as in `with pool.connection()`: committed when the function returns, before its
    answer counts, and rolled back when it raises. The function may also commit itself. SQLAlchemy commits only what
    the function commits, as `engine.connect()` and a `Session` always do.

    Args:
        given: a function, a Strategy, or the name of either: "module:name" or "folder/file.py:name".
        name: its name in experiments and reports; by default the given name.
        summary: its mechanism, in one line; by default the first line of its docstring.
        safe: whether it claims to be safe; otherwise it is a control, in which the checks should find violations.
        retry: which failures are retried, and how often; by default none.
        schema: the tables that it sells from, if they are not ticketlab's.
        idempotent: whether it claims that a purchase id buys only once, however often it is called; then the lab calls
            some ids twice.
        autocommit: whether its psycopg connection is in autocommit mode: each statement is a transaction of its own,
            releases its locks at its end, and the function begins and commits every longer transaction.

    Raises:
        InvalidInputError: it is not a purchase function.
        NotFoundError: there is no such module, or no such name in it.
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
    make_strategy = strategy(
        safe=safe,
        summary=summary or (inspect.getdoc(given) or "a user's purchase function").partition("\n")[0],
        retry=retry,
        resource=call.resource,
        schema=schema,
        idempotent=idempotent,
        autocommit=autocommit,
        unseen=call.unseen,
    )
    return make_strategy(call.purchase(name or _name_of(given)))


@cache
def load_reference(reference: str) -> Any:  # noqa: ANN401 - whatever a module has
    """Import an object by "module:name" or "folder/file.py:name".

    Raises:
        NotFoundError: there is no such module, or no such name in it.
        OwnCodeError: the module could not be imported.
    """
    place, _, attribute = reference.rpartition(":")
    if not (place and attribute):
        raise NotFoundError(f"{reference!r} is not a name. {_NAMED}")
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        offered = [
            each
            for each, value in vars(module).items()
            if isinstance(value, Strategy) or (inspect.isfunction(value) and value.__module__ == module.__name__)
        ]
        raise NotFoundError(f"{place} has no {attribute!r}. It has: {', '.join(offered) or 'no function'}.") from None


def _import_module(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise user_code_error(place, error) from error
        raise NotFoundError(
            f"There is no module {place!r} in {Path.cwd()} or among the installed ones. {_NAMED}"
        ) from None
    except Exception as error:
        raise user_code_error(place, error) from error


def _import_file(path: Path) -> ModuleType:
    """Import a file from any folder; it can import the modules beside it."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(f"ticketlab_own_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))
    sys.modules[spec.name] = module  # needed by dataclasses that it defines
    with wrap_user_errors(str(path)):
        spec.loader.exec_module(module)
    return module


class _Call(NamedTuple):
    """How to call a purchase function."""

    function: PurchaseFunction
    resource: ResourceFactory
    unseen: str
    arguments: Sequence[str]
    """The names of the arguments after the first; empty if it takes the whole request."""

    @classmethod
    def of(cls, function: Any, *, autocommit: bool) -> _Call:  # noqa: ANN401 - whatever was given
        """Read the function's signature; InvalidInputError if it is not that of a purchase function."""
        if not callable(function) or inspect.iscoroutinefunction(function):
            what = "a coroutine function" if callable(function) else "not a function"
            raise InvalidInputError(f"{function!r} is {what}. {_FORM}")
        first, *others = _parameters(function)
        resource, unseen = _resource_for(first.annotation, autocommit=autocommit)
        whole = len(others) == 1 and (others[0].annotation is PurchaseRequest or others[0].name == "request")
        required = [each.name for each in others if each.default is inspect.Parameter.empty]
        if not whole and sorted(required) != sorted(_ARGUMENTS):
            raise InvalidInputError(f"{_name_of(function)} takes {', '.join([first.name, *required])}. {_FORM}")
        return cls(function, resource, unseen, () if whole else tuple(required))

    def purchase(self, name: str) -> Purchase:
        """The function with the signature of `Strategy.purchase`, under a name."""
        values = attrgetter(*self.arguments) if self.arguments else None
        function, names = self.function, self.arguments

        @wraps(function)
        def buy(resource: Any, request: PurchaseRequest) -> PurchaseResult:  # noqa: ANN401 - any resource
            with commit_guard():  # it is unknown which statement commits: any lost one may have
                if values is None:
                    returned = function(resource, request)
                else:
                    returned = function(resource, **dict(zip(names, values(request), strict=True)))
            result = _result(returned, request, name)
            if result.success:
                lending.note_open_sale(resource)
            return result

        buy.__name__ = name
        return buy


def _parameters(function: PurchaseFunction) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    except NameError as error:
        raise InvalidInputError(
            f"The annotations of {_name_of(function)} cannot be evaluated: {error}. Import their names, not only under "
            "TYPE_CHECKING."
        ) from None
    except ValueError:
        parameters = []
    unnamed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    if not parameters or parameters[0].name in _ARGUMENTS or any(each.kind in unnamed for each in parameters):
        raise InvalidInputError(
            f"The parameters of {_name_of(function)} do not say what it buys through and what it buys. {_FORM}"
        )
    return parameters


def _resource_for(annotation: Any, *, autocommit: bool) -> tuple[ResourceFactory, str]:  # noqa: ANN401 - any
    """The factory of the resource, and what the lab cannot observe of it."""
    kind = get_origin(annotation) or annotation
    if kind is inspect.Parameter.empty or kind is Any:
        kind = psycopg.Connection
    if kind is Settings:
        return lambda database: nullcontext(database.settings), POOL_BYPASS_NOTE
    if not isinstance(kind, type) or kind is UnionType or issubclass(kind, psycopg.AsyncConnection):
        raise InvalidInputError(f"A purchase cannot use {annotation}. {_FORM}")
    factories: dict[type, ResourceFactory] = {
        psycopg.Connection: Database.connection if autocommit else lending.committed,
        sqlalchemy.Connection: lending.sql_connection,
        Session: lending.session,
    }
    for base, factory in factories.items():
        if issubclass(kind, base):
            return factory, ""
    return _shared_instance(kind), POOL_BYPASS_NOTE


def _result(returned: object, request: PurchaseRequest, name: str) -> PurchaseResult:
    """The returned value as a PurchaseResult."""
    if isinstance(returned, PurchaseResult):
        return returned
    if returned is True:
        return PurchaseResult(outcome=Outcome.SOLD, quantity=request.quantity)
    if returned is False:
        return PurchaseResult(outcome=Outcome.SOLD_OUT, quantity=request.quantity, cause=Cause.INSUFFICIENT)
    raise OwnCodeError(
        f"{name} returned {returned!r}. It must return True if it sold, False if too few tickets were left, or a "
        "ticketlab.PurchaseResult."
    )


def _name_of(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
