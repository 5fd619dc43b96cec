"""The forms that a report has. Imports nothing: the command line knows them before anything is asked for."""

from enum import StrEnum


class Format(StrEnum):
    """What a report is written as; the value is also how its file's name ends."""

    HTML = "html"
    MD = "md"
    JSON = "json"

    @property
    def mark(self) -> str:
        """What only a report begins with: a file without it is somebody else's, and is not written over."""
        return {"html": "<title>ticketlab: ", "md": "<!-- ticketlab report -->", "json": '"ticketlab_report": '}[self]
