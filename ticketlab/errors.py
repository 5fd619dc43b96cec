"""The errors that ticketlab raises. Each says what was tried, what was found and what to do."""

from collections.abc import Mapping


class TicketlabError(Exception):
    """Any failure that ticketlab expects; its text is meant for the user."""


class InvalidInputError(TicketlabError, ValueError):
    """A value that cannot be used. Raised before anything is sent to a database."""


class NotFoundError(TicketlabError, LookupError):
    """Something does not exist: an event, a strategy, a run."""


class StaleVersionError(TicketlabError):
    """An event was changed by another transaction since the version that the caller read."""


class UnavailableError(TicketlabError):
    """No database connection: the server does not answer, or the pool stayed empty."""


class ServerError(TicketlabError):
    """No PostgreSQL server could be started, or it rejected its configuration."""


class OwnCodeError(TicketlabError):
    """The user's code raised an unexpected error: a purchase function, or the code that creates or reads its tables.

    Its notes hold the user's part of the traceback.
    """


class TerminatedError(KeyboardInterrupt):
    """SIGTERM or a second Ctrl-C: stop at once. What was measured is kept; the notes say where."""


def check_values(subject: str, errors: Mapping[str, bool]) -> None:
    """Validate the values of a record.

    Args:
        subject: the beginning of the message, such as "A retry policy needs" or "This history cannot be made:".
        errors: each possible error in words, and whether it applies.

    Raises:
        InvalidInputError: naming every error that applies.
    """
    found = [text for text, applies in errors.items() if applies]
    if found:
        raise InvalidInputError(f"{subject} {'; '.join(found)}.")
