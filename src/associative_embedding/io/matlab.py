"""Reading a variable of a MATLAB file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scipy.io import loadmat


def read_matlab(path: str | Path, variable: str, *, plain: bool = False) -> Any:
    """One variable of a MATLAB file (up to version 7).

    Args:
        plain: structures become dicts, and arrays of structures and cells lists; what has one element is that element.

    Raises:
        ValueError: for a file of another kind or without this variable.
        OSError: when it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return loadmat(file, simplify_cells=plain, variable_names=[variable])[variable]
        except Exception as error:  # scipy's reader raises half a dozen kinds on files that are cut short or no MATLAB
            raise ValueError(f"{path}: not a MATLAB file with {variable!r} ({error})") from None
