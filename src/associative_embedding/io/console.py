"""Lines for people."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from tqdm import tqdm


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line for people, clear of a progress bar. That nobody reads on (``| head -1``) stops no work."""
    stream = sys.stdout if file is None else file
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except BrokenPipeError:  # what the stream still holds must go somewhere, or Python complains at its exit
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
