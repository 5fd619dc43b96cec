"""Runs a notebook in a kernel of this very Python, and leaves nothing of it behind: no process and no file.

Whatever kernels, profiles and start-up scripts a user has installed, none of them has a part in it.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from ticketlab.errors import TicketlabError

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

_ABOVE_PACKAGE: Final = Path(__file__).parents[1]


def execute(notebook: "NotebookNode", *, on_cell: Callable[[int], None] = lambda _number: None) -> None:
    """Run every cell of a notebook, and put what it shows in place.

    Args:
        notebook: of Python; its outputs are written anew.
        on_cell: called before each cell of code with its number, from 1 as it stands in the notebook.

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
            raise TicketlabError(_complaint(reached, error, log)) from error


async def _run(client: "NotebookClient", manager: "AsyncKernelManager", folder: Path, log: Path) -> None:
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
    """This process's variables, with this very ticketlab first, and nothing of how a user starts his own kernels."""
    path = os.pathsep.join([str(_ABOVE_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "IPYTHONDIR": str(folder), "PYTHONSTARTUP": ""}


def _finish(execution: Coroutine[Any, Any, None]) -> None:
    """Wait for a coroutine that runs in a thread; Ctrl-C ends it, and waits until it has cleaned up after itself.

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


def _complaint(reached: int, error: Exception, log: Path) -> str:
    """What went wrong, in a line or two: in which cell, or what the kernel said as it died."""
    if name := getattr(error, "ename", None):
        return f"Cell {reached} of the notebook failed: {name}: {getattr(error, 'evalue', '')}"
    last = log.read_text(errors="replace").strip().rpartition("\n")[2] if log.exists() else ""
    where = f"The kernel died in cell {reached}" if reached else "No kernel could be started"
    return f"{where}: {str(error).strip() or type(error).__name__}" + (f"\nIt said last: {last}" if last else "")
