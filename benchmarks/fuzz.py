"""Fuzzes each reader of files, decoding, the losses and the requests of the service (tests/support/fuzz_targets.py
names them).

``python benchmarks/fuzz.py TARGET ... [--seconds 60] [--seed 0]``; without a target, all. It changes valid inputs, and
reports what raises another error than one documented line, takes more than 20 s or 1 GB, or ends the process. The
inputs of finds stay in the folder that it names; ``--again FILE`` reads one again. The exit status is 1 after a find.

``--atheris`` (``pip install atheris``) is guided by coverage; what follows goes to libFuzzer.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

START = 60  # seconds until the first input of a worker
PATIENCE = 40  # seconds for one input


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=Path, help="an input to read again")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--atheris", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as `timeout` stops it
    if options.atheris is not None:
        return guided(options.targets[0], options.atheris)
    if options.worker is not None:
        return worker(options.targets[0], options.seed, options.seconds, options.worker)
    from support.fuzz_targets import TARGETS

    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"no target {', '.join(unknown)}; one of {', '.join(TARGETS)}")
    if options.again:
        from support.fuzzing import check

        check(TARGETS[options.targets[0]], options.again.read_bytes())
        return 0
    finds = [fuzz(target, options.seed, options.seconds) for target in options.targets or TARGETS]
    return 1 if any(finds) else 0


def worker(name: str, seed: int, seconds: float, folder: Path) -> int:
    from support.fuzz_targets import TARGETS
    from support.fuzzing import work

    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):  # remarks of the readers, and of the libraries under them
        os.dup2(null, number)
    with open(folder / "runs", "a") as runs:
        print(work(TARGETS[name], seed, seconds, folder), file=runs)
    return 0


def fuzz(name: str, seed: int, seconds: float) -> int:
    """Runs workers until the time is over: one that dies or hangs is a find, and the next one starts.

    Returns:
        the number of finds.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-finds-{name}-"))
    (folder / "runs").touch()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        command = [sys.executable, __file__, name, "--worker", str(folder), "--seed", str(seed), "--seconds", str(left)]
        # A session of its own: a target may start processes.
        process = subprocess.Popen(command, start_new_session=True)
        try:
            status = watched(process, folder / "current")
        finally:  # also when this script is stopped: a worker that hangs would go on for ever
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if status != 0:
            reason = "hang" if status is None else f"end with status {status}"
            (folder / f"find-end-{seed}").write_bytes((folder / "current").read_bytes())
            (folder / f"find-end-{seed}.txt").write_text(f"{reason} (the input may be innocent)")
        seed += 1000
    runs = sum(map(int, (folder / "runs").read_text().split()))
    finds = sorted(folder.glob("find-*.txt"))
    print(f"{name}: {runs} runs, {len(finds)} finds{f' in {folder}' if finds else ''}", flush=True)
    for find in finds:
        print(f"  {find.name}: {find.read_text()[:200]!r}", flush=True)
    return len(finds)


def watched(process: subprocess.Popen[bytes], current: Path) -> int | None:
    """Returns the exit status of a worker; None if its input does not change for a while."""
    changed = time.time() + START
    while process.poll() is None:
        time.sleep(0.2)
        if current.exists():
            changed = max(changed, current.stat().st_mtime)
        if time.time() > changed + PATIENCE:
            return None
    return process.returncode


def guided(name: str, arguments: list[str]) -> int:
    """Runs libFuzzer; it never returns."""
    import atheris

    # libFuzzer gets coverage only from modules that are imported in here.
    with atheris.instrument_imports(include=["associative_embedding"]):
        from support.fuzz_targets import TARGETS
    from support.fuzzing import check

    corpus = Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / str(number)).write_bytes(seed)
    limits = ["-max_len=8192", "-rss_limit_mb=4096", "-timeout=30"]
    atheris.Setup([sys.argv[0], *limits, *arguments, str(corpus)], lambda data: check(TARGETS[name], data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
