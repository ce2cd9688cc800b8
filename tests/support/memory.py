"""Runs code in a process of its own, and measures its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from associative_embedding.apps.cli.allocator import ALLOCATOR

MAIN = "from associative_embedding.apps.cli.main import main\nstatus = main(sys.argv[1:])"
# ru_maxrss would begin with the memory of the process that starts this one, VmHWM begins anew
PROGRAM = """
import sys
status = 0
{code}
try:
    lines = open("/proc/self/status").read().splitlines()
except OSError:
    lines = []
kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM")), 0)
print(f"peak {{kilobytes}}", file=sys.stderr)
sys.exit(status)
"""


@dataclass(frozen=True)
class Measured:
    """How a process ended.

    Attributes:
        status: of its exit.
        output: what it printed.
        errors: the lines on its error output.
        megabytes: its peak memory; 0 where the system does not tell.
    """

    status: int
    output: str
    errors: list[str]
    megabytes: float


def measured(code: str, *arguments: object, folder: Path | None = None) -> Measured:
    """Runs Python code, which may set `status`; the arguments are in ``sys.argv[1:]``.

    Without the settings of malloc that ``ae serve`` leaves in the environment, also in a test: freed memory would stay
    with the process, and the next damaged image would fill all that it states.
    """
    command = [sys.executable, "-c", PROGRAM.format(code=code), *map(str, arguments)]
    plain = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    environment = {**plain, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=240)
    *errors, peak = result.stderr.splitlines() or [""]
    assert peak.startswith("peak "), result.stderr
    return Measured(result.returncode, result.stdout, errors, int(peak.split()[1]) / 1024)


def measured_command(*arguments: object) -> Measured:
    """Runs ``ae``."""
    return measured(MAIN, *arguments)
