"""Everything public is documented: names where they are defined, commands and options where they are asked for."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import shlex
import textwrap
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
import typer

import ticketlab
from ticketlab.cli import app

ROOT = Path(ticketlab.__file__).parent
MODULES = ["ticketlab", *(each.name for each in pkgutil.walk_packages([str(ROOT)], "ticketlab."))]
SECTION = re.compile(r"^(Args|Raises):\n((?:    .*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^    (\*{0,2}[\w.]+):", re.MULTILINE)


def exported():
    """Every name in the `__all__` of the package or of a room, with what it stands for."""
    modules = [importlib.import_module(each) for each in MODULES]
    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in getattr(module, "__all__", ())
        if not isinstance(getattr(module, name), ModuleType)
    }


PUBLIC = exported()
CLASSES = {name: each for name, each in PUBLIC.items() if inspect.isclass(each)}
FUNCTIONS = {name: each for name, each in PUBLIC.items() if inspect.isfunction(each)}


def methods(cls):
    """What a class defines itself and shows: its methods, properties and other descriptors that hold a function."""
    for name, value in vars(cls).items():
        held = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", value)
        if not name.startswith("_") and inspect.isfunction(held):
            yield name, held


def fields(cls):
    """The fields and members that a class shows, each with the text below it, or None."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    for node, below in zip(body, [*body[1:], None], strict=True):
        for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield target.id, text(below)


def text(node):
    """What a statement says that is nothing but a text."""
    return node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None


def test_every_module_says_what_it_is():
    """It begins with a sentence."""
    texts = {name: inspect.getdoc(importlib.import_module(name)) or "" for name in MODULES}
    assert [name for name, told in texts.items() if not re.match(r"[A-Z`].+", told)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_says_what_it_and_its_methods_are(name):
    """Not a text that dataclass or Enum made: one of its own."""
    cls = CLASSES[name]
    own = vars(cls).get("__doc__") or ""
    assert own
    assert not (dataclasses.is_dataclass(cls) and own.startswith(f"{cls.__name__}("))
    assert [method for method, function in methods(cls) if not function.__doc__] == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_of_a_public_class_says_what_it_is(name):
    """In a text below it, or by its name in the text of the class."""
    cls = CLASSES[name]
    told = set(re.findall(r"`(\w+)`", inspect.getdoc(cls) or ""))
    assert [field for field, below in fields(cls) if not below and field not in told] == []


def test_fields_and_members_are_looked_at():
    """What is asserted above is asserted of something."""
    found = {name: len(list(fields(each))) for name, each in CLASSES.items()}
    assert found["ticketlab.Experiment"] == len(dataclasses.fields(ticketlab.Experiment))
    assert found["ticketlab.Cause"] == len(ticketlab.Cause)
    assert issubclass(ticketlab.Cause, Enum)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_it_does(name):
    """In a text of its own."""
    assert FUNCTIONS[name].__doc__


def documented():
    """Every public function, and every method of a public class, with the names of its parameters."""
    for name, function in FUNCTIONS.items():
        yield name, function
    for name, cls in CLASSES.items():
        yield from ((f"{name}.{method}", function) for method, function in methods(cls))


@pytest.mark.parametrize(
    ("name", "function"), list(documented()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_docstring_names_only_what_is_there(name, function):
    """Under Args only parameters, under Raises only exceptions that its module knows."""
    sections = dict(SECTION.findall(f"{inspect.getdoc(function)}\n"))
    parameters = {str(each).split(":")[0] for each in inspect.signature(function).parameters.values()}
    assert set(ENTRY.findall(sections.get("Args", ""))) <= parameters
    for error in ENTRY.findall(sections.get("Raises", "")):
        assert is_error(error, function), f"{name} names {error}"


def is_error(name, function):
    known = vars(importlib.import_module("builtins")) | vars(importlib.import_module("ticketlab.errors"))
    known |= vars(inspect.getmodule(function))
    return inspect.isclass(known.get(name)) and issubclass(known[name], BaseException)


def commands(group, *above):
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join([*above, name]), command


PROGRAM = typer.main.get_command(app)
COMMANDS = dict(commands(PROGRAM))


def examples(command):
    return re.findall(r"^Example: (.+)$", inspect.getdoc(command.callback) or "", re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    """A command has a text, and so has each of its options and arguments."""
    command = COMMANDS[name]
    assert command.help
    assert [each.name for each in command.params if not each.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_can_be_typed(name):
    """Its words are read as they would be when typed, by the command in whose text they stand; nothing is run."""
    told = examples(COMMANDS[name])
    assert told
    for example in told:
        program, *words = shlex.split(example)
        assert program == "ticketlab"
        assert parsed(PROGRAM, words) is COMMANDS[name].callback


def parsed(command, words, above=None):
    """The function that these words would call, once all of them were read."""
    context = command.make_context(command.name, list(words), parent=above)
    if not hasattr(command, "commands"):
        return command.callback
    _, chosen, rest = command.resolve_command(context, [*getattr(context, "_protected_args", ()), *context.args])
    return parsed(chosen, rest, context)
