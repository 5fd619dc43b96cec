"""`ticketlab strategies`, `doctor`, `lab`, `migrate` and `completion`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ticketlab.cli.options import EXIT_BAD_INPUT, AsJson, Commands, Url
from ticketlab.cli.output import print_error, print_json, show
from ticketlab.errors import TicketlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from ticketlab.tickets import Database, Strategy


def strategies(as_json: AsJson = False) -> None:
    """List the strategies: how each works, what it costs, and when to take it.

    Those that installed packages announce, as entry points of the group ticketlab.strategies, come last.

    Example: ticketlab strategies
    """
    from ticketlab.tickets.strategies import registry

    family = [*registry().values(), *_announced()]
    if as_json:
        print_json([_as_json(each) for each in family])
    else:
        show(_listed(family))


def _announced() -> "Iterator[Strategy]":
    """Those of packages; what can not be imported is told, and keeps nobody from the others."""
    from ticketlab.tickets.strategies import entry_point_strategies, get

    for name in entry_point_strategies():
        try:
            yield get(name)
        except TicketlabError as error:
            print_error(str(error))


def _listed(family: "Sequence[Strategy]") -> "Table":
    """What each claims, how it works, what it costs, when to take it, in 80 columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in family:
        claims = f"{each.isolation.lower()}{', baskets' if each.basket else ''}"
        name = Text.assemble(each.name, (f"\n{'safe' if each.safe else 'a control'}\n{claims}", "dim"))
        about = (
            each.summary.removeprefix("control: "),
            ("\ncosts  ", "dim"),
            each.cost,
            ("\nwhen   ", "dim"),
            each.when,
        )
        table.add_row(name, Text.assemble(*about))
    return table


def _as_json(strategy: "Strategy") -> dict[str, Any]:
    fields = ("name", "summary", "cost", "when", "safe", "isolation")
    return {field: getattr(strategy, field) for field in fields} | {
        "sells_baskets": strategy.basket is not None,
        "settles": strategy.reconcile_stock is not None,
        "retry": asdict(strategy.retry),
    }


def lab(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where your copies are, or will be.")] = Path(
        "ticketlab-notebooks"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where JupyterLab listens, on this machine only.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser on it.")] = True,
) -> None:
    """Open JupyterLab on a copy of the notebooks in a folder of yours. What lies there is never overwritten.

    Example: ticketlab lab my-experiments
    """
    from ticketlab import jupyter

    laid_out = jupyter.copy_notebooks(folder)
    typer.echo(f"{folder}: {len(laid_out.copied)} files copied")
    if laid_out.kept:
        typer.echo(
            f"Yours were kept: {', '.join(laid_out.kept)}. Rename one, and the next start brings ours beside it."
        )
    jupyter.open_jupyterlab(folder, port=port, browser=browser)


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine offers: Python, packages, container engine, PostgreSQL servers.

    Example: ticketlab doctor --json
    """
    from rich import box
    from rich.table import Column, Table
    from rich.text import Text

    from ticketlab import environment, servers

    machine, findings = environment.describe(), servers.diagnose()
    usable = any(each.found for each in findings if each.name != "cache folder")
    if as_json:
        found = {each.name: {"found": each.found, "detail": each.detail} for each in findings}
        print_json({"environment": machine, "servers": found, "usable": usable})
    else:
        table = Table(
            "what", "", Column("detail", overflow="fold"), box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
        )
        table.add_row("python", _tick(found=True), f"{machine['python']} on {machine['machine']['system']}")
        for package, version in machine["packages"].items():
            table.add_row(package, _tick(found=version != environment.NOT_INSTALLED), version)
        for each in findings:
            table.add_row(each.name, _tick(found=each.found), Text(each.detail))
        show(table, _server_advice(usable=usable))
    raise typer.Exit(0 if usable else EXIT_BAD_INPUT)


def _tick(*, found: bool) -> str:
    return "[green]✓[/]" if found else "[red]✗[/]"


def _server_advice(*, usable: bool) -> str:
    if usable:
        return "`ticketlab run` will find a server."
    return "No server can be started here: install ticketlab again, start a container engine, or pass --url."


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
