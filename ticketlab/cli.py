"""The command line: each command parses, calls one function of the lab, and prints.

Exit codes: 0 all is as it should be; 1 a strategy that claims to be safe was found wrong, or a claim of the bench not
proven; 2 bad input, no server, or a report that can not be written;
3 a defect of ticketlab; 130 ended by Ctrl-C. What takes long to import is imported inside the command that needs it,
so that `--help` stays instant.
"""

import json
import os
import signal
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ticketlab.errors import InvalidInputError, TicketlabError
from ticketlab.report.formats import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console, RenderableType

    from ticketlab.bench import HotEvent, Results
    from ticketlab.experiment import Experiment
    from ticketlab.runs import Run
    from ticketlab.tickets import Database

EXIT_WRONG: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_DEFECT: Final = 3
EXIT_INTERRUPTED: Final = 130

app = typer.Typer(
    help="Find out, on a real PostgreSQL, whether a way of selling tickets is right, and how fast it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
migrate = typer.Typer(help="Bring a database to the documented schema, or back.", no_args_is_help=True)
app.add_typer(migrate, name="migrate")
bench = typer.Typer(help="Set the lab beside its peers, on one server, claim by claim proven.", no_args_is_help=True)
app.add_typer(bench, name="bench")


class ServerKind(StrEnum):
    """Where the PostgreSQL comes from."""

    AUTO = "auto"
    EMBEDDED = "embedded"
    CONTAINER = "container"
    EXTERNAL = "external"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
RunFolders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN [RUN…]", help="The folder of a run; several are compared with the first.", show_default=False
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Url = Annotated[
    str | None,
    typer.Option(help="postgresql://user:password@host:port/name, instead of DB_*.", show_default=False),
]

Versions = Annotated[
    Path | None,
    typer.Option(help="A folder with migrations of your own, beside ticketlab's.", show_default=False),
]


@app.command()
def run(
    *,
    strategy: Annotated[list[str] | None, typer.Option("--strategy", "-s", help="Repeatable.")] = None,
    all_strategies: Annotated[
        bool, typer.Option("--all", help="Every strategy there is; with --basket, every one that sells baskets.")
    ] = False,
    buyers: Annotated[str, typer.Option(metavar="N[,N…]", help="Buyers at once; a trial for each number.")] = "16",
    stock: Annotated[
        int | None, typer.Option(help="Seats of an event.", show_default="1000, or too few for --purchases")
    ] = None,
    quantity: Annotated[str, typer.Option(metavar="N|N-M", help="Tickets of a purchase, or a range of them.")] = "1",
    basket: Annotated[
        str, typer.Option(metavar="N|N-M", help="Events of a purchase, bought together or not at all.")
    ] = "1",
    events: Annotated[int, typer.Option(help="Events that are bought from.")] = 1,
    hot: Annotated[float | None, typer.Option(help="Share of purchases that want the first event.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="A trial's longest time.", show_default="4, or 60 with --purchases")
    ] = None,
    purchases: Annotated[int | None, typer.Option(help="Purchases of a trial, all buyers together.")] = None,
    repeats: Annotated[int, typer.Option(help="Trials of each setting.")] = 3,
    warm_up: Annotated[float, typer.Option(help="Seconds of buying elsewhere before a trial.")] = 0.3,
    pool_size: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Connections of the pool; a trial for each number.")
    ] = "20",
    seed: Annotated[int, typer.Option(help="What the buyers want, and the order of the trials.")] = 1,
    server: Annotated[ServerKind, typer.Option(help="Where the PostgreSQL comes from.")] = ServerKind.AUTO,
    url: Url = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A server setting; repeatable.")
    ] = None,
    name: Annotated[str, typer.Option(help="Part of the run folder's name.")] = "hot-event",
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare strategies: hammer purchases from many buyers, check every ticket, measure, and write a report.

    Without options a control that oversells meets three strategies that do not: 16 buyers, one hot event.

    Example: ticketlab run -s pessimistic -s atomic --buyers 4,16,64 --repeats 5
    """
    from ticketlab.experiment import TELLING_FEW, Experiment

    together = _range("--basket", basket)
    names = _all_that_sell(baskets=together != (1, 1)) if all_strategies else strategy or TELLING_FEW
    kind, url = _place(server, url)
    default = Experiment()
    experiment = Experiment(
        name=name,
        strategies=tuple(names),
        buyers=_integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seed=seed,
        seconds=seconds if seconds is not None else default.seconds if purchases is None else 60.0,
        purchases=purchases,
        stock=stock
        if stock is not None
        else default.stock
        if purchases is None
        else max(1, purchases // (2 * max(1, events))),
        quantity=_range("--quantity", quantity),
        basket=together,
        events=events,
        hot=hot,
        warm_up_s=warm_up,
        pool_sizes=_integers("--pool-size", pool_size, separator=","),
        server=kind.value,
        server_settings=dict(_setting(each) for each in setting or ()),
    )
    made = _run(experiment, out=out, url=url, quiet=quiet or as_json)
    if not as_json:
        _show(made)
    written = _write_report_of(made, quiet=quiet or as_json)
    if as_json:
        _print_json(made.as_json() | {"report": str(written) if written else None})
    elif written:
        typer.echo(f"Report: {written}")
    ended = EXIT_INTERRUPTED if made.ended_early else 0
    raise typer.Exit(EXIT_WRONG if made.wrong else ended if written else EXIT_BAD_INPUT)


@app.command()
def check(folder: RunFolder, as_json: AsJson = False) -> None:
    """Judge a saved run again, from what was observed; needs no PostgreSQL.

    The words and verdicts are those of its report; --json has the hash of each trial's history too.

    Example: ticketlab check runs/20261122-141500-hot-event
    """
    from ticketlab import console
    from ticketlab.runs import Run

    made = Run(folder)
    try:
        made.save_judgement()
    except InvalidInputError as error:  # judged all the same: a run may lie where only reading is allowed
        typer.echo(f"Not saved: {error}", err=True)
    if as_json:
        _print_json(made.as_json())
    else:
        _print(console.verdicts(made), "", *console.headline(made), "", *console.faults(made), *console.remarks(made))
    raise typer.Exit(EXIT_WRONG if made.wrong else 0)


@app.command()
def report(
    folders: RunFolders,
    form: Annotated[
        Format, typer.Option("--format", help="html: one page that needs no network. md: for a pull request. json.")
    ] = Format.HTML,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to write it; - is standard output.",
            show_default="report.FORMAT in the run's folder, or beside the folder of the first of several",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the report of a saved run, or of several beside one another, and print where it is; needs no PostgreSQL.

    The verdict comes first, then who is safe, who is fastest, what was lost, how sure that is and how to repeat it.
    Figures of a markdown report are put in a folder beside it; on standard output it has none.

    Example: ticketlab report runs/20261122-141500-hot-event runs/20261122-142000-hot-event
    """
    from ticketlab import publish
    from ticketlab.runs import Run

    runs = [Run(each) for each in folders]
    with _working("Writing the report", quiet=quiet) as on_progress:
        if out == "-":
            done = publish.render(runs, form=form, on_progress=on_progress)
        else:
            place = Path(out) if out else None
            done = str(publish.write(runs, out=place, form=form, on_progress=on_progress))
    typer.echo(done, nl=out != "-")


@app.command()
def strategies(as_json: AsJson = False) -> None:
    """List the strategies: how each works, what it costs, and when to take it."""
    from ticketlab import console
    from ticketlab.tickets.strategies import registry

    if as_json:
        _print_json([console.strategy_as_json(each) for each in registry().values()])
    else:
        _print(console.strategies(registry().values()))


@app.command()
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
    from ticketlab import workbench

    laid_out = workbench.lay_out(folder)
    typer.echo(f"{folder}: {len(laid_out.copied)} files copied")
    if laid_out.kept:
        typer.echo(
            f"Yours were kept: {', '.join(laid_out.kept)}. Rename one, and the next start brings ours beside it."
        )
    workbench.open_jupyterlab(folder, port=port, browser=browser)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine offers: Python, packages, container engine, PostgreSQL servers."""
    from rich.table import Table
    from rich.text import Text

    from ticketlab import environment, servers

    machine, findings = environment.describe(), servers.survey()
    usable = any(each.found for each in findings if each.name != "cache folder")
    if as_json:
        found = {each.name: {"found": each.found, "detail": each.detail} for each in findings}
        _print_json({"environment": machine, "servers": found, "usable": usable})
    else:
        table = Table("what", "", "detail")
        table.add_row("python", _tick(found=True), f"{machine['python']} on {machine['machine']['system']}")
        for package, version in machine["packages"].items():
            table.add_row(package, _tick(found=version != environment.NOT_INSTALLED), version)
        for each in findings:
            table.add_row(each.name, _tick(found=each.found), Text(each.detail))
        _print(table, _server_advice(usable=usable))
    raise typer.Exit(0 if usable else EXIT_BAD_INPUT)


@bench.callback()
def _bench() -> None:
    """Keep `hot-event` a word of its own: a single command would be called without it."""


@bench.command("hot-event")
def hot_event(
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help="Repeatable.", show_default="every one that claims to be safe"),
    ] = None,
    buyers: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Buyers at once; a trial for each number.")
    ] = "1,8,16,32,64,256",
    repeats: Annotated[int, typer.Option(help="Trials of each contender at each number of buyers.")] = 3,
    seconds: Annotated[float, typer.Option(help="A trial's time.")] = 1.0,
    pool_size: Annotated[int, typer.Option(help="Connections of the pool.")] = 20,
    seed: Annotated[int, typer.Option(help="What the buyers want, and the order of the trials.")] = 1,
    server: Annotated[ServerKind, typer.Option(help="Where the PostgreSQL comes from.")] = ServerKind.AUTO,
    url: Url = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Sell one hot event by strategies, by their bare SQL and by pgbench in turn; prove each claim from the ledger.

    Example: ticketlab bench hot-event -s atomic --buyers 1,16,64 --repeats 5
    """
    from ticketlab.bench.hot_event import HotEvent, safe_strategies

    kind, url = _place(server, url)
    asked = HotEvent(
        strategies=tuple(strategy or safe_strategies()),
        buyers=_integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seconds=seconds,
        seed=seed,
        pool_size=pool_size,
        server=kind.value,
    )
    results = _run_bench(asked, url=url, quiet=quiet or as_json)
    if as_json:
        _print_json(results.as_json())
    else:
        _show_bench(results)
    raise typer.Exit(EXIT_WRONG if results.errors else EXIT_INTERRUPTED if results.ended_early else 0)


@migrate.command()
def upgrade(versions: Versions = None, url: Url = None) -> None:
    """Run the migrations that the database does not have yet. Was: npm run migration:run."""
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
    """Write the migration that takes the database to the changed models. Was: npm run migration:generate."""
    from ticketlab.tickets import migrations

    with _database(url) as database:
        written = migrations.generate(database, message, versions=versions)
    typer.echo(written or "The database agrees with the models: there is nothing to migrate.")


@migrate.command()
def revert(versions: Versions = None, url: Url = None) -> None:
    """Take back the last migration, and the data it holds. Was: npm run migration:revert."""
    from ticketlab.tickets import migrations

    with _database(url) as database:
        reverted = migrations.revert(database, versions=versions)
        place = database.settings.address
    typer.echo(f"{place}: " + (f"reverted {reverted}" if reverted else "nothing to revert"))


def main() -> None:
    """The entry point: the application, and every error as a sentence and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it cleans up as for Ctrl-C
    try:
        app()
    except TicketlabError as error:
        _complain("\n".join([str(error), *getattr(error, "__notes__", [])]))
        sys.exit(EXIT_BAD_INPUT)
    except Exception as error:
        if os.environ.get("TICKETLAB_DEBUG"):
            raise
        _complain(
            "\n".join(
                [
                    f"This is a defect of ticketlab: {type(error).__name__}: {error}",
                    *getattr(error, "__notes__", []),
                    "Please report it, with what TICKETLAB_DEBUG=1 shows of it.",
                ]
            )
        )
        sys.exit(EXIT_DEFECT)


def _place(server: ServerKind, url: str | None) -> tuple[ServerKind, str | None]:
    """Which kind of server is meant, and where an external one is: at the URL, else where DB_* say."""
    from ticketlab.settings import Settings

    kind = ServerKind.EXTERNAL if url and server is ServerKind.AUTO else server
    return kind, Settings.load().url if kind is ServerKind.EXTERNAL and url is None else url


def _run(experiment: "Experiment", *, out: Path, url: str | None, quiet: bool) -> "Run":
    from ticketlab import console, lab

    if quiet:
        return lab.run(experiment, out=out, url=url)
    with console.progress(_console(stderr=True)) as on_progress:
        return lab.run(experiment, out=out, url=url, on_progress=on_progress)


def _show(made: "Run") -> None:
    from ticketlab import console

    _print(
        made.server,
        "",
        console.results(made),
        console.legend(made),
        "",
        *console.findings(made),
        "",
    )
    typer.echo(f"Run:    {made.folder}")


def _write_report_of(made: "Run", *, quiet: bool) -> Path | None:
    """The report in the run's folder; None where it can not be made, which is said: the run itself is kept."""
    from ticketlab import publish

    try:
        with _working("Writing the report", quiet=quiet) as on_progress:
            return publish.write([made], on_progress=on_progress)
    except TicketlabError as error:
        _complain(f"No report was written: {error}\nThe run is kept: ticketlab report {made.folder} writes it.")
        return None


@contextmanager
def _working(doing: str, *, quiet: bool) -> "Iterator[Callable[[str], None]]":
    """Say in a line of the terminal what is being done, for as long as it is."""
    if quiet:
        yield lambda _step: None
        return
    with _console(stderr=True).status(doing) as status:
        yield lambda step: status.update(f"{doing}: {step}")


def _run_bench(asked: "HotEvent", *, url: str | None, quiet: bool) -> "Results":
    from ticketlab import bench, console

    if quiet:
        return bench.run(asked, url=url)
    with console.progress(_console(stderr=True)) as on_progress:
        return bench.run(asked, url=url, on_progress=on_progress)


def _show_bench(results: "Results") -> None:
    from ticketlab.bench import tables

    shown = (tables.speeds(results), tables.ratios(results), "", tables.legend(results))
    _print(results.server.why, "", *shown, *tables.remarks(results))


def _database(url: str | None) -> "Database":
    from ticketlab.settings import Settings
    from ticketlab.tickets import Database

    return Database(Settings.from_url(url) if url else Settings.load())


def _all_that_sell(*, baskets: bool) -> list[str]:
    from ticketlab.tickets.strategies import registry

    return [name for name, each in registry().items() if (each.basket if baskets else not each.for_baskets)]


def _integers(option: str, text: str, *, separator: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(separator))
    except ValueError:
        raise InvalidInputError(f"{option} takes whole numbers such as 4 or 4{separator}16, not {text!r}.") from None


def _range(option: str, text: str) -> tuple[int, int]:
    numbers = _integers(option, text, separator="-")
    if len(numbers) > 2:  # noqa: PLR2004 - a range has two ends
        raise InvalidInputError(f"{option} takes a number or a range such as 1-4, not {text!r}.")
    return numbers[0], numbers[-1]


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInputError(f"--set takes NAME=VALUE, such as synchronous_commit=off, not {text!r}.")
    return name, value


def _tick(*, found: bool) -> str:
    return "[green]✓[/]" if found else "[red]✗[/]"


def _server_advice(*, usable: bool) -> str:
    if usable:
        return "`ticketlab run` will find a server."
    return "No server can be started here: install ticketlab again, start a container engine, or pass --url."


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr)


def _print(*parts: "RenderableType") -> None:
    _console().print(*parts, sep="\n", highlight=False)


def _print_json(value: "dict[str, Any] | Iterable[Any]") -> None:
    typer.echo(json.dumps(value, indent=2))


def _complain(text: str) -> None:
    typer.echo(f"Error: {text}", err=True)
