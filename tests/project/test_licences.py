"""The page of licences names every package that pyproject names, with the licence that its installed version states."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import pytest

from support.paths import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = {
    name.strip(): cells[1].strip()
    for cells in (line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| "))
    if len(cells) == 3
    for name in cells[0].split(",")
}
# what a row may be called in a package's own metadata
ALIASES = {
    "BSD": ("bsd",),
    "MIT": ("mit", "hpnd"),  # of which MIT-CMU is a variant, by which older Pillows went
    "Apache": ("apache",),
    "MPL": ("mpl", "mozilla"),
    "PSF": ("psf", "python software foundation", "matplotlib"),
    "ISC": ("isc",),
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    return sorted({normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in requirements})


def licence_file(name: str) -> str:
    """Returns the beginning of a package's licence; some packages state it nowhere else."""
    files = importlib.metadata.files(name) or []
    return " ".join(file.read_text()[:200].lower() for file in files if file.name.startswith("LICENSE"))


@pytest.mark.parametrize("name", named())
def test_its_licence_is_stated(name: str) -> None:
    assert name in ROWS, f"docs/licences.md has no row for {name}"
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License")]
    fields = [metadata.get("License-Expression"), metadata.get("License"), *classifiers]
    stated = " ".join(f for f in fields if f).lower() or licence_file(name)
    kinds = [kind for kind in ALIASES if ROWS[name].startswith(kind)]
    assert kinds, f"{name}: {ROWS[name]!r} begins with none of {', '.join(ALIASES)}"
    assert any(alias in stated for alias in ALIASES[kinds[0]]), f"{name} states {stated[:200]!r}"
