"""Runs notebooks in a kernel, and copies those of the package for JupyterLab."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ticketlab.errors import InvalidInputError, NotFoundError, TicketlabError
from ticketlab.report import NOTEBOOK_MARK
from ticketlab.report.phrases import join_names

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

_ABOVE_PACKAGE: Final = Path(__file__).parents[1]
_EXTRA: Final = ("ipykernel", "jupyter_client", "jupyterlab", "nbclient", "nbformat")
"""The modules that the extra `notebooks` installs."""


def require_jupyter() -> None:
    """Require that Jupyter is installed.

    Raises:
        NotFoundError: it is not; the text says which command installs it.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise NotFoundError(
            f"Notebooks need Jupyter, but {join_names(missing)} is not installed. Install it with "
            "pip install 'ticketlab[notebooks]'."
        )


def execute_report(folders: Sequence[Path], on_progress: Callable[[str], None]) -> str:
    """Execute the report notebook for these runs, and return the text of its file.

    Raises:
        TicketlabError: Jupyter is not installed, or the notebook could not be executed.
    """
    require_jupyter()
    import nbformat

    notebook = nbformat.read(notebooks_dir() / "report.ipynb", as_version=4)
    _give_runs(notebook, folders)
    count = len(notebook.cells)
    execute(notebook, on_cell=lambda number: on_progress(f"report.ipynb, cell {number} of {count}"))
    return str(nbformat.writes(notebook)) + "\n"


def _give_runs(notebook: NotebookNode, folders: Sequence[Path]) -> None:
    """Set the runs in the parameter cell, and mark the first cell: a marked file may be overwritten."""
    first, parameters, *_ = notebook.cells
    first.metadata[NOTEBOOK_MARK] = True
    parameters.source = f"RUNS = {[str(each) for each in folders]}"


def execute(notebook: NotebookNode, *, on_cell: Callable[[int], None] = lambda _number: None) -> None:
    """Execute every cell of a notebook, and store its output in the notebook.

    Args:
        notebook: a Python notebook; its outputs are replaced.
        on_cell: called before each code cell with its number in the notebook, from 1.

    Raises:
        TicketlabError: the kernel did not start, or a cell failed; the text says which.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    reached = 0

    def begin(cell_index: int, **_: object) -> None:
        nonlocal reached
        reached = cell_index + 1
        on_cell(reached)

    with TemporaryDirectory(prefix="ticketlab-kernel-") as folder:
        native = KernelSpecManager(kernel_dirs=[])  # without folders to look in, only that of this Python
        manager = AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=native, connection_file=f"{folder}/connection.json"
        )
        client = NotebookClient(notebook, km=manager, on_cell_execute=begin)
        log = Path(folder, "log")
        try:
            _finish(_run(client, manager, Path(folder), log))
        except (CellExecutionError, RuntimeError, OSError) as error:  # RuntimeError: the kernel died, or never was
            raise TicketlabError(_failure_message(reached, error, log)) from error


async def _run(client: NotebookClient, manager: AsyncKernelManager, folder: Path, log: Path) -> None:
    """Execute, and end the kernel whatever happens."""
    try:
        with log.open("wb") as output:
            await client.async_execute(cwd=str(folder), env=_environment(folder), stdout=output, stderr=output)
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


def _environment(folder: Path) -> dict[str, str]:
    """This process's variables, with this copy of ticketlab first and without the user's IPython start-up files."""
    path = os.pathsep.join([str(_ABOVE_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "IPYTHONDIR": str(folder), "PYTHONSTARTUP": ""}


def _finish(execution: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a thread and wait for it. Ctrl-C cancels it and waits until it has cleaned up.

    In the main thread nbclient takes Ctrl-C for itself and does not pass it on, and in JupyterLab a loop runs there.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        await execution

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(asyncio.run, run())
        try:
            done.result()
        except KeyboardInterrupt:
            loop, task = begun.result()
            loop.call_soon_threadsafe(task.cancel)
            raise


def _failure_message(reached: int, error: Exception, log: Path) -> str:
    """The failed cell and its error, or the last output of a kernel that died."""
    if name := getattr(error, "ename", None):
        return f"Cell {reached} of the notebook failed: {name}: {getattr(error, 'evalue', '')}"
    last = log.read_text(errors="replace").strip().rpartition("\n")[2] if log.exists() else ""
    where = f"The kernel died in cell {reached}" if reached else "No kernel could be started"
    return f"{where}: {str(error).strip() or type(error).__name__}" + (f"\nIt said last: {last}" if last else "")


_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """The result of copying the notebooks: names of files, relative to the folder."""

    copied: tuple[str, ...]
    kept: tuple[str, ...]
    """Files that existed and differ from the shipped ones: the user's own work, or another version."""


def notebooks_dir() -> Path:
    """The folder of the notebooks that came with this installation, or lie in this checkout."""
    installed = _PACKAGE / "notebooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "notebooks"


def copy_notebooks(folder: Path) -> CopyResult:
    """Copy into `folder` those of the notebooks, their index and its pictures that are not there yet.

    Raises:
        InvalidInputError: the folder cannot be created or written.
    """
    copied, kept = [], []
    try:
        for source in _files():
            name = str(source.relative_to(notebooks_dir()))
            target = folder / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                copied.append(name)
            elif target.read_bytes() != source.read_bytes():
                kept.append(name)
    except OSError as error:
        raise InvalidInputError(
            f"The notebooks cannot be copied to {folder}: {error.strerror}. Name another folder."
        ) from error
    return CopyResult(copied=tuple(copied), kept=tuple(kept))


def open_jupyterlab(folder: Path, *, port: int, browser: bool) -> NoReturn:
    """Become JupyterLab on `folder`: this process is replaced, so that signals and its end are JupyterLab's own.

    Raises:
        NotFoundError: Jupyter is not installed.
    """
    require_jupyter()
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", "--ip=127.0.0.1"]
    words += [f"--port={port}"] + ([] if browser else ["--no-browser"])
    if os.geteuid() == 0:
        words.append("--allow-root")  # it listens on this machine alone, and asks for its token
    # The kernel of this installation goes before one of the same name that the user has elsewhere.
    os.execve(sys.executable, words, os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"})  # noqa: S606 - ours


def _files() -> list[Path]:
    """What is shipped: not what a run or JupyterLab left beside it in a checkout."""
    return [
        path for pattern in ("*.ipynb", "README.md", "images/*.png") for path in sorted(notebooks_dir().glob(pattern))
    ]
