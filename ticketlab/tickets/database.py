"""A psycopg connection of the lab's pool: what `close` means on it."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar
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
from ticketlab.settings import Settings
from ticketlab.tickets import leftovers
from ticketlab.tickets.leftovers import LeftBehind


class PooledConnection(psycopg.Connection[TupleRow]):
    """A pooled connection. SQLAlchemy adds its notice handler at each checkout: one is enough."""

    discarded = False
    """Whether the lab closed it, as no later purchase could use it."""
    _close_returns = False

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        """Add a handler, in the place of one that is the same."""
        with suppress(ValueError):  # raised where the handler is not there yet
            self.remove_notice_handler(callback)
        super().add_notice_handler(callback)

    def lend_to_sqlalchemy(self) -> None:
        """Let the next `close` give it back to the pool: SQLAlchemy closes what it is done with."""
        self._close_returns = True

    def close(self) -> None:
        """Close it, as a purchase function means it; or give it back to the pool, as SQLAlchemy means it."""
        pool = getattr(self, "_pool", None)
        if pool is None or self._close_returns:
            self._close_returns = False
            super().close()
            return
        self._pool = None  # without its pool, psycopg closes it ...
        super().close()
        self._pool = pool  # ... and the pool still accepts it, and opens another

    def discard(self) -> None:
        """Close it, so that the pool opens another in its place."""
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
    # A single statement in autocommit mode is a transaction too: its level is not left to the server.
    "options": "-c default_transaction_isolation=read\\ committed",
}
"""What every connection of the pool is opened with."""
NO_CONNECTION: Final = (PoolTimeout, PoolClosed, TooManyRequests)
"""What the pool raises where it has none to give."""

# Lost connections are told as outcomes and errors; without a handler the log of psycopg and its pool would be printed
# besides.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Database:
    """A database and the connections to it. Open it with `with`.

    Connections are in autocommit mode, so that a strategy's BEGIN and COMMIT are those that it says, and prepare
    each statement at its first use. SQLAlchemy's checkouts of the same connections are transactional as usual.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connections: WeakSet[psycopg.Connection[TupleRow]] = WeakSet()
        self._connections_lock = threading.Lock()
        self._companions: dict[object, Any] = {}
        self._companions_lock = threading.RLock()  # one companion may be made of another
        self.left_behind = LeftBehind()
        """What purchase functions left on connections when they gave them back."""
        self._closing = ExitStack()
        self.closes_others = False
        """Whether something of the user's is closed with it."""
        self.patience_s = _CLOSE_PATIENCE_S
        """How long that may take."""
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
            use_native_hstore=False,  # no look-up of a type that is not used
        )
        event.listen(self.engine, "connect", _make_transactional)
        event.listen(self.engine, "close", self._return_to_pool)

    def __enter__(self) -> Self:
        """Open the pool, once a first connection has shown that the server answers.

        Raises:
            UnavailableError: it does not; said at once rather than after the acquire timeout.
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
            # Once, on a connection that is surely sound: one that broke in here would never come back to the pool.
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
        """Have something else closed with it, the last one first."""
        self.closes_others = True
        self._closing.callback(close)

    @contextmanager
    def connection(self, *, timeout_s: float | None = None) -> Iterator[psycopg.Connection[TupleRow]]:
        """A psycopg connection of the pool, in autocommit mode.

        Raises:
            UnavailableError: none could be had within `timeout_s`, by default the acquire timeout.
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
        """Note what a purchase function left on a connection that it got with this `autocommit`, and clear it up."""
        discarded = isinstance(connection, PooledConnection) and connection.discarded
        leftovers.look(connection, self.left_behind, discarded=discarded, autocommit=autocommit)

    def get_or_create(self, make: Callable[["Database"], T]) -> T:
        """What `make` makes of this database: made once, at first use, and then the same for all threads."""
        try:
            made: T = self._companions[make]
        except KeyError:
            with self._companions_lock:
                if make not in self._companions:
                    self._companions[make] = make(self)
                made = self._companions[make]
        return made

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A SQLAlchemy session in one transaction; what it loaded stays readable afterwards.

        Raises:
            UnavailableError: no connection could be had, or it broke.
        """
        with self.translating_errors(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A SQLAlchemy session in no transaction yet, whose errors are nobody's but the caller's.

        Raises:
            UnavailableError: a statement needed a connection, and none could be had.
        """
        with self._translating_pool_timeout(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def sql_connection(self) -> Iterator[sqlalchemy.Connection]:
        """A SQLAlchemy connection, transactional as usual, whose errors are nobody's but the caller's.

        Raises:
            UnavailableError: none could be had.
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
        """Around work for which a failure of the database is no outcome but an error.

        Raises:
            UnavailableError: psycopg or SQLAlchemy said that no connection could be had, or that it broke.
            TicketlabError: the database could not do the work just now, for a lock or a timeout.
        """
        try:
            yield
        except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
            said = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
            if isinstance(said, NO_CONNECTION):
                raise UnavailableError(self._no_connection()) from error
            lost = cause_of(getattr(said, "sqlstate", None)) is Cause.CONNECTION
            kind = UnavailableError if lost else TicketlabError
            raise kind(f"The database {self.settings.address} said: {str(said).strip()}") from error

    def terminate_connections(self) -> None:
        """End what is under way on every connection of this process; whoever waits for an answer is told it was lost.

        The server is asked to end the backends, so that nothing is committed afterwards. Where it does not answer,
        the sockets are shut all the same.
        """
        alive = self.connections()
        backends = [pid for each in alive if (pid := _backend_of(each)) is not None]
        with (
            suppress(psycopg.OperationalError),  # a server that does not answer is what this is for
            psycopg.connect(self.settings.url, connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True) as connection,
        ):
            # All are told before any is waited for: the server looks only every 100 ms whether one has ended.
            connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [backends])
            connection.execute("SELECT pg_terminate_backend(pid, 1000) FROM unnest(%s::int[]) AS pid", [backends])
        for each in alive:
            _shut(each)
        self.pool.check()  # those that nobody was using are replaced, and not handed to the next buyer

    def connections(self) -> list[psycopg.Connection[TupleRow]]:
        """The open connections of the pool, those in use too."""
        with self._connections_lock:
            return [each for each in self._connections if not each.closed]

    def _lend_to_sqlalchemy(self) -> psycopg.Connection[TupleRow]:
        connection = self.pool.getconn()
        assert isinstance(connection, PooledConnection)
        connection.lend_to_sqlalchemy()
        return connection

    def _note(self, connection: psycopg.Connection[TupleRow]) -> None:
        with self._connections_lock:  # the pool's workers open connections while others are being cut
            self._connections.add(connection)

    def _no_connection(self, timeout_s: float | None = None) -> str:
        stats = self.pool.get_stats()
        in_use = stats["pool_size"] - stats["pool_available"]
        return (
            f"No database connection within {timeout_s or self.settings.pool_acquire_timeout_s:g} s "
            f"({in_use} of {self.settings.pool_size} in use or being made). "
            "Let fewer buyers in, make the pool larger (DB_POOL_SIZE), or see whether the server still answers."
        )

    def _return_to_pool(self, connection: psycopg.Connection[TupleRow], _record: object) -> None:
        """What SQLAlchemy closes goes back to the pool as it was taken."""
        if connection.closed:
            # Its own close() does nothing any more, and the pool would count it as taken for ever.
            self.pool.putconn(connection)
        else:
            connection.rollback()
            connection.autocommit = True
            if not leftovers.is_as_lent(connection):
                leftovers.restore(connection)


def _make_transactional(connection: psycopg.Connection[TupleRow], _record: object) -> None:
    connection.autocommit = False


def _backend_of(connection: psycopg.Connection[TupleRow]) -> int | None:
    """The process at the other end; None where its buyer has just found the connection broken, and closed it."""
    try:
        return connection.info.backend_pid
    except psycopg.OperationalError:
        return None


def _shut(connection: psycopg.Connection[TupleRow]) -> None:
    # Not connection.close(): that would wait for whoever is waiting on it. It may be lost by now, which is as good.
    with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
