"""Who may import whom, and that the package stays light until something is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import associative_embedding as package

SOURCE = Path(package.__file__).parent
NAME = package.__name__
LAYERS = [
    "version errors extras types skeleton geometry masks rle ranges settings config device ahead",
    "losses host detect grouping modes linking smoothing views tiles",
    "models data metrics strokes draw draw_masks draw_tags image_io "
    "coco_json matlab download output movenet video_io video_results window "
    "storage image_list result_rows",
    "tasks",
    "checkpoint exported export runtime optimisation interrupt journal training_state training_data recipe_file "
    "train evaluate trial compare truth protocols predict refine loading crop_accuracy mask_accuracy mask_trial "
    "track_trial ray_job ray_worker run_ray run_predict run_video run_evaluate server foreign convert hub neighbours "
    "describe",
    "cli cli_data cli_options cli_run __main__",
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules.split()}
LATE = {"types": {"skeleton", "masks", "draw", "output"}}  # inside methods, or for type checkers only
SUBPACKAGES = {"models", "data", "metrics", "tasks", "neighbours"}


def modules() -> dict[str, Path]:
    """Dotted name within the package -> file, without the package's own `__init__`."""
    files = {path.relative_to(SOURCE).with_suffix(""): path for path in sorted(SOURCE.rglob("*.py"))}
    names = {".".join(name.parts).removesuffix(".__init__"): path for name, path in files.items()}
    return {name: path for name, path in names.items() if name != "__init__"}


def own_imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Modules of this package that a file imports, and whether it does so when it is itself imported."""
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found = [f"{node.module}.{alias.name}" if node.module == NAME else str(node.module) for alias in node.names]
        else:
            continue
        for name in found:
            if name.split(".")[0] == NAME and name != NAME:
                yield name.removeprefix(NAME + "."), id(node) not in late


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - seen
        seen |= new
        todo += new
    return seen


IMPORTS = {name: list(own_imports(ast.parse(path.read_text(encoding="utf-8")))) for name, path in modules().items()}


def test_every_module_has_a_place() -> None:
    homeless = {name.split(".")[0] for name in IMPORTS} - set(LEVEL)
    assert not homeless, f"add {', '.join(sorted(homeless))} to LAYERS, where it may be imported from"
    assert {name.split(".")[0] for name in IMPORTS if "." in name} == SUBPACKAGES


@pytest.mark.parametrize("module", IMPORTS)
def test_a_module_imports_only_from_its_left(module: str) -> None:
    head = module.split(".")[0]
    wrong = []
    for imported, at_once in IMPORTS[module]:
        other = imported.split(".")[0]
        allowed = other == "version" or other == head or LEVEL[other] <= LEVEL[head]
        if other in LATE.get(module, set()):
            allowed = not at_once
        if not allowed:
            wrong.append(imported)
    assert not wrong, f"{module} imports {', '.join(wrong)}"


@pytest.mark.parametrize("name", ["models", "data", "metrics"])
def test_siblings_do_not_know_each_other(name: str) -> None:
    """Models, data and metrics stand beside each other: none needs another."""
    others = SUBPACKAGES - {name}
    known = {
        imported.split(".")[0] for module in IMPORTS if module.split(".")[0] == name for imported, _ in IMPORTS[module]
    }
    assert not known & others


def test_no_cycles() -> None:
    graph = {name: {i for i, at_once in found if at_once and i != name} for name, found in IMPORTS.items()}
    assert all(imported in graph for found in graph.values() for imported in found), "an import of an unknown module"
    assert [name for name in graph if name in reachable(graph, name)] == []


@pytest.mark.parametrize("module", ["losses", "detect", "grouping", "modes"])
def test_the_idea_knows_only_the_nouns(module: str) -> None:
    """Losses, detection and grouping know nothing of keypoints, skeletons or settings."""
    assert {imported for imported, _ in IMPORTS[module]} - {"host"} == {"types"}


@pytest.mark.parametrize("name", ["tasks", "models", "checkpoint", "linking", "predict", "refine", "server", "export"])
def test_using_a_model_needs_no_recipe(name: str) -> None:
    """What a model does is said by its own settings."""
    users = [module for module in IMPORTS if module.split(".")[0] == name]
    assert users
    assert [module for module in users if "config" in {imported for imported, _ in IMPORTS[module]}] == []


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_the_package_is_light() -> None:
    heavy = "torch numpy cv2 scipy PIL pycocotools jsonargparse tqdm".split()
    assert run(f"import sys, {NAME}; print([m for m in {heavy} if m in sys.modules])").strip() == "[]"


def test_the_nouns_do_not_import_torch() -> None:
    code = f"import sys, {NAME} as ae; ae.Instances, ae.COCO_17, ae.DecodeConfig; print('torch' in sys.modules)"
    assert run(code).strip() == "False"


def test_version() -> None:
    assert package.__version__ == __import__(f"{NAME}.version", fromlist=["VERSION"]).VERSION


@pytest.mark.parametrize("name", [name for name in package.__all__ if name != "__version__"])
def test_public_names(name: str) -> None:
    value = getattr(package, name)
    assert name in dir(package)
    if not name.isupper() and not name[-1].isdigit():  # constants are described by their type
        documentation = inspect.getdoc(value)
        assert documentation
        assert not documentation.startswith(f"{name}("), "the signature that dataclass writes is no docstring"


def test_public_names_stay_themselves_when_modules_are_imported() -> None:
    """A submodule, once imported, is an attribute of the package: no public name may be called like one."""
    code = f"""
import importlib, {NAME} as ae
before = {{name: getattr(ae, name) for name in ae.__all__}}
for name in {[name for name in modules() if name != "__main__"]}:
    importlib.import_module('{NAME}.' + name)
print([name for name in ae.__all__ if getattr(ae, name) is not before[name]])
"""
    assert run(code).strip() == "[]"


def test_public_names_are_sorted_and_unknown_ones_refused() -> None:
    assert package.__all__[:-1] == sorted(package.__all__[:-1])
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
