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


def test_importing_the_package_imports_no_heavy_library():
    """`import ticketlab` loads neither pandas nor SQLAlchemy nor Matplotlib, nor Docker's client."""
    heavy = ("pandas", "sqlalchemy", "matplotlib", "docker", "psycopg", "pydantic")
    code = f"import sys, ticketlab, ticketlab.cli; print([each for each in {heavy} if each in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
