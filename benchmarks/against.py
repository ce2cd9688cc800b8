"""Decoding times of this checkout against another revision of it, in alternation.

    python benchmarks/against.py REV [--rounds 5]

The other revision is checked out by ``git worktree`` into a temporary folder. Each round starts a process for each of
the two, which decode the same maps, one thread, by the allocator settings of ``ae``; who goes first changes from round
to round. The times are medians over the rounds, and so is the ratio of a round's two times.
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
    """Another revision's files, as long as they are needed."""
    place = folder / "other"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def write_scenes(folder: Path) -> None:
    """The maps to be decoded, drawn as ``make bench`` does; other revisions may draw others."""
    import torch
    from bench import name_of, scene

    for number, case in enumerate(CASES):
        maps = scene(*case)
        torch.save({"name": name_of(*case), "heatmap": maps.heatmap, "tag": maps.tag}, folder / f"{number}.pt")


def decode_scenes(root: Path, folder: Path) -> Times:
    """The times of the package that this process imports, which must be the one below `root`."""
    import torch

    import associative_embedding
    from associative_embedding.structures.geometry import letterbox
    from associative_embedding.structures.known_skeletons import COCO_17
    from associative_embedding.structures.maps import Maps
    from associative_embedding.tasks.pose.task import PoseTask

    assert Path(associative_embedding.__file__).is_relative_to(root), f"{associative_embedding.__file__}: not of {root}"
    torch.set_num_threads(1)
    task = PoseTask(COCO_17)
    times = {}
    for path in sorted(folder.glob("*.pt")):
        case = torch.load(path, weights_only=True)
        maps, side = Maps(case["heatmap"], case["tag"]), case["heatmap"].shape[-1]
        geometry = letterbox((side * 4, side * 4), side * 4, multiple=4, stride=4)
        times[case["name"]] = median_ms(lambda m=maps, g=geometry: task.decode(m, g))
    return times


def times_of(root: Path, scenes: Path) -> Times:
    """The same in a process of its own."""
    from associative_embedding.apps.cli.main import ALLOCATOR

    environment = {**os.environ, **ALLOCATOR, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(root), "--decode", str(scenes)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def measure(revision: str, rounds: int) -> list[tuple[Times, Times]]:
    """Of each round the other revision's times and this checkout's."""
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
    parser.add_argument("revision", help="anything that git knows: a commit, a tag, a branch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode", type=Path, default=None, help=argparse.SUPPRESS)  # what each process is told
    options = parser.parse_args()
    if options.decode:
        print(json.dumps(decode_scenes(Path(options.revision), options.decode)))
    else:
        print(table(measure(options.revision, options.rounds), options.revision))


if __name__ == "__main__":
    main()
