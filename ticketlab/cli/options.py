"""What several commands take: their options' types, and how an option's text is read. Prints nothing."""

from typing import Annotated, Any, Final

import typer

from ticketlab.errors import InvalidInputError

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
