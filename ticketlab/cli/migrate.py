"""`ticketlab migrate`: the documented migration commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ticketlab.cli.help import Commands
from ticketlab.cli.options import Url

if TYPE_CHECKING:
    from ticketlab.tickets import Database

migrate = typer.Typer(cls=Commands, help="Bring a database to the documented schema, or back.", no_args_is_help=True)

Versions = Annotated[
    Path | None,
    typer.Option(help="A folder with migrations of your own, beside ticketlab's.", show_default=False),
]


@migrate.command()
def upgrade(versions: Versions = None, url: Url = None) -> None:
    """Run the migrations that the database does not have yet. Was: npm run migration:run.

    Example: ticketlab migrate upgrade --url postgresql://app@127.0.0.1:5432/app_db
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        applied = migrations.upgrade(database, versions=versions)
        place = database.settings.address
    typer.echo(f"{place}: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"))


@migrate.command()
def generate(
    message: Annotated[str, typer.Argument(help="What the migration does.", show_default=False)],
    versions: Versions = None,
    url: Url = None,
) -> None:
    """Write the migration that takes the database to the changed models. Was: npm run migration:generate.

    Example: ticketlab migrate generate "add a venue to events" --versions my-migrations
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        written = migrations.generate(database, message, versions=versions)
    typer.echo(written or "The database agrees with the models: there is nothing to migrate.")


@migrate.command()
def revert(versions: Versions = None, url: Url = None) -> None:
    """Take back the last migration, and the data it holds. Was: npm run migration:revert.

    Example: ticketlab migrate revert
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        reverted = migrations.revert(database, versions=versions)
        place = database.settings.address
    typer.echo(f"{place}: " + (f"reverted {reverted}" if reverted else "nothing to revert"))


def _database(url: str | None) -> "Database":
    from ticketlab.settings import Settings
    from ticketlab.tickets import Database

    return Database(Settings.from_url(url) if url else Settings.load())
