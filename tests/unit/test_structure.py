"""The package stays small and simple: its figures, as `python tests/support/structure.py` prints them, have limits."""

from statistics import median

import pytest
from structure import Structure, structure

LARGEST_FILE = 400
MOST_MODULES = 166
LONGEST_CHAIN = 11
LONGEST_MEDIAN = 8


@pytest.fixture(scope="module")
def found():
    return structure()


def test_no_file_is_too_long_to_be_read_at_once(found):
    assert {name: lines for name, lines in found.lines.items() if lines > LARGEST_FILE} == {}


def test_no_two_classes_share_a_name(found):
    assert found.repeated_classes == {}


def test_the_package_does_not_grow_in_modules_or_depth(found):
    """Whoever adds a module merges two that are read together, or raises the limit and says why."""
    assert (len(found.modules) <= MOST_MODULES, len(found.longest_chain) <= LONGEST_CHAIN) == (True, True)


def test_functions_are_short(found):
    assert median(found.function_lines) <= LONGEST_MEDIAN


@pytest.fixture
def written(tmp_path):
    """The structure of a package of these modules."""

    def make(**sources):
        for name, source in sources.items():
            (tmp_path / "shop" / f"{name}.py").parent.mkdir(exist_ok=True)
            (tmp_path / "shop" / f"{name}.py").write_text(source)
        return structure(tmp_path / "shop")

    return make


def test_the_chain_follows_imports_of_modules_and_of_their_names(written):
    """What a function imports, or only a type checker, does not count."""
    made = written(
        __init__="",
        a="from shop import b\nimport os\n",
        b="from shop.c import D\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop import a\n",
        c="class D: ...\ndef late():\n    from shop import a\n",
    )
    assert made.longest_chain == ["shop.a", "shop.b", "shop.c"]


def test_repeated_classes_and_lines_of_bodies_are_counted(written):
    """A docstring is no part of a body."""
    made = written(a='class D: ...\ndef f():\n    """Words."""\n    x = 1\n    return x\n', b="class D: ...\n")
    assert isinstance(made, Structure)
    assert (made.repeated_classes, made.function_lines, made.lines) == ({"D": 2}, [2], {"shop.a": 5, "shop.b": 1})
