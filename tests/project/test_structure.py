"""`benchmarks/structure.py` counts a small made-up package right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

# three floors: top, room, low; room/inner and room/other import each other, one of them inside a function
FILES = {
    "pack/__init__.py": "__version__ = '1'\n",
    "pack/__main__.py": "from . import top\n\ntop.f(1)\n",
    "pack/top.py": "if TYPE_CHECKING:\n    from pack.room.inner import A\n\ndef f(a):\n    pass  # why\n",
    "pack/low.py": "",
    "pack/room/__init__.py": '"""A room."""\n',
    "pack/room/inner.py": "# ----\n# why\nclass A:\n    def g(self, a, *b, c, **d):\n        from . import other\n",
    "pack/room/other.py": "from .inner import A\nfrom .. import low\n",
}
EXPECTED = """\
| | pack |
|---|---|
| entries at the top | 3 |
| floors (longest chain of imports between entries) | 3 |
| circles of imports (files in them) | 1 (2) |
| lines of a file, median / 90th percentile | 4 / 5 |
| lines of a function, median / 90th percentile | 2 / 2 |
| most parameters of a function | 4 |
| comments per 100 lines | 11.8 |
"""


@pytest.mark.parametrize("copies", [1, 2])
def test_the_numbers_of_a_small_package(copies: int, tmp_path: Path) -> None:
    names = ["pack", "copy"][:copies]
    for name in names:
        for file, text in FILES.items():
            path = tmp_path / file.replace("pack/", f"{name}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("pack.", f"{name}."))
    command = [sys.executable, ROOT / "benchmarks" / "structure.py", *names]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for found, expected in zip(printed.splitlines()[2:], EXPECTED.splitlines()[2:], strict=True):
        cells = expected.strip("|").split("|")
        assert found == f"|{cells[0]}|" + f"{cells[1]}|" * copies
