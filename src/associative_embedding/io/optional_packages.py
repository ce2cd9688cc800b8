"""Packages of extras, imported when they are first used."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(module: str, extra: str, what: str = "this") -> ModuleType:
    """A module that is no core dependency.

    Args:
        what: needs it, for the message.

    Raises:
        ValueError: naming the extra when it is not installed, or the reason when it is and cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != top:
            raise ValueError(f"{top} cannot be imported: {error}") from None
        raise ValueError(f"{what} needs {top}: pip install 'associative-embedding[{extra}]'") from None
