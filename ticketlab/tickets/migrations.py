"""The migration commands upgrade, generate and revert, run by Alembic on a `Database`.

The scripts are in `migrations/` of a checkout, or inside the installed package.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from ticketlab.errors import TicketlabError

if TYPE_CHECKING:
    from ticketlab.tickets.database import Database

_PACKAGE = Path(__file__).parent.parent


def upgrade(database: Database, *, versions: Path | None = None) -> list[str]:
    """Migrate to the newest revision; returns the applied revisions, oldest first.

    Raises:
        TicketlabError: a migration failed and was rolled back; the message quotes the database.
    """
    before = current(database)
    with _migrating(database, versions) as config:
        command.upgrade(config, "head")
    scripts = ScriptDirectory.from_config(config)
    return [each.revision for each in scripts.iterate_revisions("head", before or "base")][::-1]


def revert(database: Database, *, versions: Path | None = None) -> str | None:
    """Revert the last applied revision; returns it, or None if there was none."""
    last = current(database)
    if last is not None:
        with _migrating(database, versions) as config:
            command.downgrade(config, "-1")
    return last


def generate(database: Database, message: str, *, versions: Path | None = None) -> Path | None:
    """Write the migration from the database to the models; returns its file, or None if nothing differs.

    Args:
        database: a database at the newest revision.
        message: what the migration does; it becomes the file's name.
        versions: the folder to write it to; by default that of the checkout's scripts.

    Raises:
        TicketlabError: the database is not at the newest revision, or the folder is not writable.
    """
    with _migrating(database, versions) as config:
        try:
            written = command.revision(
                config,
                message,
                autogenerate=True,
                version_path=str(versions) if versions else None,
                process_revision_directives=_drop_empty,
            )
        except OSError as error:
            raise TicketlabError(
                f"No migration was written: {error}. Name a folder of yours with --versions."
            ) from error
    return Path(written.path) if isinstance(written, Script) else None


def current(database: Database) -> str | None:
    """Return the database's revision, None before the first."""
    with database.translating_errors(), database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _drop_empty(_context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
    """Drop a migration that changes nothing."""
    if directives[0].upgrade_ops is None or directives[0].upgrade_ops.is_empty():
        directives.clear()


@contextmanager
def _migrating(database: Database, versions: Path | None) -> Iterator[Config]:
    """Yield Alembic's configuration with a connection in one transaction; translate its errors."""
    try:
        with database.translating_errors(), database.engine.begin() as connection:
            config = configuration(versions)
            config.attributes["connection"] = connection
            yield config
    except CommandError as error:
        raise TicketlabError(
            f"Alembic says: {error} Database {database.settings.address}; `ticketlab migrate upgrade` brings it to "
            "the newest revision, and --versions names a folder with your own migrations."
        ) from error
    except DBAPIError as error:
        raise TicketlabError(
            f"The database {database.settings.address} refused: {str(error.orig).strip()}\nNothing was changed. The "
            """Return Alembic's configuration with ticketlab's migrations and those in `versions`; prints nothing."""
            "this one as migrated with `alembic stamp head`."
        ) from error


def configuration(versions: Path | None = None) -> Config:
    """Return Alembic's configuration with ticketlab's migrations and those in `versions`; prints nothing."""
    config = Config(stdout=io.StringIO())
    folders = [_script_folder() / "versions", *([versions] if versions else [])]
    for name, value in (
        ("script_location", str(_script_folder())),
        ("path_separator", "newline"),
        ("version_locations", "\n".join(map(str, folders))),
    ):
        config.set_main_option(name, value.replace("%", "%%"))  # % begins an interpolation
    return config


def _script_folder() -> Path:
    installed = _PACKAGE / "migrations"
    return installed if installed.is_dir() else _PACKAGE.parent / "migrations"
