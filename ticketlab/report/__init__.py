"""Frames of measures and verdicts in; figures, sentences and pages out.

Opens no connection and writes no file: a saved run gives the same report again. This module names the forms of a report
and imports nothing, because the command line knows them before anything is asked for.
"""

from enum import StrEnum
from typing import Final

NOTEBOOK_MARK: Final = "ticketlab_report_notebook"
"""In the metadata of the first cell of a notebook that was executed as a report."""


class Format(StrEnum):
    """What a report is written as; the value is also how its file's name ends."""

    HTML = "html"
    MD = "md"
    JSON = "json"
    IPYNB = "ipynb"

    @property
    def mark(self) -> str:
        """What only a report begins with: a file without it is somebody else's, and is not written over."""
        return {
            "html": "<title>ticketlab: ",
            "md": "<!-- ticketlab report -->",
            "json": '"ticketlab_report": ',
            "ipynb": f'"{NOTEBOOK_MARK}": ',
        }[self]
