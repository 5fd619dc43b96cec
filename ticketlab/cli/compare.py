"""`ticketlab compare`: what differs between two saved runs, and whether that is a regression."""

from pathlib import Path
from typing import Annotated

import typer

from ticketlab.cli.options import EXIT_WRONG, AsJson
from ticketlab.cli.output import print_json, show, working
from ticketlab.errors import InvalidInputError


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the run to go by.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="That of the one to compare.", show_default=False)],
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help="Only this one; repeatable.", show_default="all that both have"),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Exit 1 where a strategy surely sells less than X times as fast as in the first run, or is newly "
            "found wrong.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what differs between two saved runs, by how much, and how surely; needs no PostgreSQL.

    A verdict that changed is told first. Ratios are the second run's to the first's, with 95 % intervals over the
    repeats: run at least three a side, on the same machine, soon after one another.

    With --fail-below it is a gate for continuous integration: a slower run fails where the whole interval is below X,
    or where there is no interval the ratio itself.

    Example: ticketlab compare runs/20261122-141500-hot-event runs/20261122-142000-hot-event

    Example: ticketlab compare runs/20261122-141500-main runs/20261122-142000-change -s atomic --fail-below 0.9
    """
    from ticketlab import publish
    from ticketlab.report.compare import check_limit, inconclusive, regressions, versus
    from ticketlab.runs.run import Run

    if fail_below is not None:
        check_limit(fail_below)
    if first.resolve() == second.resolve():
        raise InvalidInputError(f"Both runs are {first}. Name two different ones: what is compared is the second.")
    runs = [Run(first), Run(second)]
    with working("Judging both runs", quiet=as_json):
        both = versus(publish.report_of(runs), strategies=strategy or ())
        failed = [] if fail_below is None else regressions(both, below=fail_below)
    if as_json:
        from ticketlab.report.compare.output import as_json as plain

        unsure = [] if fail_below is None else inconclusive(both, below=fail_below)
        print_json(plain(both) | {"fail_below": fail_below, "failed": failed, "not_surely": unsure})
    else:
        from ticketlab.report.compare import output

        said = () if fail_below is None else output.gate(both, failed, below=fail_below)
        show(*output.printed(both), *said)
    raise typer.Exit(EXIT_WRONG if failed else 0)
