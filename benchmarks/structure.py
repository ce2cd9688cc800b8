"""Prints structural numbers of Python packages as a Markdown table, one column a package.

python benchmarks/structure.py ../old/src/associative_embedding src/associative_embedding
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

# Python requires these at the top of a package: neither an entry nor a floor
REQUIRED = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}
Graph, Function = dict[str, set[str]], ast.FunctionDef | ast.AsyncFunctionDef


def imports(package: Path) -> Graph:
    """Returns the modules of the package that each of its modules imports, inside functions and TYPE_CHECKING too."""
    names = {path: path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")}
    modules = {path: ".".join(parts).removesuffix(".__init__") for path, parts in names.items()}
    graph = {}
    for path, module in modules.items():
        # a relative import starts at the folder, also in its __init__.py
        folder = names[path][:-1]
        graph[module] = set(imported(ast.parse(path.read_text(encoding="utf-8")), folder, set(modules.values())))
        graph[module].discard(module)
    return graph


def imported(tree: ast.Module, folder: tuple[str, ...], modules: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from modules & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # the first dot is the folder itself, each further dot the folder above
            start = folder[: len(folder) - node.level + 1] if node.level else ()
            source = ".".join([*start, *filter(None, [node.module])])
            # `from folder import module` imports the module; `from module import name` the one that defines the name
            yield from modules & {f"{source}.{alias.name}" for alias in node.names} or modules & {source}


def circles(graph: Graph) -> set[frozenset[str]]:
    """Returns the groups of nodes that import each other, directly or through others."""
    reached = {node: set[str]() for node in graph}
    for node, found in reached.items():
        todo = [node]
        while todo:
            new = graph[todo.pop()] - found
            found |= new
            todo += new
    return {frozenset(b for b in found if a in reached[b]) for a, found in reached.items() if a in found}


def floors(graph: Graph) -> int:
    """Returns the longest chain of imports between the entries at the top; entries in a circle share one floor."""
    between: Graph = {}
    for module, names in graph.items():
        entry, *_ = module.split(".")[1:] or ["__init__"]
        if f"{entry}.py" not in REQUIRED:
            between.setdefault(entry, set()).update({name.split(".")[1] for name in names if "." in name} - {entry})
    floor_of = {entry: frozenset([entry]) for entry in between}
    floor_of |= {entry: circle for circle in circles(between) for entry in circle}
    heights: dict[frozenset[str], int] = {}

    def height(floor: frozenset[str]) -> int:
        if floor not in heights:
            below = {floor_of[name] for entry in floor for name in between[entry]} - {floor}
            heights[floor] = 1 + max(map(height, below), default=0)
        return heights[floor]

    return max(map(height, floor_of.values()), default=0)


def parameters(function: Function) -> int:
    a = function.args
    names = [argument.arg for argument in (*a.posonlyargs, *a.args)]
    return len(names) + len(a.kwonlyargs) + bool(a.vararg) + bool(a.kwarg) - (names[:1] in (["self"], ["cls"]))


def comments(text: str) -> int:
    """Counts comments; banners such as ``# ----`` explain nothing and do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type == tokenize.COMMENT and not t.string.lstrip("# ").startswith(("--", "==")) for t in tokens)


def spread(lengths: list[int]) -> str:
    return f"{statistics.median(lengths):.0f} / {statistics.quantiles(lengths, n=10, method='inclusive')[-1]:.0f}"


def measure(package: Path) -> dict[str, str]:
    """Returns the numbers of one package by their names; the package needs two files and two functions."""
    texts = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    lines = [len(text.splitlines()) for text in texts]
    functions = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    groups = circles(graph := imports(package))
    return {
        "entries at the top": str(len({path.name for path in package.iterdir()} - REQUIRED)),
        "floors (longest chain of imports between entries)": str(floors(graph)),
        "circles of imports (files in them)": f"{len(groups)} ({sum(map(len, groups))})",
        # a file of one line is an __init__.py, which is there for Python only
        "lines of a file, median / 90th percentile": spread([n for n in lines if n > 1]),
        "lines of a function, median / 90th percentile": spread([f.end_lineno - f.lineno + 1 for f in functions]),
        "most parameters of a function": str(max(map(parameters, functions))),
        "comments per 100 lines": f"{100 * sum(map(comments, texts)) / sum(lines):.1f}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", default=["src/associative_embedding"], help="folders with packages")
    columns = {package: measure(Path(package)) for package in parser.parse_args().packages}
    print("| |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for row in zip(*(column.items() for column in columns.values()), strict=True):
        print(f"| {row[0][0]} |", " | ".join(value for _, value in row), "|")
