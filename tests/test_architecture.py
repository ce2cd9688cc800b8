"""The house: its rooms, the order of imports, what stays light, and which names are public."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import associative_embedding as package
from support.paths import ROOT

SOURCE = Path(package.__file__).parent
NAME = package.__name__
FILES = sorted(SOURCE.rglob("*.py"))
PUBLIC = (
    "COCO_17 CROWDPOSE_14 Clip DecodeConfig Detections Groups ImageGeometry Instances LSP_14 LinkConfig MPII_16 "
    "Maps ModelInfo Network Options PoseTask Predictor Reading Recipe Refiner Sample SinglePersonTask Skeleton "
    "TagSamples Target Tracker build_network draw_instances evaluate_keypoints focal_loss group_sequentially load "
    "load_model mse_loss read_image save_model tag_distance tag_loss __version__"
).split()


def module_names() -> list[str]:
    parts = [path.relative_to(SOURCE.parent).with_suffix("").parts for path in FILES]
    return [".".join(part).removesuffix(".__init__") for part in parts]


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}", node


def test_the_order_of_imports_is_kept_and_there_is_no_circle() -> None:
    """The contract is in pyproject.toml; it also fails for a room that it does not name."""
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_house_has_at_most_sixteen_rooms() -> None:
    required_by_python = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
    assert len({path.name for path in SOURCE.iterdir()} - required_by_python) <= 16


@pytest.mark.parametrize("module", ["losses", "grouping", "detection.peaks"])
def test_the_idea_knows_only_the_nouns(module: str) -> None:
    """Losses, detection and grouping know nothing of keypoints, skeletons, tasks or settings."""
    code = (
        f"import sys, {NAME}.{module}; "
        f"print(sorted(m.removeprefix('{NAME}.') for m in sys.modules if m.startswith('{NAME}.')))"
    )
    nouns = {f"structures.{name}" for name in ("arrays", "connected", "detections", "map_values", "maps")}
    allowed = {"structures", *nouns, module.split(".")[0]}
    loaded = set(ast.literal_eval(run(code)))
    assert {name for name in loaded if not name.startswith(module.split(".")[0])} <= allowed


def test_no_function_has_more_than_eight_parameters() -> None:
    long = []
    for where, node in functions():
        arguments = node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        count = len(names) + len(arguments.kwonlyargs) + bool(arguments.vararg) + bool(arguments.kwarg)
        if count - (names[:1] in (["self"], ["cls"])) > 8:
            long.append(where)
    assert long == []


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_the_package_is_light() -> None:
    heavy = "torch numpy cv2 scipy PIL pycocotools jsonargparse tqdm".split()
    assert run(f"import sys, {NAME}; print([m for m in {heavy} if m in sys.modules])").strip() == "[]"


def test_the_nouns_do_not_import_torch() -> None:
    code = f"import sys, {NAME} as ae; ae.Instances, ae.COCO_17, ae.DecodeConfig; print('torch' in sys.modules)"
    assert run(code).strip() == "False"


def test_the_public_names_are_these() -> None:
    assert package.__all__ == PUBLIC
    assert package.__all__[:-1] == sorted(package.__all__[:-1])


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_public_names(name: str) -> None:
    value = getattr(package, name)
    assert name in dir(package)
    if not name.isupper() and not name[-1].isdigit():  # constants are described by their type
        documentation = inspect.getdoc(value)
        assert documentation
        assert not documentation.startswith(f"{name}("), "the signature that dataclass writes is no docstring"


@pytest.mark.extra
def test_public_names_stay_themselves_when_modules_are_imported() -> None:
    """A submodule, once imported, is an attribute of the package: no public name may be called like one."""
    before = {name: getattr(package, name) for name in PUBLIC}
    for module in module_names():
        if module != f"{NAME}.__main__":
            importlib.import_module(module)
    assert [name for name in PUBLIC if getattr(package, name) is not before[name]] == []


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
