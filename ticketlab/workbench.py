"""JupyterLab on a folder of the user's that holds a copy of the notebooks. Overwrites nothing that lies there."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ticketlab.errors import InvalidInputError

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """What came of laying out the notebooks: names of files, relative to the folder."""

    copied: tuple[str, ...]
    kept: tuple[str, ...]
    """Those that lay there already and are not as they were shipped: the user's own work, or of another version."""


def shipped() -> Path:
    """The folder of the notebooks that came with this installation, or lie in this checkout."""
    installed = _PACKAGE / "notebooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "notebooks"


def lay_out(folder: Path) -> LaidOut:
    """Copy into `folder` those of the notebooks, their index and its pictures that are not there yet.

    Raises:
        InvalidInputError: the folder can not be made or written.
    """
    copied, kept = [], []
    try:
        for source in _files():
            name = str(source.relative_to(shipped()))
            target = folder / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                copied.append(name)
            elif target.read_bytes() != source.read_bytes():
                kept.append(name)
    except OSError as error:
        raise InvalidInputError(
            f"The notebooks can not be copied to {folder}: {error.strerror}. Name another folder."
        ) from error
    return LaidOut(copied=tuple(copied), kept=tuple(kept))


def open_jupyterlab(folder: Path, *, port: int, browser: bool) -> NoReturn:
    """Become JupyterLab on `folder`: this process is replaced, so that signals and its end are JupyterLab's own."""
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", "--ip=127.0.0.1"]
    words += [f"--port={port}"] + ([] if browser else ["--no-browser"])
    if os.geteuid() == 0:
        words.append("--allow-root")  # it listens on this machine alone, and asks for its token
    # The kernel of this installation goes before one of the same name that the user has elsewhere.
    os.execve(sys.executable, words, os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"})  # noqa: S606 - ours


def _files() -> list[Path]:
    """What is shipped: not what a run or JupyterLab left beside it in a checkout."""
    return [path for pattern in ("*.ipynb", "README.md", "images/*.png") for path in sorted(shipped().glob(pattern))]
