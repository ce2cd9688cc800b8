"""Times published models: their networks by each runtime, and decoding by the rules of their authors' code.

    python benchmarks/published.py [--only networks decode] [--rounds 9] [--threads 1]

Prints Markdown tables of the fastest and the median call in milliseconds. On one thread these are milliseconds of the
processor: other programs that use the machine do not count. All calls take turns with a fixed piece of work, so that
ratios hold on a slow machine, too. ``make bench`` prints the medians among its own.

Networks have random weights, which changes results but not times. Maps to decode are drawn as those that
``shared/reference/peers.md`` (5.1) timed the published decoders on; `PUBLISHED` holds the times found there, on another
machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import markdown, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.converters.published_pose_models import HIGHERHRNET_DECODE, MMPOSE_DECODE
from associative_embedding.model_files.export import export_model
from associative_embedding.model_files.exported_network import SUFFIX, load_exported
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.model_files.runtime import NEEDS
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.target import draw_gaussians
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.published.geometry import input_geometry
from associative_embedding.tasks.published.views import Outputs, merge

NETWORKS = {"HRNet-W32": "hrnet_w32", "HigherHRNet-W32": "higherhrnet_w32"}
SIDE = 512  # pixels of the networks' input
SCAN = "one scan of all pixels"  # see `scan`

RULES = {"HigherHRNet": HIGHERHRNET_DECODE, "mmpose": MMPOSE_DECODE, "our own": DecodeConfig()}

Case = tuple[int, int, int]  # people, side of the maps, tag dimensions
# (fastest, median) ms of the authors' code, "H full" and "M0 full" in peers.md (5.1)
PUBLISHED: dict[Case, dict[str, tuple[float, float]]] = {
    (1, 128, 1): {"HigherHRNet": (25, 29), "mmpose": (24, 28)},
    (30, 128, 1): {"HigherHRNet": (134, 158), "mmpose": (108, 142)},
    (30, 128, 2): {"HigherHRNet": (497, 525), "mmpose": (539, 612)},
    (30, 256, 1): {"HigherHRNet": (330, 338), "mmpose": (264, 290)},
    (1, 512, 2): {"HigherHRNet": (711, 724), "mmpose": (744, 754)},
    (5, 512, 2): {"HigherHRNet": (1264, 1282), "mmpose": (1291, 1296)},
    (15, 512, 2): {"HigherHRNet": (3803, 3827), "mmpose": (3741, 3801)},
    (30, 512, 2): {"HigherHRNet": (8441, 11647), "mmpose": (5085, 5404)},
}
BENCHED: tuple[Case, ...] = ((30, 128, 1), (5, 512, 2), (30, 512, 2))  # in ``make bench``


@dataclass(frozen=True)
class Times:
    """Times of a function and of a fixed piece of work, called in turns.

    Attributes:
        ms, reference: milliseconds of each call.
    """

    ms: list[float]
    reference: list[float]

    @property
    def fastest(self) -> float:
        return min(self.ms)

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    @property
    def ratio(self) -> float:
        """The median time in units of the fixed piece of work."""
        return statistics.median(a / b for a, b in zip(self.ms, self.reference, strict=True))


def spent_ms(function: Callable[[], Any]) -> float:
    """Returns the milliseconds of one call: of the processor on one thread, else as time goes by."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    before = clock()
    function()
    return 1e3 * (clock() - before)


def in_turns(functions: Mapping[str, Callable[[], Any]], reference: str, rounds: int) -> dict[str, Times]:
    """Times all functions in turns, one of which is the `reference`; the first round is not counted."""
    rows = [{name: spent_ms(function) for name, function in functions.items()} for _ in range(rounds + 1)][1:]
    return {name: Times([row[name] for row in rows], [row[reference] for row in rows]) for name in functions}


def time_networks(rounds: int) -> dict[str, dict[str, Times]]:
    """Returns the times of each network by runtime; PyTorch is the fixed piece of work.

    The networks have their random initial weights.
    """
    image = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), dtype=np.uint8)
    times = {}
    for name, backbone in NETWORKS.items():
        info = ModelInfo(backbone, PoseTask(COCO_17), SIDE, conventions=Conventions())
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.safetensors"
            save_model(model, info.build(), info)
            networks: dict[str, Any] = {"torch": load_model(model)[0].eval()}
            for form, modules in NEEDS.items():
                if all(map(importlib.util.find_spec, modules)):
                    export_model(model, str(model.with_suffix(SUFFIX[form])), form)
                    networks[form] = load_exported(model.with_suffix(SUFFIX[form]), "cpu")[0]
            calls = {form: lambda n=network: n.predict(image) for form, network in networks.items()}
            times[name] = in_turns(calls, "torch", rounds)
    return times


def draw_scene(people: int, side: int, dimensions: int, seed: int = 0) -> Maps:
    """Draws maps ``(1, 17, [D,] side, side)`` as published decoders were timed on: noise everywhere.

    15 % of the keypoints are missing. Tags of people are 1.7 apart, in squares of 5 x 5 pixels.
    """
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, side - 1, (people, 1, 2)) + rng.normal(0, side / 12, (people, 17, 2))
    visible = rng.random((people, 17)) > 0.15
    heatmap = draw_gaussians(xy, visible, (side, side), 2.0) * rng.uniform(0.6, 1, (17, 1, 1))
    heatmap += np.abs(rng.normal(0, 0.02, heatmap.shape))
    tag = rng.normal(0, 0.3, (17, dimensions, side, side))
    for n, k in zip(*np.nonzero(visible), strict=True):
        x, y = np.rint(xy[n, k]).astype(int)
        tag[k, :, max(0, y - 2) : max(0, y + 3), max(0, x - 2) : max(0, x + 3)] = 1.7 * n + rng.normal(0, 0.1)
    return Maps(torch.from_numpy(heatmap).float()[None], torch.from_numpy(tag).float()[None])


def scan(maps: Maps) -> Array:
    """The fixed piece of work: fills in all keypoints of one person as published decoders do for everybody."""
    heatmap, tag = maps.heatmap[0].numpy(), maps.tag[0].numpy()
    distance = np.sqrt(np.square(tag - np.float32(1)).sum(axis=1))
    return (heatmap - np.round(distance)).reshape(len(heatmap), -1).argmax(axis=1)


def time_decoding(case: Case, rounds: int) -> tuple[dict[str, Times], dict[str, int]]:
    """Returns the times of decoding maps by each set of rules and of `scan`, and how many people each finds."""
    people, side, dimensions = case
    maps, geometry = draw_scene(people, side, dimensions), letterbox((side, side), side, multiple=1, stride=1)
    tasks = {name: PoseTask(COCO_17, rules) for name, rules in RULES.items()}
    calls: dict[str, Callable[[], Any]] = {name: lambda t=t: t.decode(maps, geometry) for name, t in tasks.items()}
    found = {name: len(call()) for name, call in calls.items()}
    return in_turns(calls | {SCAN: lambda: scan(maps)}, SCAN, rounds), found


def time_merging(rounds: int) -> dict[str, Times]:
    """Returns the times of turning a network's outputs for an image and its mirror image into maps of 512 x 512."""
    geometry, maps = input_geometry((SIDE, SIDE), SIDE, Conventions()), draw_scene(30, SIDE, 2)
    coarse, fine = draw_scene(30, SIDE // 4, 1), draw_scene(30, SIDE // 2, 1)
    fine = Maps(fine.heatmap, fine.tag[:, :, :0])
    views = {"HRNet-W32": Outputs((coarse,), (coarse,)), "HigherHRNet-W32": Outputs((coarse, fine), (coarse, fine))}
    calls: dict[str, Callable[[], Any]] = {
        name: lambda v=view: merge([v], [True], geometry, Conventions()) for name, view in views.items()
    }
    return in_turns(calls | {SCAN: lambda: scan(maps)}, SCAN, rounds)


def name_of(case: Case) -> str:
    return f"{case[0]} people {case[1]}x{case[1]} D={case[2]}"


def bench_published_networks() -> dict[str, float]:
    """Returns the median times of the networks by name, for ``make bench``."""
    rows = {}
    for name, times in time_networks(rounds=3).items():
        for runtime, row in times.items():
            rows[f"{name} {SIDE}x{SIDE}, {runtime}"] = row.median
            if runtime != "torch":
                rows[f"{name} {SIDE}x{SIDE}, {runtime}, percent of PyTorch's time"] = 100 * row.ratio
    return rows


def bench_published_decoding() -> dict[str, float]:
    """Returns the median times of decoding by name, for ``make bench``; some of the cases."""
    rows = {}
    for case in BENCHED:
        for rules, row in time_decoding(case, rounds=9)[0].items():
            rows[f"{rules}: {name_of(case)}"] = row.median
            if rules != SCAN:
                rows[f"{rules}: {name_of(case)}, in scans"] = row.ratio
    merging = time_merging(rounds=9)
    return rows | {f"merge the outputs of {name}": merging[name].median for name in NETWORKS}


def targets() -> dict[str, float]:
    """Returns the median times of the authors' code, by the names of `bench_published_decoding`."""
    return {f"{rules}: {name_of(case)}": ms[1] for case in BENCHED for rules, ms in PUBLISHED[case].items()}


def network_table(rounds: int) -> str:
    rows = {}
    for name, times in time_networks(rounds).items():
        for runtime, row in times.items():
            texts = {"fastest": f"{row.fastest:.0f}", "median": f"{row.median:.0f}", "of PyTorch's": f"{row.ratio:.2f}"}
            rows[f"{name}, {runtime}"] = texts
    return markdown(f"{SIDE} x {SIDE}, ms", ["fastest", "median", "of PyTorch's"], rows)


def decoding_table(rounds: int) -> str:
    columns = ["people", "fastest", "median", "in scans", "published", "times as fast"]
    rows = {}
    for case, published in PUBLISHED.items():
        times, found = time_decoding(case, rounds)
        for rules, row in times.items():
            texts = {"fastest": f"{row.fastest:.1f}", "median": f"{row.median:.1f}", "in scans": f"{row.ratio:.1f}"}
            if rules in found:
                texts["people"] = str(found[rules])
            if rules in published:
                texts["published"] = "{:.0f} / {:.0f}".format(*published[rules])
                texts["times as fast"] = f"{published[rules][0] / row.fastest:.0f}"
            rows[f"{name_of(case)}, {rules}"] = texts
    for name, row in time_merging(rounds).items():
        texts = {"fastest": f"{row.fastest:.1f}", "median": f"{row.median:.1f}", "in scans": f"{row.ratio:.1f}"}
        rows[f"merge outputs, {name}"] = texts
    return markdown("decoding, ms", columns, rows)


TABLES = {"networks": network_table, "decode": decoding_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="which tables; default: all")
    parser.add_argument("--rounds", type=int, default=9, help="calls of each function")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.only:
        print(TABLES[name](options.rounds), end="\n\n", flush=True)


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
