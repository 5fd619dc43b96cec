"""`ticketlab run`, `check` and `report`: makes a run, checks a saved one again, writes its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ticketlab.cli import files, output
from ticketlab.cli.files import EventsFile, RunOrFile, Stock, TicketsFile
from ticketlab.cli.machine import strategy_names
from ticketlab.cli.output import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_WRONG,
    AsJson,
    Quiet,
    Server,
    Strict,
    Url,
    given_options,
    integers,
    number_range,
    print_error,
    print_json,
    progress,
    setting_of,
    show,
    working,
)
from ticketlab.errors import InvalidInputError, TerminatedError, TicketlabError
from ticketlab.report import Format

if TYPE_CHECKING:
    from ticketlab.runs.run import Run

RunFolders = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="The folder of a run; several are compared with the first.", show_default=False),
]


def run(
    context: typer.Context,
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            help="A strategy to run: its name, or module:name or file.py:name for a function of yours; repeatable.",
            show_default="naive, the control, and five safe strategies",
            autocompletion=strategy_names,
        ),
    ] = None,
    all_strategies: Annotated[
        bool, typer.Option("--all", help="Run every strategy; with --basket, every one that sells baskets.")
    ] = False,
    buyers: Annotated[
        str, typer.Option(metavar="N[,N…]", help="Concurrent buyers; trials are run for each number.")
    ] = "16",
    stock: Annotated[
        int | None,
        typer.Option(help="Seats of each event.", show_default="1000; with --purchases, too few for all of them"),
    ] = None,
    quantity: Annotated[
        str, typer.Option(metavar="N|N-M", help="Tickets per purchase and event: a number or a range.")
    ] = "1",
    basket: Annotated[
        str, typer.Option(metavar="N|N-M", help="Events per purchase, sold together or not at all.")
    ] = "1",
    events: Annotated[int, typer.Option(help="Events on sale.")] = 1,
    hot: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the purchases that request the first event, 0 to 1.",
            show_default="the same for all events",
        ),
    ] = None,
    refunds: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the sales that are refunded at once, 0 to 1.")
    ] = 0.0,
    double_calls: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the purchases whose purchase id is called twice (concurrently, later, or for a different "
            "request), 0 to 1.",
            show_default="0.02 for idempotent strategies, 0 for others",
        ),
    ] = None,
    max_failures: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the purchases that may fail while seats are left, 0 to 1. Above it the result is marked "
            "as no progress.",
        ),
    ] = 0.05,
    seconds: Annotated[
        float | None,
        typer.Option(help="Longest duration of a trial, in seconds.", show_default="4; 60 with --purchases"),
    ] = None,
    purchases: Annotated[
        int | None, typer.Option(help="Purchases per trial, of all buyers together.", show_default="no limit")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Trials per strategy and setting.")] = 3,
    warm_up: Annotated[
        float, typer.Option(help="Duration of purchases on another event before each trial, in seconds; not recorded.")
    ] = 0.3,
    pool_size: Annotated[
        str,
        typer.Option(
            metavar="N[,N…]", help="Connections in the pool that the buyers share; trials are run for each number."
        ),
    ] = "20",
    seed: Annotated[int, typer.Option(help="Random seed of the requests and of the order of the trials.")] = 1,
    server: Server = "auto",
    url: Url = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the PostgreSQL server; repeatable."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND@N",
            help="Inject a fault after N purchases of each trial: crash, disconnect, lose-request or lose-reply; "
            "repeatable.",
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Use quantities, events, baskets, refunds, double calls and faults, where possible.",
        ),
    ] = False,
    strict: Strict = False,
    name: Annotated[str, typer.Option(help="Last part of the name of the run's folder.")] = "hot-event",
    out: Annotated[Path, typer.Option(help="Folder in which the run's folder is created.")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run strategies under concurrent purchases, check every recorded call, measure, and write a report.

    Without options: five safe strategies and one control (naive, which oversells), 16 buyers, one event.

    Example: ticketlab run -s pessimistic -s atomic --buyers 4,16,64 --repeats 5

    Example: ticketlab run -s shop.py:buy --double-calls 0.1 --fault disconnect@500
    """
    from ticketlab import servers
    from ticketlab.faults.schedule import Fault
    from ticketlab.runs import lab
    from ticketlab.runs.experiment import DEFAULT_STRATEGIES, Experiment, limits_for_purchases

    events_each = number_range("--basket", basket)
    names = output.all_strategies(baskets=events_each != (1, 1)) if all_strategies else strategy or DEFAULT_STRATEGIES
    kind, url = servers.resolve(server, url)
    default = Experiment()
    limits: dict[str, Any] = {"seconds": default.seconds, "stock": default.stock}
    if purchases is not None:
        limits = limits_for_purchases(purchases, events=events)
    experiment = Experiment(
        name=name,
        strategies=tuple(names),
        buyers=integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seed=seed,
        seconds=seconds if seconds is not None else limits["seconds"],
        purchases=purchases,
        stock=stock if stock is not None else limits["stock"],
        quantity=number_range("--quantity", quantity),
        basket=events_each,
        events=events,
        hot=hot,
        refunds=refunds,
        double_calls=double_calls,
        max_failures=max_failures,
        warm_up_s=warm_up,
        pool_sizes=integers("--pool-size", pool_size, separator=","),
        server=kind,
        server_settings=dict(setting_of(each) for each in setting or ()),
        faults=tuple(Fault.parse(each) for each in fault or ()),
    )
    if thorough:
        experiment = output.thorough(experiment, given=given_options(context))
    try:
        with progress(quiet=quiet or as_json) as on_progress:
            made = lab.run(experiment, out=out, url=url, on_progress=on_progress)
    except KeyboardInterrupt as error:
        reasons = [*error.args, *getattr(error, "__notes__", [])]
        if not (reasons or isinstance(error, TerminatedError)):
            raise
        print_error("\n".join(["The run was interrupted.", *reasons]))
        raise typer.Exit(EXIT_INTERRUPTED) from error
    try:
        written = _publish(made, as_json=as_json, quiet=quiet)
    except KeyboardInterrupt as error:
        print_error(f"Interrupted. {_saved(made)}")
        raise typer.Exit(EXIT_INTERRUPTED) from error
    ended = EXIT_INTERRUPTED if made.ended_early else 0
    raise typer.Exit(EXIT_WRONG if _fails(made, strict=strict) else ended if written else EXIT_BAD_INPUT)


def check(
    source: RunOrFile,
    *,
    stock: Stock = None,
    events: EventsFile = None,
    tickets: TicketsFile = None,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Check a saved run again, or a history of another program. Needs no PostgreSQL.

    For a run it prints the verdicts of its report; --json adds the hash of each trial's history.

    A history FILE has one row per operation, with the columns buyer, event,
    quantity, purchase_id, invoked_ns, completed_ns and outcome (sold, sold_out,
    conflict, failed, unavailable or unknown; refunded for a refund). Optional
    columns: kind, cause, version, available. All errors in a file are listed.
    Without --tickets, checks that need the tickets at the end are undecided.

    Example: ticketlab check runs/20261122-141500-hot-event

    Example: ticketlab check orders.csv --stock 100 --tickets tickets.csv
    """
    if files.is_file(source):
        files.check(source, stock=stock, events=events, tickets=tickets, as_json=as_json, strict=strict)
    elif stock is not None or events or tickets:
        raise InvalidInputError(f"--stock, --events and --tickets need a .csv or .parquet file; {source} is not one.")
    else:
        _check_run(source, as_json=as_json, strict=strict)


def _check_run(folder: Path, *, as_json: bool, strict: bool) -> None:
    from ticketlab import console
    from ticketlab.runs.run import Run

    saved = Run(folder)
    try:
        saved.save_judgement()
    except InvalidInputError as error:  # the verdicts are printed anyway: the folder may be read-only
        typer.echo(f"The verdicts are not saved: {error}", err=True)
    if as_json:
        print_json(saved.as_json())
    else:
        show(
            console.verdicts(saved), "", *console.headline(saved), "", *console.violations(saved), *console.notes(saved)
        )
    raise typer.Exit(EXIT_WRONG if _fails(saved, strict=strict) else 0)


def _fails(made: Run, *, strict: bool) -> bool:
    """Whether the exit code is EXIT_WRONG; if only because of --strict, prints why."""
    reasons = made.strict_failures if strict else []
    if reasons and not made.failed_strategies:
        print_error("\n".join(["--strict fails this run.", *reasons]))
    return bool(made.failed_strategies or reasons)


def report(
    folders: RunFolders,
    form: Annotated[
        Format,
        typer.Option("--format", help="html: one page that needs no network; md: for a pull request; json; ipynb."),
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
    Figures of a markdown report are put in a folder beside it; on standard output it has none. --format ipynb executes
    the notebook that shows what the page shows; it takes Jupyter: pip install 'ticketlab[notebooks]'.

    Example: ticketlab report runs/20261122-141500-hot-event runs/20261122-142000-hot-event
    """
    from ticketlab import report_writer
    from ticketlab.runs.run import Run

    runs = [Run(each) for each in folders]
    with working("Writing the report", quiet=quiet) as on_progress:
        if out == "-":
            done = report_writer.render(runs, form=form, on_progress=on_progress)
        else:
            place = Path(out) if out else None
            done = str(report_writer.write(runs, out=place, form=form, on_progress=on_progress))
    typer.echo(done, nl=out != "-")


def _publish(made: Run, *, as_json: bool, quiet: bool) -> Path | None:
    """Print the run and write its report; returns the report's path, or None if it could not be written."""
    from ticketlab import console

    if not as_json:
        table = (console.results(made), console.legend(made))
        show(made.server, "", *table, "", *console.findings(made), "")
        typer.echo(f"Run:    {made.folder}")
    written = _write_report_of(made, quiet=quiet or as_json)
    if as_json:
        print_json(made.as_json() | {"report": str(written) if written else None})
    elif written:
        typer.echo(f"Report: {written}")
    return written


def _saved(made: Run) -> str:
    return f"The run is saved in {made.folder}; write its report with: ticketlab report {made.folder}"


def _write_report_of(made: Run, *, quiet: bool) -> Path | None:
    """Write the report into the run's folder; returns None, and prints why, if that is not possible."""
    from ticketlab import report_writer

    try:
        with working("Writing the report", quiet=quiet) as on_progress:
            return report_writer.write([made], on_progress=on_progress)
    except TicketlabError as error:
        print_error(f"No report was written: {error}\n{_saved(made)}")
        return None
