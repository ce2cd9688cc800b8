"""One try to read a file, as a row of docs/formats.md."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from associative_embedding.io.console import count_remarks

READ, REMARK, REFUSED, WRONG = "read", "read with a remark", "refused", "WRONG"


@dataclass(frozen=True)
class Trial:
    """What came of a file.

    Attributes:
        kind: of the file, such as "TIFF".
        what: the variant.
        result: `READ`, `REMARK`, `REFUSED` or `WRONG`.
        line: the remark or the reason, without the name of the file.
    """

    kind: str
    what: str
    result: str
    line: str = ""


def attempt(kind: str, what: str, read: Callable[[str], bool]) -> Trial:
    """Tries to read a file.

    Args:
        kind, what: see `Trial`.
        read: reads the file with a name for messages, and returns whether what came is right.
    """
    name, lines = f"{kind} {what}", io.StringIO()
    with contextlib.redirect_stderr(lines):
        try:
            right = read(name)
        except ValueError as error:
            reason = re.sub(r"(damaged or truncated) \(.*", r"\1", str(error))  # the library's words change
            return Trial(kind, what, REFUSED, reason.removeprefix(f"{name}: "))
        count_remarks()  # so that the next file is named again
    line = lines.getvalue().strip().removeprefix(f"ae: {name}: ")
    return Trial(kind, what, (REMARK if line else READ) if right else WRONG, line)


def attempt_in_folder(kind: str, what: str, read: Callable[[Path], bool]) -> Trial:
    """Tries to read files that it writes first.

    Args:
        kind, what: see `Trial`.
        read: writes the files into a folder, reads them, and returns whether what came is right.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as lines:
        try:
            result = READ if read(Path(folder)) else WRONG
        except ValueError as error:
            result, reason = REFUSED, str(error)
        said = [line.removeprefix("ae: ") for line in lines.getvalue().splitlines()]
    count_remarks()  # so that the next file is named again
    if result == REFUSED:
        said = [reason]
    # A message begins with the file, which the row names.
    texts = [re.sub(rf"^{re.escape(folder)}\S*: ", "", line).replace(f"{folder}/", "") for line in said]
    texts = [text.replace(folder, "the folder") for text in texts]
    return Trial(kind, what, REMARK if result == READ and said else result, "; ".join(texts).replace("|", "\\|"))
