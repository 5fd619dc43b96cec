"""Options and help that several commands share, and how the text of an option is read. Prints nothing."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from ticketlab.errors import InvalidInputError

if TYPE_CHECKING:
    from ticketlab.runs.experiment import Experiment


EXIT_CODES: Final = """\b
Exit codes:
  0    all is as it should be
  1    something was found wrong: a strategy that claims to be safe, a history
       of others, a claim of the bench, a mutant not caught, a false alarm, a
       run below its --fail-below
  2    bad input, no server, or a file that can not be read or written
  3    a defect of ticketlab
  130  ended by Ctrl-C
  141  ended because nobody read the output any more
"""


class Commands(TyperGroup):
    """A group whose help lists each command with its whole first sentence: folded where it is long, never cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - Typer keeps their types
        """Write the list of the commands."""
        paragraphs = {name: (each.help or "").split("\n\n")[0] for name, each in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in paragraphs.items()])


def all_that_sell(*, baskets: bool) -> list[str]:
    """The strategies of --all: those that sell baskets, or those whose flaw does not need baskets."""
    from ticketlab.tickets.strategies import entry_point_strategies, get, registry

    family = {name: get(name) for name in (*registry(), *entry_point_strategies())}
    return [name for name, each in family.items() if (each.basket if baskets else not each.basket_only)]


def thorough(experiment: "Experiment", *, given: Collection[str]) -> "Experiment":
    """The experiment of --thorough: all that its strategies and its server can do; `given` options stay."""
    from ticketlab.mutants import get
    from ticketlab.runs.experiment import thorough

    chosen = [get(name) for name in experiment.strategies]
    return thorough(
        experiment,
        given={"faults" if name == "fault" else name for name in given},
        baskets=all(each.basket for each in chosen),
        refunds=not any(each.schema for each in chosen),
    )


EXIT_WRONG: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_DEFECT: Final = 3
EXIT_INTERRUPTED: Final = 130
EXIT_NO_READER: Final = 141
"""As a shell tells of a program that was ended by SIGPIPE, 128 and 13."""


def server_option(*, usual: str | bool = True) -> Any:  # noqa: ANN401  # as typer.Option itself
    """The option --server; `usual` is what its help says of the default, where the parameter has none."""
    return typer.Option(
        "--server",
        metavar="KIND[:VERSION]",
        help="auto, embedded, container or external; the lab's own of a major version too: embedded:15.",
        show_default=usual,
        autocompletion=lambda: ["auto", "embedded", "container", "external"],
    )


Server = Annotated[str, server_option()]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit 1 too where a safe strategy made no progress, a fault did not come or a check decided nothing.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Url = Annotated[
    str | None,
    typer.Option(help="postgresql://user:password@host:port/name, instead of DB_*.", show_default=False),
]


def integers(option: str, text: str, *, separator: str) -> tuple[int, ...]:
    """Whole numbers, one or several."""
    try:
        return tuple(int(part) for part in text.split(separator))
    except ValueError:
        raise InvalidInputError(f"{option} takes whole numbers such as 4 or 4{separator}16, not {text!r}.") from None


def number_range(option: str, text: str) -> tuple[int, int]:
    """The two ends of a range; of a single number itself twice."""
    numbers = integers(option, text, separator="-")
    if len(numbers) > 2:  # noqa: PLR2004 - a range has two ends
        raise InvalidInputError(f"{option} takes a number or a range such as 1-4, not {text!r}.")
    return numbers[0], numbers[-1]


def given_options(context: typer.Context) -> set[str]:
    """The parameters that the command line gives a value to."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def setting_of(text: str) -> tuple[str, str]:
    """A server setting, its name and its value."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInputError(f"--set takes NAME=VALUE, such as synchronous_commit=off, not {text!r}.")
    return name, value
