"""Database: the connection pool of the lab, for psycopg and SQLAlchemy. Knows leftovers, no tables."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from weakref import WeakSet

import psycopg
import sqlalchemy
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from ticketlab.errors import TicketlabError, UnavailableError
from ticketlab.outcomes import Cause, cause_of
from ticketlab.tickets import leftovers
from ticketlab.tickets.leftovers import LeftBehind

if TYPE_CHECKING:
    from ticketlab.settings import Settings


class PooledConnection(psycopg.Connection[TupleRow]):
    """A pooled connection, whose `close` serves both purchase functions and SQLAlchemy."""

    discarded = False
    """Whether the lab closed it because it was unusable."""
    _close_returns = False

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        """Add a handler once, because SQLAlchemy adds its own at each checkout."""
        with suppress(ValueError):  # raised if the handler was not added before
            self.remove_notice_handler(callback)
        super().add_notice_handler(callback)

    def lend_to_sqlalchemy(self) -> None:
        """Make the next `close` return it to the pool: SQLAlchemy closes a connection after use."""
        self._close_returns = True

    def close(self) -> None:
        """Close it for a purchase function; return it to the pool for SQLAlchemy."""
        pool = getattr(self, "_pool", None)
        if pool is None or self._close_returns:
            self._close_returns = False
            super().close()
            return
        self._pool = None  # without a pool, psycopg really closes the connection
        super().close()
        self._pool = pool  # so that the pool takes it back, and opens another

    def discard(self) -> None:
        """Close it, so that the pool replaces it."""
        self.discarded = not self.closed
        self.close()


T = TypeVar("T")

_CONNECT_TIMEOUT_S: Final = 5
_CLOSE_PATIENCE_S: Final = 10.0
CONNECTION: Final[Mapping[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": 0,
    "application_name": "ticketlab",
    "connect_timeout": _CONNECT_TIMEOUT_S,
    # A single statement in autocommit mode is a transaction too, and must not depend on the server's default level.
    "options": "-c default_transaction_isolation=read\\ committed",
}
"""The parameters of every connection of the pool."""
NO_CONNECTION: Final = (PoolTimeout, PoolClosed, TooManyRequests)
"""The pool's errors if it has no connection available."""

# Lost connections are reported as outcomes and errors; without a handler psycopg's log would be printed as well.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Database:
    """A database and the connections to it. Open it with `with`.

    Connections are in autocommit mode, so that a strategy issues its own BEGIN and COMMIT. They prepare each statement
    at its first use. SQLAlchemy's checkouts of the same connections are transactional as usual.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connections: WeakSet[psycopg.Connection[TupleRow]] = WeakSet()
        self._connections_lock = threading.Lock()
        self._companions: dict[object, Any] = {}
        self._companions_lock = threading.RLock()  # creating one companion may create another
        self.left_behind = LeftBehind()
        """What purchase functions left on the connections that they returned."""
        self._closing = ExitStack()
        self.closes_others = False
        """Whether an object of the user's is closed with it."""
        self.patience_s = _CLOSE_PATIENCE_S
        """How long closing that object may take."""
        self.pool = ConnectionPool[psycopg.Connection[TupleRow]](
            settings.url,
            connection_class=PooledConnection,
            kwargs=dict(CONNECTION),
            configure=self._note,
            min_size=0,
            max_size=settings.pool_size,
            timeout=settings.pool_acquire_timeout_s,
            max_idle=settings.pool_idle_timeout_s,
            close_returns=True,
            open=False,
            name="ticketlab",
        )
        self.engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            poolclass=NullPool,
            creator=self._lend_to_sqlalchemy,
            use_native_hstore=False,  # avoids a query for a type that is not used
        )
        event.listen(self.engine, "connect", _make_transactional)
        event.listen(self.engine, "close", self._return_to_pool)

    def __enter__(self) -> Self:
        """Connect once to see that the server answers, then open the pool.

        Raises:
            UnavailableError: the server does not answer; raised at once, not after the acquire timeout.
        """
        try:
            psycopg.connect(self.settings.url, connect_timeout=_CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError as error:
            raise UnavailableError(
                f"No database at {self.settings.address}: {str(error).strip()}\n"
                "Check DB_HOST, DB_PORT, DB_USERNAME, DB_PASSWORD and DB_NAME, or the URL."
            ) from error
        self.pool.open()
        try:
            # SQLAlchemy initializes its dialect once, on a connection that surely works: if that fails, the connection
            # never returns to the pool.
            with self.translating_errors(), self.engine.connect():
                return self
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        with self._closing:
            self.engine.dispose()
            self.pool.close()

    def on_close(self, close: Callable[[], object]) -> None:
        """Register a function to call on close; the last one registered is called first."""
        self.closes_others = True
        self._closing.callback(close)

    @contextmanager
    def connection(self, *, timeout_s: float | None = None) -> Iterator[psycopg.Connection[TupleRow]]:
        """Lend a psycopg connection of the pool, in autocommit mode.

        Raises:
            UnavailableError: none was available within `timeout_s`, by default the acquire timeout.
        """
        try:
            connection = self.pool.getconn(timeout_s)
        except NO_CONNECTION as error:
            raise UnavailableError(self._no_connection(timeout_s)) from error
        try:
            yield connection
        finally:
            if not leftovers.is_as_lent(connection):
                self.look(connection)
            self.pool.putconn(connection)

    def look(self, connection: psycopg.Connection[TupleRow], *, autocommit: bool = True) -> None:
        """Record what a purchase function left on a connection lent with this `autocommit`, and clean it up."""
        discarded = isinstance(connection, PooledConnection) and connection.discarded
        leftovers.look(connection, self.left_behind, discarded=discarded, autocommit=autocommit)

    def get_or_create(self, make: Callable[[Database], T]) -> T:
        """Return the companion object `make(self)`, created at first use and shared by all threads."""
        try:
            companion: T = self._companions[make]
        except KeyError:
            with self._companions_lock:
                if make not in self._companions:
                    self._companions[make] = make(self)
                companion = self._companions[make]
        return companion

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a SQLAlchemy session in one transaction; loaded objects stay readable afterwards.

        Raises:
            UnavailableError: no connection was available, or it broke.
        """
        with self.translating_errors(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """Lend a SQLAlchemy session in no transaction yet; its errors are raised unchanged.

        Raises:
            UnavailableError: a statement needed a connection, and none was available.
        """
        with self._translating_pool_timeout(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def sql_connection(self) -> Iterator[sqlalchemy.Connection]:
        """Lend a SQLAlchemy connection, transactional as usual; its errors are raised unchanged.

        Raises:
            UnavailableError: none was available.
        """
        with self._translating_pool_timeout(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _translating_pool_timeout(self) -> Iterator[None]:
        try:
            yield
        except sqlalchemy.exc.OperationalError as error:
            if isinstance(error.orig, NO_CONNECTION):
                raise UnavailableError(self._no_connection()) from error
            raise

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Translate the operational errors of psycopg and SQLAlchemy in the block.

        Raises:
            UnavailableError: no connection was available, or it broke.
            TicketlabError: the database could not do the work now, because of a lock or a timeout.
        """
        try:
            yield
        except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
            cause = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
            if isinstance(cause, NO_CONNECTION):
                raise UnavailableError(self._no_connection()) from error
            lost = cause_of(getattr(cause, "sqlstate", None)) is Cause.CONNECTION
            kind = UnavailableError if lost else TicketlabError
            raise kind(f"The database {self.settings.address} reported: {str(cause).strip()}") from error

    def terminate_connections(self) -> None:
        """Terminate every connection of the pool; pending calls fail with a lost connection.

        The server is asked to terminate the backends, so that nothing is committed afterwards. Then the sockets are
        shut down, even if the server does not answer.
        """
        open_connections = self.connections()
        backends = [pid for each in open_connections if (pid := _backend_of(each)) is not None]
        with (
            suppress(psycopg.OperationalError),  # the server may not answer
            psycopg.connect(self.settings.url, connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True) as connection,
        ):
            # Signal all before waiting for any, because the server polls only every 100 ms.
            connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [backends])
            connection.execute("SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s::int[]) AS pid", [backends])
        for each in open_connections:
            # Not connection.close(), which would wait for the thread that uses it. It may be lost by now.
            with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(each.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)
        self.pool.check()  # replaces the idle ones before they are lent again

    def connections(self) -> list[psycopg.Connection[TupleRow]]:
        """Return the open connections of the pool, including those in use."""
        with self._connections_lock:
            return [each for each in self._connections if not each.closed]

    def _lend_to_sqlalchemy(self) -> psycopg.Connection[TupleRow]:
        connection = self.pool.getconn()
        assert isinstance(connection, PooledConnection)
        connection.lend_to_sqlalchemy()
        return connection

    def _note(self, connection: psycopg.Connection[TupleRow]) -> None:
        with self._connections_lock:  # the pool's workers open connections while others are terminated
            self._connections.add(connection)

    def _no_connection(self, timeout_s: float | None = None) -> str:
        stats = self.pool.get_stats()
        in_use = stats["pool_size"] - stats["pool_available"]
        return (
            f"No database connection within {timeout_s or self.settings.pool_acquire_timeout_s:g} s "
            f"({in_use} of {self.settings.pool_size} in use or being opened). "
            "Use fewer buyers or a larger pool (DB_POOL_SIZE), or check that the server still answers."
        )

    def _return_to_pool(self, connection: psycopg.Connection[TupleRow], _record: object) -> None:
        """Reset a connection that SQLAlchemy closes, and return it to the pool."""
        if connection.closed:
            # Its close() does nothing any more, and the pool would count it as lent forever.
            self.pool.putconn(connection)
        else:
            connection.rollback()
            connection.autocommit = True
            if not leftovers.is_as_lent(connection):
                leftovers.restore(connection)


def _make_transactional(connection: psycopg.Connection[TupleRow], _record: object) -> None:
    connection.autocommit = False


def _backend_of(connection: psycopg.Connection[TupleRow]) -> int | None:
    """The backend's process id; None if the connection was closed meanwhile."""
    try:
        return connection.info.backend_pid
    except psycopg.OperationalError:
        return None
