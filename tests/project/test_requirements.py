"""The files of requirements say what pyproject.toml says: its lower bounds, and a version of all that CI installs."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT

# no lower bound that works with the others': older than numpy 2, or in need of a newer av
NOT_LOWEST = {"openvino", "ray", "pyarrow", "supervision"}


def project(*extras: str) -> dict[str, Requirement]:
    """Package -> what is required of it, by the library and some of its extras."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*table["dependencies"], *(line for extra in extras for line in table["optional-dependencies"][extra])]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def pinned(file: str) -> dict[str, Requirement]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.rstrip(" \\")) for line in lines if line and not line.startswith(("#", " "))]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def version(requirement: Requirement, operator: str) -> list[str]:
    """The numbers behind an operator that occurs once."""
    (found,) = (part.version for part in requirement.specifier if part.operator == operator)
    return found.split(".")


def test_the_lowest_versions_are_those_of_the_project() -> None:
    bounds = {name: row for name, row in project("test").items() if name not in NOT_LOWEST}
    lowest = pinned("requirements-lowest.txt")
    assert lowest.keys() == bounds.keys()
    for name, requirement in bounds.items():
        low = version(requirement, ">=")
        assert version(lowest[name], "==")[: len(low)] == low, f"{lowest[name]} is not the lowest of {requirement}"
        assert lowest[name].extras == requirement.extras


@pytest.mark.parametrize("extra", ["demo", "onnx", "docs", "test", "dev"])  # those that the Makefile installs
def test_the_lock_pins_a_version_that_the_project_admits(extra: str) -> None:
    locked = pinned("requirements.lock")
    for name, requirement in project(extra).items():
        assert name in locked, f"requirements.lock has no {name}"
        chosen = ".".join(version(locked[name], "=="))
        assert requirement.specifier.contains(chosen), f"requirements.lock has {name} {chosen}, not {requirement}"


def test_the_hashed_lock_has_the_same_versions() -> None:
    """But torch: its build is the machine's."""
    locked, hashed = pinned("requirements.lock"), pinned("requirements-hashed.txt")
    assert {name: str(row.specifier) for name, row in hashed.items()} == {
        name: str(row.specifier) for name, row in locked.items() if name != "torch"
    }


def test_every_entry_has_a_hash() -> None:
    lines = (ROOT / "requirements-hashed.txt").read_text(encoding="utf-8").splitlines()
    entries = "\n".join(line for line in lines if not line.startswith("#")).split("==")[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
