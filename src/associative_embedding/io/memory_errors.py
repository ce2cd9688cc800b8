"""Recognises the errors of all libraries that mean too little memory."""

from __future__ import annotations

import re

# PyTorch, ONNX Runtime, OpenVINO and OpenCV have no common class for it, so the text decides.
NO_MEMORY = re.compile(r"alloc|out of memory|(insufficient|not enough) memory", re.IGNORECASE)


def lacks_memory(error: BaseException) -> bool:
    """Returns whether an error means that a process may not have more memory."""
    if isinstance(error, MemoryError):
        return True
    # These errors, of Python and our own, say by their class that they mean something else.
    return not isinstance(error, (ValueError, TypeError, OSError)) and NO_MEMORY.search(str(error)) is not None
