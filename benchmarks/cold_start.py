"""Times whole processes from their start to the people in one photo, beside the bare imports they could not do without.

    python benchmarks/cold_start.py photo.jpg [--model person] [--rounds 5]

All take turns, so that a busy minute of the machine hits each of them; the first round fills the cache of the graph and
is not counted. Medians of wall-clock seconds on one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CALL = "import sys, associative_embedding as ae; ae.load(sys.argv[2])(sys.argv[1])"


def commands(photo: str, model: str, folder: str) -> dict[str, list[str]]:
    """Returns what is timed: a name -> a command."""
    python = [sys.executable, "-c"]
    ae = str(Path(sys.executable).with_name("ae"))
    return {
        "ae predict PHOTO": [ae, "predict", photo, "--model", model, "--output", folder],
        "import, load, model(PHOTO)": [*python, CALL, photo, model],
        "import numpy, cv2, onnxruntime": [*python, "import numpy, cv2, onnxruntime"],
        "import torch": [*python, "import torch"],
    }


def seconds(command: list[str]) -> float:
    """Returns how long a process takes, on one thread."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo")
    parser.add_argument("--model", default="person")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        timed = commands(options.photo, options.model, folder)
        rounds = [{name: seconds(command) for name, command in timed.items()} for _ in range(options.rounds + 1)]
    for name in timed:
        print(f"{statistics.median(row[name] for row in rounds[1:]):6.2f} s  {name}")


if __name__ == "__main__":
    main()
