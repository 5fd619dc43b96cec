"""`ticketlab compare`: the differences between two saved runs, and whether the second is a regression."""

from pathlib import Path
from typing import Annotated

import typer

from ticketlab.cli.options import EXIT_WRONG, AsJson
from ticketlab.cli.output import print_json, show, working
from ticketlab.errors import InvalidInputError


def compare(
    first: Annotated[
        Path, typer.Argument(metavar="FIRST_RUN", help="Folder of the run to compare with.", show_default=False)
    ],
    second: Annotated[
        Path, typer.Argument(metavar="SECOND_RUN", help="Folder of the run that may be worse.", show_default=False)
    ],
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            help="A strategy to compare; repeatable.",
            show_default="all that both runs have",
        ),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Exit with code 1 if a strategy's sales/s are below X times those of the first run, or if a new "
            "violation was found.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two saved runs: verdicts, sales/s and latency, with confidence intervals. Needs no PostgreSQL.

    Changed verdicts come first. Ratios are second run / first run, with 95 % intervals over the repeats. Use at least
    three repeats per run, on the same machine, shortly after one another.

    --fail-below makes it a gate for continuous integration. A strategy fails if its whole interval is below X; without
    an interval (too few repeats) if the ratio is.

    Example: ticketlab compare runs/20261122-141500-hot-event runs/20261122-142000-hot-event

    Example: ticketlab compare runs/20261122-141500-main runs/20261122-142000-change -s atomic --fail-below 0.9
    """
    from ticketlab import report_writer
    from ticketlab.report.compare import check_limit, inconclusive, output, regressions, versus
    from ticketlab.runs.run import Run

    if fail_below is not None:
        check_limit(fail_below)
    if first.resolve() == second.resolve():
        raise InvalidInputError(f"Both runs are {first}. Name the folders of two different runs.")
    runs = [Run(first), Run(second)]
    with working("Checking both runs", quiet=as_json):
        both = versus(report_writer.report_of(runs), strategies=strategy or ())
        failed = [] if fail_below is None else regressions(both, below=fail_below)
    if as_json:
        unsure = [] if fail_below is None else inconclusive(both, below=fail_below)
        print_json(output.as_json(both) | {"fail_below": fail_below, "failed": failed, "not_surely": unsure})
    else:
        gate = () if fail_below is None else output.gate(both, failed, below=fail_below)
        show(*output.printed(both), *gate)
    raise typer.Exit(EXIT_WRONG if failed else 0)
