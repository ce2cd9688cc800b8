"""Packages of extras, imported when they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(module: str, extra: str) -> ModuleType:
    """
    Raises:
        ValueError: naming the extra, when it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module:
            raise ValueError(f"{module} cannot be imported: {error}") from None
        raise ValueError(f"this needs {module}: pip install 'associative-embedding[{extra}]'") from None
