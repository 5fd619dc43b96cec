"""Folders of results: a new one is created, and errors of reading and writing name the folder. Knows no contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from ticketlab.errors import InvalidInputError


@contextmanager
def wrapping_read_errors(folder: Path) -> Iterator[None]:
    """Around reading saved files: turns any error of their contents into one that names the folder."""
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(
            f"The files in {folder} cannot be read as those of a run: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def wrapping_write_errors(folder: Path) -> Iterator[None]:
    """Around writing files: turns an error of the operating system into one that names the folder."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"Nothing can be written to {folder}: {error.strerror}.") from error


def new(out: Path, name: str) -> Path:
    """Create a folder of this name in `out`; with a number appended where the name is taken.

    Raises:
        InvalidInputError: it cannot be created.
    """
    number, folder = 1, out / name
    try:
        out.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
            except FileExistsError:  # of another run of the same second
                number += 1
                folder = out / f"{name}-{number}"
            else:
                return folder
    except OSError as error:
        raise InvalidInputError(
            f"The run cannot be saved in {out}: {error.strerror}. Name a folder with --out."
        ) from error
