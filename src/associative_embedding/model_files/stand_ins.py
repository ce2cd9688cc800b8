"""Stand-ins for what published checkpoints hold beside tensors: numpy's numbers and arrays, and the logs of mmengine.

A pickle names functions and classes, and torch calls only those on a list (``weights_only=True``). This list has our
own functions under foreign names. They make plain values, and import nothing: numpy's own ones would also take dtypes
whose bytes are pointers.
"""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np

SIMPLE_CODE = re.compile(r"[biufcSU]\d{1,4}")  # dtypes whose bytes are values, not pointers or fields


class DtypeStandIn:
    """In the place of ``numpy.dtype``: the letter and the size of a simple dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not SIMPLE_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"a numpy dtype {code!s:.20}")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Takes the byte order; the rest of numpy's state is of dtypes with fields."""
        self.order = state[1] if state[1] in ("<", ">") else "="

    def read(self, data: bytes) -> Any:
        """Returns ``(N,)`` values of the dtype.

        Raises:
            ValueError: for bytes that are not a whole number of values.
        """
        return np.frombuffer(data, np.dtype(self.order + self.code))


class ArrayStandIn:
    """In the place of ``numpy.ndarray``; `array` has its values, flat."""

    array: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, kind, _, data = state
        self.array = kind.read(data)


class LogStandIn:
    """In the place of ``mmengine.logging.history_buffer.HistoryBuffer``, whose values nobody needs here."""

    def __setstate__(self, state: Any) -> None:
        """Drops the values."""


def scalar(kind: DtypeStandIn, data: bytes) -> bool | int | float | complex | str | bytes:
    """Returns a numpy number or text as Python's own."""
    (value,) = kind.read(data)
    return value.item()  # type: ignore[no-any-return]


def empty_array(*_: Any) -> ArrayStandIn:
    """Returns an array that gets its values later, as a pickle makes one."""
    return ArrayStandIn()


def no_attribute(*_: Any) -> None:
    """In the place of ``getattr``, by which mmengine's logs name their methods: it gives nothing."""


def no_bytes() -> bytes:
    """In the place of ``bytes``, which a pickle calls for an empty array; with a number it would fill the memory."""
    return b""


STAND_INS: list[Any] = [
    (DtypeStandIn, "numpy.dtype"),
    (ArrayStandIn, "numpy.ndarray"),
    *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # numpy 1 and 2
    *((empty_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (LogStandIn, "mmengine.logging.history_buffer.HistoryBuffer"),
    (no_attribute, "builtins.getattr"),
    (no_bytes, "builtins.bytes"),
]
