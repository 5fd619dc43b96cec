"""The entry point of `python -m ticketlab` and of the command `ticketlab`: signals, import path, command line."""

import signal
import sys
from pathlib import Path
from types import FrameType


def _terminate(_number: int, _frame: FrameType | None) -> None:
    from ticketlab.errors import TerminatedError

    raise TerminatedError


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is being imported."""
    try:
        from ticketlab import cli
        from ticketlab.cli.output import exit_on_broken_pipe

        signal.signal(signal.SIGTERM, _terminate)  # clean up as for Ctrl-C
        sys.path.append(str(Path.cwd()))  # for --strategy module:name; last, so that it hides nothing installed
        exit_on_broken_pipe()
        cli.main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
