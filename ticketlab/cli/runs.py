"""`ticketlab run`, `check` and `report`: make a run, judge it again, write it up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ticketlab.cli import files, options
from ticketlab.cli.files import EventsFile, RunOrFile, Stock, TicketsFile
from ticketlab.cli.options import (
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
    setting_of,
)
from ticketlab.cli.output import print_error, print_json, show, terminal, working
from ticketlab.cli.shells import strategy_names
from ticketlab.errors import InvalidInputError, TerminatedError, TicketlabError
from ticketlab.report.formats import Format

if TYPE_CHECKING:
    from ticketlab.runs.experiment import Experiment
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
            help="A strategy by its name; of your own module:name or file.py:name. Repeatable.",
            autocompletion=strategy_names,
        ),
    ] = None,
    all_strategies: Annotated[
        bool, typer.Option("--all", help="Every strategy there is; with --basket, every one that sells baskets.")
    ] = False,
    buyers: Annotated[str, typer.Option(metavar="N[,N…]", help="Concurrent buyers; a trial for each number.")] = "16",
    stock: Annotated[
        int | None, typer.Option(help="Seats of an event.", show_default="1000; with --purchases, fewer than they need")
    ] = None,
    quantity: Annotated[str, typer.Option(metavar="N|N-M", help="Tickets of a purchase, or a range of them.")] = "1",
    basket: Annotated[
        str, typer.Option(metavar="N|N-M", help="Events of a purchase, bought together or not at all.")
    ] = "1",
    events: Annotated[int, typer.Option(help="Events that are bought from.")] = 1,
    hot: Annotated[float | None, typer.Option(help="Share of the purchases for the first event, 0 to 1.")] = None,
    refunds: Annotated[float, typer.Option(help="Share of sales that their buyers give back at once.")] = 0.0,
    double_calls: Annotated[
        float | None,
        typer.Option(
            help="Share of purchases whose id is called twice: at once, later, or for something else.",
            show_default="0.02 where a strategy claims that an id buys once, else 0",
        ),
    ] = None,
    max_failures: Annotated[
        float, typer.Option(help="Share of purchases that may fail while seats are left; beyond it: no progress.")
    ] = 0.05,
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
    server: Server = "auto",
    url: Url = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A server setting; repeatable.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND@N",
            help="crash@N, disconnect@N, lose-request@N or lose-reply@N: injected after N purchases; repeatable.",
        ),
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Try it all: quantities, events, baskets, refunds, double calls, faults.")
    ] = False,
    strict: Strict = False,
    name: Annotated[str, typer.Option(help="Part of the run folder's name.")] = "hot-event",
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare strategies: hammer purchases from many buyers, check every ticket, measure, and write a report.

    Without options it runs five safe strategies and one that is known to oversell (the control): 16 buyers, one event.

    Example: ticketlab run -s pessimistic -s atomic --buyers 4,16,64 --repeats 5

    Example: ticketlab run -s shop.py:buy --double-calls 0.1 --fault disconnect@500
    """
    from ticketlab import servers
    from ticketlab.faults.schedule import Fault
    from ticketlab.runs.experiment import DEFAULT_STRATEGIES, Experiment, limits_for_purchases

    together = number_range("--basket", basket)
    names = options.all_that_sell(baskets=together != (1, 1)) if all_strategies else strategy or DEFAULT_STRATEGIES
    place, url = servers.resolve(server, url)
    default = Experiment()
    usual: dict[str, Any] = {"seconds": default.seconds, "stock": default.stock}
    if purchases is not None:
        usual = limits_for_purchases(purchases, events=events)
    experiment = Experiment(
        name=name,
        strategies=tuple(names),
        buyers=integers("--buyers", buyers, separator=","),
        repeats=repeats,
        seed=seed,
        seconds=seconds if seconds is not None else usual["seconds"],
        purchases=purchases,
        stock=stock if stock is not None else usual["stock"],
        quantity=number_range("--quantity", quantity),
        basket=together,
        events=events,
        hot=hot,
        refunds=refunds,
        double_calls=double_calls,
        max_failures=max_failures,
        warm_up_s=warm_up,
        pool_sizes=integers("--pool-size", pool_size, separator=","),
        server=place,
        server_settings=dict(setting_of(each) for each in setting or ()),
        faults=tuple(Fault.parse(each) for each in fault or ()),
    )
    if thorough:
        experiment = options.thorough(experiment, given=given_options(context))
    try:
        made = _run(experiment, out=out, url=url, quiet=quiet or as_json)
    except KeyboardInterrupt as error:
        reasons = [*error.args, *getattr(error, "__notes__", [])]
        if not (reasons or isinstance(error, TerminatedError)):
            raise
        print_error("\n".join(["The run was ended at once.", *reasons]))
        raise typer.Exit(EXIT_INTERRUPTED) from error
    try:
        written = _publish(made, as_json=as_json, quiet=quiet)
    except KeyboardInterrupt as error:
        print_error(f"Interrupted. The run is kept: ticketlab report {made.folder} writes its report.")
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
    """Judge a saved run again, or a history made by others, from what was observed; needs no PostgreSQL.

    Of a run the words and verdicts are those of its report; --json has the hash of each trial's history too.

    A history of others has a row an operation, with the columns buyer, event,
    quantity, purchase_id, invoked_ns, completed_ns, outcome (sold, sold_out,
    conflict, failed, unavailable, unknown; of a refund refunded), and where
    known kind, cause, version, available. Every fault of a file is named.
    Without --tickets only what a history tells by itself is judged.

    Example: ticketlab check runs/20261122-141500-hot-event

    Example: ticketlab check orders.csv --stock 100 --tickets tickets.csv
    """
    if files.is_file(source):
        files.check(source, stock=stock, events=events, tickets=tickets, as_json=as_json, strict=strict)
    elif stock is not None or events or tickets:
        raise InvalidInputError(f"--stock, --events and --tickets go with a .csv or .parquet file, not with {source}.")
    else:
        _check_run(source, as_json=as_json, strict=strict)


def _check_run(folder: Path, *, as_json: bool, strict: bool) -> None:
    from ticketlab import console
    from ticketlab.runs.run import Run

    made = Run(folder)
    try:
        made.save_judgement()
    except InvalidInputError as error:  # judged all the same: a run may lie where only reading is allowed
        typer.echo(f"Not saved: {error}", err=True)
    if as_json:
        print_json(made.as_json())
    else:
        show(console.verdicts(made), "", *console.headline(made), "", *console.violations(made), *console.notes(made))
    raise typer.Exit(EXIT_WRONG if _fails(made, strict=strict) else 0)


def _fails(made: "Run", *, strict: bool) -> bool:
    """Whether the exit code is that of a wrong strategy; where only --strict says so, the reasons are printed."""
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
    from ticketlab import publish
    from ticketlab.runs.run import Run

    runs = [Run(each) for each in folders]
    with working("Writing the report", quiet=quiet) as on_progress:
        if out == "-":
            done = publish.render(runs, form=form, on_progress=on_progress)
        else:
            place = Path(out) if out else None
            done = str(publish.write(runs, out=place, form=form, on_progress=on_progress))
    typer.echo(done, nl=out != "-")


def _run(experiment: "Experiment", *, out: Path, url: str | None, quiet: bool) -> "Run":
    from ticketlab import console
    from ticketlab.runs import lab

    if quiet:
        return lab.run(experiment, out=out, url=url)
    with console.progress(terminal(stderr=True)) as on_progress:
        return lab.run(experiment, out=out, url=url, on_progress=on_progress)


def _publish(made: "Run", *, as_json: bool, quiet: bool) -> Path | None:
    """Print the run and write its report; returns where that is, None where it could not be written."""
    if not as_json:
        _show(made)
    written = _write_report_of(made, quiet=quiet or as_json)
    if as_json:
        print_json(made.as_json() | {"report": str(written) if written else None})
    elif written:
        typer.echo(f"Report: {written}")
    return written


def _show(made: "Run") -> None:
    from ticketlab import console

    show(
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
        with working("Writing the report", quiet=quiet) as on_progress:
            return publish.write([made], on_progress=on_progress)
    except TicketlabError as error:
        print_error(f"No report was written: {error}\nThe run is kept: ticketlab report {made.folder} writes it.")
        return None
