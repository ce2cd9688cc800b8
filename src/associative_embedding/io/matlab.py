"""Reads a variable of a MATLAB file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scipy.io import loadmat


def read_matlab(path: str | Path, variable: str, *, plain: bool = False) -> Any:
    """Returns one variable of a MATLAB file (up to version 7).

    Args:
        path: the ``.mat`` file.
        variable: its name in the file.
        plain: structures become dicts, arrays of structures and cells become lists, and an array of one element
            becomes this element.

    Raises:
        ValueError: for a file of another kind or without this variable.
        OSError: when the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            return loadmat(file, simplify_cells=plain, variable_names=[variable])[variable]
        except Exception as error:  # scipy raises errors of many types for a damaged file
            raise ValueError(f"{path}: not a MATLAB file with {variable!r} ({error})") from None
