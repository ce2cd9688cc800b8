"""One try to read a file, as a row of docs/formats.md."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

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
