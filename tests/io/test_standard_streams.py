"""A standard stream that is closed or full, or whose reader has left, stops no work and gives no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell and /dev/full")

WORK = """
import sys
from associative_embedding.io.console import remark, say
from associative_embedding.io.standard_streams import open_streams, output_status
open_streams()
with open(sys.argv[1], "w") as file:
    for number in range(3):
        say(f"line {number}")
        remark(f"remark {number}")
        print("printed")
    print("also printed", file=sys.stderr) if len(sys.argv) > 2 else None
    file.write(f"done {file.fileno()}")
sys.exit(output_status(0))
"""
LOST = "ae: error: standard output cannot be written: No space left on device"


def shell(tmp_path: Path, redirection: str) -> tuple[int, str, str]:
    """Runs `WORK`, checks that it was done, and returns the exit status, the output and the errors."""
    (tmp_path / "work.py").write_text(WORK)
    command = f'"$0" work.py done.txt {redirection}'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, capture_output=True, text=True)
    text = (tmp_path / "done.txt").read_text()
    assert text.startswith("done ")
    assert int(text.split()[1]) > 2  # no file got the number of a closed stream
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirection", "status", "out", "error"),
    [
        ("", 0, 6, 3),
        (">&-", 0, 0, 3),
        ("2>&-", 0, 6, 0),
        ("<&- >&- 2>&-", 0, 0, 0),
        (">/dev/full", 1, 0, 4),
        ("2>/dev/full", 0, 6, 0),
        (">/dev/full 2>/dev/full", 1, 0, 0),
        (">/dev/full 2>&-", 1, 0, 0),
        ("| true", 0, 0, 3),
    ],
)
def test_the_work_is_done(tmp_path: Path, redirection: str, status: int, out: int, error: int) -> None:
    code, output, errors = shell(tmp_path, redirection)
    assert code == status
    assert len(output.splitlines()) == out
    assert len(errors.splitlines()) == error
    assert (errors.splitlines()[-1:] == [LOST]) == (status == 1 and error > 0)
