"""Measures the package's own code: modules, lines, imports, names and functions. Reads the sources, imports nothing.

`python tests/support/structure.py` prints the figures; `tests/unit/test_structure.py` holds them to their limits.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parents[2] / "ticketlab"


@dataclass(frozen=True, kw_only=True)
class Structure:
    """The modules of a package: their dotted names, each with its source file."""

    modules: dict[str, Path]

    @cached_property
    def lines(self) -> dict[str, int]:
        """Lines of each file, blank lines and comments included."""
        return {name: len(path.read_text().splitlines()) for name, path in self.modules.items()}

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """The modules of the package that each module imports when it is imported itself."""
        return {name: set(self._imported(name)) - {name} for name in self.modules}

    @cached_property
    def longest_chain(self) -> list[str]:
        """The longest path along imports, importer first."""

        @cache
        def chain(name: str) -> tuple[str, ...]:
            return (name, *max((chain(each) for each in sorted(self.imports[name])), key=len, default=()))

        return list(max((chain(name) for name in self.modules), key=len))

    @cached_property
    def repeated_classes(self) -> dict[str, int]:
        """Names that more than one class has, with their counts."""
        names = Counter(
            node.name for tree in self._trees.values() for node in tree.body if isinstance(node, ast.ClassDef)
        )
        return {name: count for name, count in names.items() if count > 1}

    @cached_property
    def function_lines(self) -> list[int]:
        """Lines of each function's body, its docstring apart."""
        return [
            _body_lines(node)
            for tree in self._trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    @cached_property
    def _trees(self) -> dict[str, ast.Module]:
        return {name: ast.parse(path.read_text()) for name, path in self.modules.items()}

    def _imported(self, name: str) -> Iterator[str]:
        for node in self._trees[
            name
        ].body:  # what stands in a function or under TYPE_CHECKING is imported later or never
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names if each.name in self.modules)
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{each.name}" for each in node.names]
                yield from (
                    each if each in self.modules else node.module for each in whole if node.module in self.modules
                )


def structure(package: Path = PACKAGE) -> Structure:
    """The structure of the package in this folder."""
    root = package.parent
    parts = {path: path.relative_to(root).with_suffix("").parts for path in sorted(package.rglob("*.py"))}
    return Structure(modules={".".join(each).removesuffix(".__init__"): path for path, each in parts.items()})


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def main() -> None:
    """Print the figures, one a line."""
    found = structure()
    largest = max(found.lines, key=found.lines.get)
    print(f"modules           {len(found.modules)}")
    print(f"lines             {sum(found.lines.values()):,}")
    print(f"largest file      {found.lines[largest]} lines, {largest}")
    print(f"longest chain     {len(found.longest_chain)}: {' > '.join(found.longest_chain)}")
    print(f"repeated classes  {', '.join(found.repeated_classes) or 'none'}")
    print(f"median function   {median(found.function_lines):g} lines")


if __name__ == "__main__":
    main()
