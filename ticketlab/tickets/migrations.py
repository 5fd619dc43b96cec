"""The documented migration commands: run, generate, revert. Alembic does the work; this finds its scripts.

The scripts lie in `migrations/` of a checkout, or inside the installed package.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from ticketlab.errors import TicketlabError
from ticketlab.tickets.database import Database

_PACKAGE = Path(__file__).parent.parent


def upgrade(database: Database) -> list[str]:
    """Bring the schema to the newest revision; returns the revisions that were applied, oldest first."""
    before = current(database)
    with database.reachable(), database.engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    scripts = ScriptDirectory.from_config(config)
    return [each.revision for each in scripts.iterate_revisions("head", before or "base")][::-1]


def revert(database: Database) -> str | None:
    """Take back the last revision that was applied; returns it, or None where there was none."""
    last = current(database)
    if last is not None:
        with database.reachable(), database.engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.downgrade(config, "-1")
    return last


def generate(database: Database, message: str, *, folder: Path | None = None) -> Path | None:
    """Write the migration that brings the database to the models; returns its file, or None where nothing differs.

    Args:
        database: one that stands at the newest revision.
        message: what the migration does; it becomes the file's name.
        folder: where to write it; by default among the scripts of the checkout.

    Raises:
        TicketlabError: the database is not at the newest revision, or the folder may not be written.
    """
    with database.reachable(), database.engine.begin() as connection:
        config = _config(folder)
        config.attributes["connection"] = connection
        try:
            written = command.revision(
                config,
                message,
                autogenerate=True,
                version_path=str(folder) if folder else None,
                process_revision_directives=_drop_empty,
            )
        except CommandError as error:
            raise TicketlabError(f"No migration was written: {error} Run `ticketlab migrate upgrade`.") from error
        except OSError as error:
            raise TicketlabError(f"No migration was written: {error}. Name a folder of yours with --to.") from error
    return Path(written.path) if isinstance(written, Script) else None


def current(database: Database) -> str | None:
    """The revision that the database stands at, None before the first."""
    with database.reachable(), database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _drop_empty(_context: MigrationContext, _revision: object, directives: list[MigrationScript]) -> None:
    """Write no migration that changes nothing."""
    if directives[0].upgrade_ops is None or directives[0].upgrade_ops.is_empty():
        directives.clear()


def _config(folder: Path | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_script_folder()))
    config.set_main_option("path_separator", "newline")
    versions = [_script_folder() / "versions", *([folder] if folder else [])]
    config.set_main_option("version_locations", "\n".join(map(str, versions)))
    return config


def _script_folder() -> Path:
    installed = _PACKAGE / "migrations"
    return installed if installed.is_dir() else _PACKAGE.parent / "migrations"
