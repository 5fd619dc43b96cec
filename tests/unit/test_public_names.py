import subprocess
import sys

import pytest

import ticketlab


@pytest.mark.parametrize("name", ticketlab.__all__)
def test_every_public_name_can_be_imported(name):
    """What the package lists is there."""
    assert getattr(ticketlab, name).__doc__


def test_a_name_that_is_not_public_is_an_attribute_error():
    """A typing error is told as by any module."""
    with pytest.raises(AttributeError, match="no attribute 'Expriment'"):
        ticketlab.Expriment  # noqa: B018 - the access is what is tested


HEAVY = ("pandas", "sqlalchemy", "matplotlib", "docker", "psycopg", "numpy", "rich", "alembic", "scipy")


def loaded_after(code):
    """Which heavy libraries a process has loaded that ran this code."""
    told = f"\nprint([each for each in {HEAVY} if each in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + code + told], capture_output=True, text=True, check=True
    )
    return done.stderr.strip()


def test_importing_the_package_imports_no_heavy_library():
    """`import ticketlab` loads neither pandas nor SQLAlchemy nor Matplotlib, nor Docker's client."""
    assert loaded_after("import ticketlab, ticketlab.cli") == "[]"


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["completion", "bash"], ["magic"]], ids=" ".join)
def test_what_only_prints_text_imports_no_heavy_library(words):
    """Help, a script and a complaint are there at once: not even what draws tables is loaded for them."""
    code = (
        f"from ticketlab.__main__ import main\nsys.argv = ['ticketlab', *{words}]\ntry: main()\nexcept SystemExit: pass"
    )
    assert loaded_after(code).splitlines()[-1] == "[]"


def test_reading_a_run_loads_no_client_of_a_database():
    """`ticketlab check` and `report` need no PostgreSQL, and do not wait for what talks to one."""
    modules = "console", "notebook", "report_writer", "runs.run", "report.comparison"
    read = f"import {', '.join(f'ticketlab.{each}' for each in modules)}"
    assert loaded_after(read) == "['pandas', 'matplotlib', 'numpy', 'rich']"
