"""Compares the decoding times of this checkout and of another revision of it.

    python benchmarks/against.py REV [--rounds 5]

``git worktree`` checks the other revision out into a temporary folder. Each round starts one process for each of the
two. Both decode the same maps on one thread with the allocator settings of ``ae``; the order changes from round to
round. The table has medians over the rounds: of the times, and of the ratio of the two times of a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timing import markdown, median_ms

ROOT = Path(__file__).resolve().parents[1]
# people, side of the maps, tag dimensions
CASES = ((1, 128, 1), (5, 128, 1), (30, 128, 1), (100, 128, 1), (30, 128, 2), (30, 256, 1))
Times = dict[str, float]  # case -> milliseconds


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Checks another revision out below `folder`; removes it at the end."""
    place = folder / "other"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def write_scenes(folder: Path) -> None:
    """Writes the maps to decode, drawn as in ``make bench``.

    Both revisions read these files: another revision may draw other maps from the same seed.
    """
    import torch
    from bench import name_of, scene

    for number, case in enumerate(CASES):
        maps = scene(*case)
        torch.save({"name": name_of(*case), "heatmap": maps.heatmap, "tag": maps.tag}, folder / f"{number}.pt")


def decode_scenes(root: Path, folder: Path) -> Times:
    """Returns the times of the package that this process imports; it must be the package below `root`."""
    import numpy as np
    import torch

    # only public names: modules of other revisions have other places
    import associative_embedding as ae

    assert Path(ae.__file__).is_relative_to(root), f"{ae.__file__}: not of {root}"
    torch.set_num_threads(1)
    task = ae.PoseTask(ae.COCO_17)
    times = {}
    for path in sorted(folder.glob("*.pt")):
        case = torch.load(path, weights_only=True)
        maps, side = ae.Maps(case["heatmap"], case["tag"]), 4 * case["heatmap"].shape[-1]
        geometry = ae.ImageGeometry((side, side), (side, side), stride=4, matrix=np.eye(2, 3))
        times[case["name"]] = median_ms(lambda m=maps, g=geometry: task.decode(m, g))
    return times


def times_of(root: Path, scenes: Path) -> Times:
    """Runs `decode_scenes` for the package below `root` in a new process."""
    from associative_embedding.apps.cli.main import ALLOCATOR

    environment = {**os.environ, **ALLOCATOR, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(root), "--decode", str(scenes)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def measure(revision: str, rounds: int) -> list[tuple[Times, Times]]:
    """Returns for each round the times of the other revision and of this checkout."""
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        scenes = Path(name).resolve() / "scenes"
        scenes.mkdir()
        write_scenes(scenes)
        with checked_out(revision, scenes.parent) as other:
            for number in range(rounds):
                order = [other, ROOT] if number % 2 == 0 else [ROOT, other]
                times = {root: times_of(root, scenes) for root in order}
                pairs.append((times[other], times[ROOT]))
    return pairs


def table(pairs: list[tuple[Times, Times]], revision: str) -> str:
    rows = {}
    for case in pairs[0][0]:
        old, new = (statistics.median(pair[side][case] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(after[case] / before[case] for before, after in pairs)
        rows[case] = {revision: f"{old:.1f}", "here": f"{new:.1f}", "ratio": f"{ratio:.2f}"}
    return markdown("milliseconds, median", [revision, "here", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("revision", help="a commit, tag or branch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode", type=Path, default=None, help=argparse.SUPPRESS)  # for the inner processes
    options = parser.parse_args()
    if options.decode:
        print(json.dumps(decode_scenes(Path(options.revision), options.decode)))
    else:
        print(table(measure(options.revision, options.rounds), options.revision))


if __name__ == "__main__":
    main()
