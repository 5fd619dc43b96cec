"""`ticketlab strategies`, `doctor`, `lab`, `migrate` and `completion`: what is installed, and the schema of a database.

Completion must be fast and importing a strategy takes a second, so names are read from the package's files.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

from ticketlab.cli.output import EXIT_BAD_INPUT, AsJson, Commands, DatabaseUrl, print_error, print_json, show
from ticketlab.errors import TicketlabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from ticketlab.tickets import Database, Strategy


_PACKAGE: Final = Path(__file__).parents[1]
_VARIABLE: Final = "_TICKETLAB_COMPLETE"
"""The environment variable by which a shell asks `ticketlab` for completions."""
get_completion_inspect_parameters()  # called for its side effect: Typer registers its shells


class Shell(StrEnum):
    """The shells that have a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell that reads the script.", show_default=False)],
) -> None:
    """Print a script with which the shell completes commands, options and strategy names.

    bash and zsh: put eval "$(ticketlab completion bash)" in .bashrc, or with zsh in .zshrc, after compinit.
    fish: save the script as ~/.config/fish/completions/ticketlab.fish.

    Example: ticketlab completion bash
    """
    application = context.find_root().command
    raise typer.Exit(shell_complete(application, {}, "ticketlab", _VARIABLE, f"source_{shell}"))


def strategy_names() -> list[str]:
    """The names of the strategies, which are those of their files."""
    files = (_PACKAGE / "tickets" / "strategies").glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")


def mutant_names() -> list[str]:
    """The names of the mutants in the calibration."""
    return [mutant["name"] for mutant in _mutants()]


def check_names() -> list[str]:
    """The names of the checks for which the calibration has a mutant."""
    return sorted({mutant["check"] for mutant in _mutants()})


def _mutants() -> list[dict[str, Any]]:
    mutants: list[dict[str, Any]] = json.loads((_PACKAGE / "checks" / "mutation_baseline.json").read_bytes())["mutants"]
    return mutants


def strategies(as_json: AsJson = False) -> None:
    """List the strategies and controls: how each works, what it costs, and when to use it.

    Strategies of other installed packages (entry points of the group ticketlab.strategies) come last.

    Example: ticketlab strategies
    """
    from ticketlab.tickets.strategies import registry

    found = [*registry().values(), *_installed()]
    if as_json:
        print_json([_as_json(each) for each in found])
    else:
        show(_strategy_table(found))


def _installed() -> Iterator[Strategy]:
    """Strategies of other packages; one that cannot be imported is reported, and the others are still listed."""
    from ticketlab.tickets.strategies import entry_point_strategies, get

    for name in entry_point_strategies():
        try:
            yield get(name)
        except TicketlabError as error:
            print_error(str(error))


def _strategy_table(found: Sequence[Strategy]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in found:
        claims = f"{each.isolation.lower()}{', baskets' if each.basket else ''}"
        name = Text.assemble(each.name, (f"\n{'safe' if each.safe else 'control'}\n{claims}", "dim"))
        costs, when = ("\ncosts  ", "dim"), ("\nwhen   ", "dim")
        table.add_row(name, Text.assemble(each.summary.removeprefix("control: "), costs, each.cost, when, each.when))
    return table


def _as_json(strategy: Strategy) -> dict[str, Any]:
    fields = ("name", "summary", "cost", "when", "safe", "isolation")
    return {field: getattr(strategy, field) for field in fields} | {
        "sells_baskets": strategy.basket is not None,
        "settles": strategy.reconcile_stock is not None,
        "retry": asdict(strategy.retry),
    }


def lab(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Folder of your copies of the notebooks.")] = Path(
        "ticketlab-notebooks"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of JupyterLab, on this machine only.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open JupyterLab in a browser.")] = True,
) -> None:
    """Copy the notebooks to a folder and open JupyterLab there. Existing files are never overwritten.

    Example: ticketlab lab my-experiments
    """
    from ticketlab import jupyter

    result = jupyter.copy_notebooks(folder)
    typer.echo(f"{folder}: {len(result.copied)} files copied")
    if result.kept:
        typer.echo(
            f"Your changed files were kept: {', '.join(result.kept)}. To get ours too, rename yours and start again."
        )
    jupyter.open_jupyterlab(folder, port=port, browser=browser)


def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has: Python, packages, a container engine, PostgreSQL servers.

    Example: ticketlab doctor --json
    """
    from rich import box
    from rich.table import Column, Table
    from rich.text import Text

    from ticketlab import environment, servers

    machine, sources = environment.describe(), servers.diagnose()
    usable = any(each.found for each in sources if each.name != "cache folder")
    if as_json:
        found = {each.name: {"found": each.found, "detail": each.detail} for each in sources}
        print_json({"environment": machine, "servers": found, "usable": usable})
    else:
        table = Table(
            "what", "", Column("detail", overflow="fold"), box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
        )
        table.add_row("python", _tick(found=True), f"{machine['python']} on {machine['machine']['system']}")
        for package, version in machine["packages"].items():
            table.add_row(package, _tick(found=version != environment.NOT_INSTALLED), version)
        for each in sources:
            table.add_row(each.name, _tick(found=each.found), Text(each.detail))
        none = "No server can be started here. Install ticketlab again, start a container engine, or pass --url."
        show(table, "`ticketlab run` will find a server." if usable else none)
    raise typer.Exit(0 if usable else EXIT_BAD_INPUT)


def _tick(*, found: bool) -> str:
    return "[green]✓[/]" if found else "[red]✗[/]"


migrate = typer.Typer(
    cls=Commands,
    help="Upgrade or revert the schema of a database, or write a migration.",
    no_args_is_help=True,
)

Versions = Annotated[
    Path | None,
    typer.Option(help="Folder of your own migrations, used in addition to ticketlab's.", show_default=False),
]


@migrate.command()
def upgrade(versions: Versions = None, url: DatabaseUrl = None) -> None:
    """Apply the migrations that the database lacks. Replaces npm run migration:run.

    Example: ticketlab migrate upgrade --url postgresql://app@127.0.0.1:5432/app_db
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        applied = migrations.upgrade(database, versions=versions)
        address = database.settings.address
    typer.echo(f"{address}: " + (f"applied {', '.join(applied)}" if applied else "nothing to apply"))


@migrate.command()
def generate(
    message: Annotated[str, typer.Argument(help="What the migration changes.", show_default=False)],
    versions: Versions = None,
    url: DatabaseUrl = None,
) -> None:
    """Write a migration from the database's schema to the changed models. Replaces npm run migration:generate.

    Example: ticketlab migrate generate "add a venue to events" --versions my-migrations
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        written = migrations.generate(database, message, versions=versions)
    typer.echo(written or "The database matches the models: there is nothing to migrate.")


@migrate.command()
def revert(versions: Versions = None, url: DatabaseUrl = None) -> None:
    """Revert the last migration and drop what it added, with its data. Replaces npm run migration:revert.

    Example: ticketlab migrate revert
    """
    from ticketlab.tickets import migrations

    with _database(url) as database:
        reverted = migrations.revert(database, versions=versions)
        address = database.settings.address
    typer.echo(f"{address}: " + (f"reverted {reverted}" if reverted else "nothing to revert"))


def _database(url: str | None) -> Database:
    from ticketlab.settings import Settings
    from ticketlab.tickets import Database

    return Database(Settings.from_url(url) if url else Settings.load())
