"""Packages that only some features need; each is imported when it is first used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

Runtime = Literal["auto", "torch", "onnx", "openvino"]  # what runs a network; all but torch are optional packages


def need(module: str, extra: str, what: str = "this") -> ModuleType:
    """Imports a module of an optional package.

    Args:
        module: its name, e.g. ``pyarrow.fs``.
        extra: the extra of this package that installs it.
        what: the feature that needs the package, for the error message.

    Raises:
        ValueError: if the package is not installed (the message names the extra), or cannot be imported (the message
            gives the reason).
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.split(".")[0]
        # An installed package that lacks a package of its own must not be reported as missing.
        if error.name is not None and error.name.split(".")[0] != top:
            raise ValueError(f"{top} cannot be imported: {error}") from None
        raise ValueError(f"{what} needs {top}: pip install 'associative-embedding[{extra}]'") from None
