"""`python -m ticketlab`, and the command `ticketlab`: the way in. Knows nothing of the lab."""

import signal
import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while it is still being imported."""
    try:
        from ticketlab import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
