"""One psycopg pool, and the SQLAlchemy engine on top of the same pool. Knows connections, no tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import psycopg
import sqlalchemy
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from ticketlab.errors import UnavailableError
from ticketlab.settings import Settings

_CONNECT_TIMEOUT_S = 5


class _Connection(psycopg.Connection[TupleRow]):
    """A pooled connection. SQLAlchemy adds its notice handler at each checkout: one is enough."""

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        with suppress(ValueError):  # raised where the handler is not there yet
            self.remove_notice_handler(callback)
        super().add_notice_handler(callback)


class Database:
    """A database and the connections to it. Open it with `with`.

    Connections are in autocommit mode, so that a strategy's BEGIN and COMMIT are those that it says, and prepare
    each statement at its first use. SQLAlchemy's checkouts of the same connections are transactional as usual.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = ConnectionPool[psycopg.Connection[TupleRow]](
            settings.url,
            connection_class=_Connection,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                "application_name": "ticketlab",
                "connect_timeout": _CONNECT_TIMEOUT_S,
                # A single statement in autocommit mode is a transaction too: its level is not left to the server.
                "options": "-c default_transaction_isolation=read\\ committed",
            },
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
            creator=self.pool.getconn,
            use_native_hstore=False,  # no look-up of a type that is not used
        )
        event.listen(self.engine, "connect", _make_transactional)
        event.listen(self.engine, "close", _make_autocommit)

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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        self.engine.dispose()
        self.pool.close()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """A psycopg connection of the pool, in autocommit mode.

        Raises:
            UnavailableError: none could be had within the acquire timeout.
        """
        try:
            connection = self.pool.getconn()
        except PoolTimeout as error:
            raise UnavailableError(self._no_connection()) from error
        try:
            yield connection
        finally:
            self.pool.putconn(connection)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A SQLAlchemy session in one transaction; what it loaded stays readable afterwards.

        Raises:
            UnavailableError: no connection could be had, or it broke.
        """
        with self.reachable(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Around work for which a lost connection is no outcome but an error.

        Raises:
            UnavailableError: psycopg or SQLAlchemy said that no connection could be had, or that it broke.
        """
        try:
            yield
        except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
            said = error.orig if isinstance(error, sqlalchemy.exc.OperationalError) else error
            if isinstance(said, PoolTimeout):
                raise UnavailableError(self._no_connection()) from error
            raise UnavailableError(f"The database {self.settings.address} said: {str(said).strip()}") from error

    def _no_connection(self) -> str:
        stats = self.pool.get_stats()
        in_use = stats["pool_size"] - stats["pool_available"]
        return (
            f"none within {self.settings.pool_acquire_timeout_s:g} s "
            f"({in_use} of {self.settings.pool_size} in use or being made). "
            "Let fewer buyers in, make the pool larger (DB_POOL_SIZE), or see whether the server still answers."
        )


def _make_transactional(connection: psycopg.Connection[TupleRow], _record: object) -> None:
    connection.autocommit = False


def _make_autocommit(connection: psycopg.Connection[TupleRow], _record: object) -> None:
    # Lost connections refuse the change, and need it no more: the pool will drop them.
    if not connection.closed:
        connection.rollback()
        connection.autocommit = True
