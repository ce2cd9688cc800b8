"""Recognises the errors of all libraries that mean too little memory, and makes one error of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# PyTorch, ONNX Runtime, OpenVINO and OpenCV have no common class for it, so the text decides.
NO_MEMORY = re.compile(r"alloc|out of memory|(insufficient|not enough) memory", re.IGNORECASE)


def lacks_memory(error: BaseException) -> bool:
    """Returns whether an error means that a process may not have more memory."""
    if isinstance(error, MemoryError):
        return True
    # Errors of our own and of the system say what they mean by their class.
    return not isinstance(error, (ValueError, TypeError, OSError)) and NO_MEMORY.search(str(error)) is not None


@contextmanager
def memory_errors_name(source: str) -> Iterator[None]:
    """Turns the error of any library about too little memory into a MemoryError of one line.

    Args:
        source: the image or file, for the message.

    Raises:
        MemoryError: with the source.
    """
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        start = f"{source or 'image'}: "
        known = isinstance(error, MemoryError) and str(error).startswith(start)
        raise MemoryError(str(error) if known else f"{start}not enough memory for it") from None
