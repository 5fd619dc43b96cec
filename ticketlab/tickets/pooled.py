"""A psycopg connection of the lab's pool: what `close` means on it."""

from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg.rows import TupleRow


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
