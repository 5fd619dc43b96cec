"""What every help text has in common: how commands are listed, and the exit codes. Decides nothing."""

from typing import Any, Final

from typer.core import TyperGroup

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
