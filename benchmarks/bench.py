"""`make bench`: times of decoding, losses, prediction, training and published models, and the memory of training.

    python benchmarks/bench.py [--json FILE] [--only decode loss]

Medians of repeated calls in one process on seeded inputs, for one and for two threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published import bench_published_decoding, bench_published_networks, targets
from timing import alternating_ms, median_ms, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.inference.load import load
from associative_embedding.io.images import read_image
from associative_embedding.losses import tag_loss
from associative_embedding.model_files.export import exported_files
from associative_embedding.model_files.exported_network import ExportedNetwork, load_exported
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17, CROWDPOSE_14
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.target import draw_gaussians
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.training.batches import build_batches, build_stream, build_task
from associative_embedding.training.collate import join_samples
from associative_embedding.training.criterion import criterion
from associative_embedding.training.recipe import DataConfig, LossConfig, NetworkConfig, Recipe, TrainConfig
from associative_embedding.training.state import build_state
from associative_embedding.training.train import update

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "docs" / "images" / "surfers.jpg"
REFERENCE = "LitePose-XS, its network alone, 512x512"
LOOKS: dict[str, dict[str, Any]] = {
    "person": {},
    "person --refine_views all": {"refine_views": "all"},
    "person --refine none": {"refine": "none"},
    "person-fast": {"model": "person-fast"},
}


def name_of(people: int, side: int, dimensions: int) -> str:
    return f"decode {people} people {side}x{side} D={dimensions}"


def scene(people: int, side: int, dimensions: int, seed: int = 0) -> Maps:
    """Draws maps ``(1, 17, [D,] side, side)`` of random people: 15 % of keypoints missing, tags 2 apart with noise."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, side - 1, (people, 1, 2)) + rng.normal(0, side / 12, (people, 17, 2))
    visible = rng.random((people, 17)) > 0.15
    heatmap = draw_gaussians(xy, visible, (side, side), 2.0)
    tag = rng.normal(0, 0.05, (17, dimensions, side, side))
    for n, k in zip(*np.nonzero(visible), strict=True):
        x, y = np.rint(xy[n, k]).astype(int)
        tag[k, :, max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] += 2.0 * n
    return Maps(
        torch.from_numpy(heatmap)[None] * torch.from_numpy(rng.uniform(0.6, 1, (1, 17, 1, 1))).float(),
        torch.from_numpy(tag).float()[None],
    )


def bench_decode() -> dict[str, float]:
    task = PoseTask(COCO_17)
    rows = {}
    for people, side, dimensions in ((1, 128, 1), (5, 128, 1), (30, 128, 1), (30, 128, 2), (100, 128, 1), (30, 256, 2)):
        maps = scene(people, side, dimensions)
        geometry = letterbox((side * 4, side * 4), side * 4, multiple=4, stride=4)
        rows[name_of(people, side, dimensions)] = median_ms(lambda m=maps, g=geometry: task.decode(m, g))
    return rows


def random_index(rng: np.random.Generator, people: int, side: int) -> Array:
    """Returns ``(M, 4)`` tag samples (channel, y, x, person): every keypoint of every person at a random pixel."""
    person, channel = (a.ravel() for a in np.indices((people, 17)))
    return np.column_stack([channel, rng.integers(0, side, (people * 17, 2)), person])


def bench_loss() -> dict[str, float]:
    rows = {}
    for batch, people in ((8, 5), (8, 30), (32, 30)):
        rng = np.random.default_rng(0)
        samples = join_samples([random_index(rng, people, 128) for _ in range(batch)])
        tag = torch.randn(batch, 17, 1, 128, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()

        def step(tag: torch.Tensor = tag, samples: Any = samples) -> None:
            tag.grad = None
            pull, push = tag_loss(tag, samples)
            (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]

        rows[f"tag loss forward + backward, batch {batch} x {people} people x 17 x 128x128"] = median_ms(step)
    return rows


def bench_predict() -> dict[str, float]:
    """Times a photo end to end at the model's two sizes, and the network's part of the same calls."""
    model = load(refine="none")
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    # seconds in a list, as the inner functions share it
    inner, spent = model.network, [0.0]

    class Timed:
        """The network; sums the time of its calls."""

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def predict(self, x: Array) -> Any:
            before = time.perf_counter()
            result = inner.predict(x)
            spent[0] += time.perf_counter() - before
            return result

    model.network = Timed()  # type: ignore[assignment]
    of_network: list[float] = []  # milliseconds of each call

    def predict() -> None:
        spent[0] = 0.0
        model(image, keep_image=False)
        of_network.append(1e3 * spent[0])

    whole = median_ms(predict)
    network = statistics.median(of_network)
    return {
        "predict, 640x480 photo, array in, instances out": whole,
        "of this the network (512 and 256 pixels)": network,
        "all other steps, percent of the network": 100 * (whole - network) / network,
    }


def bench_looks() -> dict[str, float]:
    """Times a photo of five people beside a published small network alone, in turns, by ONNX Runtime."""
    image = read_image(PHOTO)
    with tempfile.TemporaryDirectory() as folder:
        reference = small_network(Path(folder))
    square = np.zeros((1, 3, 512, 512), np.uint8)
    models = {name: load(runtime="onnx", **options) for name, options in LOOKS.items()}
    calls: dict[str, Any] = {name: lambda m=model: m(image, keep_image=False) for name, model in models.items()}
    ms = alternating_ms({REFERENCE: lambda: reference.predict(square), **calls}, rounds=9)
    ratios = {f"{name}, percent of {REFERENCE}": 100 * ms[name] / ms[REFERENCE] for name in LOOKS}
    return {f"{name}, a photo of five people" if name in LOOKS else name: value for name, value in ms.items()} | ratios


def small_network(folder: Path) -> ExportedNetwork:
    """Returns LitePose-XS with fresh weights, whose time is that of the published ones, as ONNX Runtime runs it."""
    info = ModelInfo("litepose_xs", PoseTask(CROWDPOSE_14), input_size=512)
    files = exported_files(info.build().eval(), info, "onnx")
    return load_exported(folder / "litepose.onnx", "cpu", files)[0]


def bench_training() -> dict[str, float]:
    """Times training steps with batches from the loader, and with the same batch every time."""
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic_dataset(folder, COCO_17, 48, size=(300, 400))
        source = SourceConfig(
            annotations=f"{folder}/annotations.json", images=f"{folder}/images", mosaic=0.2, overlap=0.35
        )
        recipe = Recipe(
            output=f"{folder}/run",
            network=NetworkConfig(tag_size=4, options={"position": 2}),
            data=DataConfig(sources=[source], input_size=256, workers=1),
            loss=LossConfig(heatmap="focal"),
            train=TrainConfig(steps=1000, batch=8, device="cpu"),
        )
        task = build_task(recipe)
        state = build_state(recipe, task.channels, torch.device("cpu"))
        stream = build_stream(recipe.data, task, seed=0)
        batches = build_batches(stream, task, recipe, strides=(4,))
        # without the loader's cost; the difference is what the loader does not hide
        fixed = next(batches)

        def step(batch: Any) -> None:
            loss, _ = criterion(state.network(batch[0]), batch[1], recipe.loss, 0)
            loss.backward()
            update(state, recipe.train)

        with_loader = median_ms(lambda: step(next(batches)), seconds=10)
        alone = median_ms(lambda: step(fixed), seconds=10)
        batches.close()  # type: ignore[attr-defined]
    return {
        "training step, batch 8 x 256 pixels, from the loader": with_loader,
        "training step, the same batch again": alone,
        "training speed, percent of a fixed batch": 100 * alone / with_loader,
    }


def bench_memory() -> dict[str, float]:
    """Measures the peak memory of training in a new process; see ``benchmarks/memory.py``."""
    script = Path(__file__).with_name("memory.py")
    # the peak of this process would include the other benches
    command = [sys.executable, str(script), "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def bench_growth(image: Path) -> None:
    """Plots the time of decoding over the number of people and over the pixels of the map."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    task = PoseTask(COCO_17)
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5))
    scenes = [[(n, 128) for n in (1, 5, 10, 20, 30, 50, 75, 100)], [(30, side) for side in (64, 96, 128, 192, 256)]]
    for axis, points, label in zip(axes, scenes, ("people, on 128 x 128", "pixels of the map, 30 people"), strict=True):
        for dimensions in (1, 2):
            times = []
            for people, side in points:
                maps = scene(people, side, dimensions)
                geometry = letterbox((side * 4, side * 4), side * 4, multiple=4, stride=4)
                times.append(median_ms(lambda m=maps, g=geometry: task.decode(m, g), seconds=0.5))
            x = [people if axis is axes[0] else side * side for people, side in points]
            axis.plot(x, times, "o-", label=f"D = {dimensions}")
        axis.set_xlabel(label)
        axis.set_ylabel("decode, milliseconds")
        axis.set_ylim(bottom=0)
        axis.legend()
    figure.tight_layout()
    figure.savefig(image, dpi=110)


# milliseconds, see docs/performance.md
TARGETS = {
    "decode 30 people 128x128 D=1": 5,
    "decode 1 people 128x128 D=1": 2,
    "decode 100 people 128x128 D=1": 20,
    "decode 30 people 128x128 D=2": 15,
    "tag loss forward + backward, batch 32 x 30 people x 17 x 128x128": 10,
    **targets(),  # to be fallen below by far
}


BENCHES = {
    "decode": bench_decode,
    "loss": bench_loss,
    "predict": bench_predict,
    "looks": bench_looks,
    "training": bench_training,
    "memory": bench_memory,
    "published-networks": bench_published_networks,
    "published-decode": bench_published_decoding,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES), help="which to run; default: all")
    parser.add_argument("--json", type=Path, default=None, help="also write the numbers here")
    parser.add_argument(
        "--plot", type=Path, default=None, help="only plot the time of decoding over people and pixels, here"
    )
    options = parser.parse_args()
    if options.plot:
        torch.set_num_threads(1)
        bench_growth(options.plot)
        return
    table: dict[str, dict[str, float]] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for bench in options.only:
            for name, value in BENCHES[bench]().items():
                table.setdefault(name, {})[f"{threads} threads"] = round(value, 2)
    width = max(map(len, table))
    print(f"{'milliseconds, median':{width}}  1 thread  2 threads  target")
    for name, row in table.items():
        print(f"{name:{width}}  {row['1 threads']:8.2f}  {row['2 threads']:9.2f}  {TARGETS.get(name, '')!s:>6}")
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": table, "torch": torch.__version__}, indent=1))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
