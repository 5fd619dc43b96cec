"""The errors that ticketlab raises. Each says what was tried, what was found and what to do."""


class TicketlabError(Exception):
    """Any failure that ticketlab foresees; its text is meant for the person at the keyboard."""


class InvalidInputError(TicketlabError, ValueError):
    """A value that can not be used. Raised before anything is sent to a database."""


class NotFoundError(TicketlabError, LookupError):
    """Something that was named does not exist: an event, a strategy, a run."""


class StaleVersionError(TicketlabError):
    """An event was changed by somebody else since the version that the caller has seen."""


class UnavailableError(TicketlabError):
    """No database connection could be had: the server does not answer, or the pool stayed empty."""


class ServerError(TicketlabError):
    """No PostgreSQL server could be brought up, or it refused what it was given."""


class OwnCodeError(TicketlabError):
    """Code of the user's own raised what it should not: a purchase function, or what he lays out and reads tables by.

    Its notes hold his part of the traceback.
    """


class TerminatedError(KeyboardInterrupt):
    """SIGTERM or a second Ctrl-C: all is to end at once. What was measured is kept, and its notes say where."""
