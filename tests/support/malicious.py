"""A pickle that runs code."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Malicious:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
