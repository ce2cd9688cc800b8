"""Runs commands of ``ae`` in a process that reports every program it starts and every module it takes from a folder.

The folder has a module `PAYLOAD`, which writes a file when it is imported, and is on the path of Python: what a file
names would be found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAYLOAD = "payload"  # the module; its class is `Payload`
PROOF = "proof"  # the file that it writes, beside it
SOURCE = f"""
import pathlib
pathlib.Path(__file__).with_name({PROOF!r}).touch()
class Payload:
    def __init__(self, *args, **kwargs): pass
"""
# Python's audit hooks see all of this, also from C: https://docs.python.org/3/library/audit_events.html
WATCH = f"""
import json, sys
STARTS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "os.startfile")
seen = []
def watch(event, arguments):
    if event in STARTS or (event == "import" and arguments[0].partition(".")[0] == {PAYLOAD!r}):
        seen.append(event + " " + repr(arguments[:2])[:200])
from associative_embedding.apps.cli.main import main
import platform, torch  # both start programs of their own, before the watch begins
platform.processor()
sys.addaudithook(watch)
statuses = []
for arguments in json.loads(sys.argv[1]):
    try:
        statuses.append(main(arguments))
    except SystemExit as end:  # of --help and --print_config
        statuses.append(end.code or 0)
print(json.dumps([statuses, seen]))
"""


@dataclass(frozen=True)
class Watched:
    """What came of the commands.

    Attributes:
        statuses: the exit status of each command.
        lines: of the error output, of all commands.
        started: programs started and modules imported that the test forbids.
    """

    statuses: list[int]
    lines: list[str]
    started: list[str]


def run_watched(folder: Path, *commands: Sequence[object], **environment: str) -> Watched:
    """Runs commands of ``ae`` one after the other, in a folder.

    Args:
        folder: gets the module `PAYLOAD`.
        commands: the arguments after ``ae``.
        environment: variables to set.
    """
    (folder / f"{PAYLOAD}.py").write_text(SOURCE)
    arguments = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", WATCH, arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    statuses, started = json.loads(done.stdout.splitlines()[-1])
    started += [f"the file {path.name}" for path in folder.rglob(f"{PROOF}*")]
    return Watched(statuses, done.stderr.splitlines(), started)
