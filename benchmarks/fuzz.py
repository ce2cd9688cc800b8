"""Fuzzes the code that reads bytes from outside, and decoding, guided by coverage (atheris, libFuzzer).

``pip install atheris``, then ``python benchmarks/fuzz.py TARGET [-max_total_time=60] [libFuzzer's options] [CORPUS]``.
A target must return or raise the error that its docstring names; anything else is a bug. Without CORPUS it starts from
a few seeds in a temporary folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

# libFuzzer gets coverage only from modules that are imported in here
with atheris.instrument_imports(include=["associative_embedding"]):
    import numpy as np
    import torch
    from PIL import Image

    from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
    from associative_embedding.data.readers.coco_masks import CocoMasks
    from associative_embedding.io.image_limits import ImageError
    from associative_embedding.io.images import read_image
    from associative_embedding.io.matlab import read_matlab
    from associative_embedding.losses import pixel_tag_loss, tag_loss
    from associative_embedding.model_files.checkpoint import ModelInfo, read_weights
    from associative_embedding.model_files.converters.published_pose_models import load_published
    from associative_embedding.structures.geometry import letterbox
    from associative_embedding.structures.known_skeletons import COCO_17
    from associative_embedding.structures.maps import Maps
    from associative_embedding.structures.run_lengths import decode_runs
    from associative_embedding.structures.skeleton import Skeleton
    from associative_embedding.tasks.pose.settings import DecodeConfig
    from associative_embedding.tasks.pose.task import PoseTask
    from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
    from associative_embedding.tasks.segmentation.task import SegmentationTask
    from associative_embedding.tasks.targets import join_samples
    from associative_embedding.training.recipe_file import check_recipe

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
FILE = FOLDER / "input"
IMAGES = FOLDER / "images"


def on_disk(data: bytes) -> str:
    FILE.write_bytes(data)
    return str(FILE)


def fuzz_image(data: bytes) -> None:
    with contextlib.suppress(ImageError):
        # a low limit, so that a valid header with huge sides is refused and not slow
        image = read_image(data, max_pixels=10**6)
        assert image.ndim == 3
        assert image.dtype == np.uint8


def fuzz_coco(data: bytes) -> None:
    """Reads poses and masks from one json, and the pixels of the image."""
    path = on_disk(data)
    with contextlib.suppress(ValueError):
        dataset = CocoKeypoints(path, str(IMAGES), COCO_17)
        for index in range(min(3, len(dataset))):
            sample = dataset[index]
            assert np.isfinite(sample.keypoints).all()
    with contextlib.suppress(ValueError):
        masks = CocoMasks(path, str(IMAGES), ["person"])
        for index in range(min(3, len(masks))):
            masks[index]


def fuzz_recipe(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        check_recipe(on_disk(data))


def fuzz_model(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_weights(on_disk(data))


def fuzz_description(data: bytes) -> None:
    """Reads the json inside a model file."""
    # `read_weights` turns these errors into a ValueError
    with contextlib.suppress(KeyError, AttributeError, TypeError, ValueError, RecursionError):
        ModelInfo.from_json(data.decode("utf-8", "replace"))


def fuzz_torch(data: bytes) -> None:
    """Reads checkpoints of other projects, which are pickles."""
    with contextlib.suppress(ValueError):
        load_published(on_disk(data), "higherhrnet")


def fuzz_matlab(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_matlab(on_disk(data), "RELEASE")


def fuzz_rle(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    size = (provider.ConsumeIntInRange(1, 40), provider.ConsumeIntInRange(1, 40))
    text = provider.ConsumeUnicodeNoSurrogates(200)
    runs = [provider.ConsumeIntInRange(-5, 2000) for _ in range(provider.ConsumeIntInRange(0, 20))]
    for counts in (text, runs):
        with contextlib.suppress(ValueError):
            mask = decode_runs({"counts": counts, "size": list(size)}, size)
            assert mask.shape == size


def drawn_maps(provider: atheris.FuzzedDataProvider) -> tuple[Maps, tuple[int, int]]:
    """Returns maps of any size and their size. They have few values, so ties, plateaus and extremes are frequent."""
    channels, dimension = provider.ConsumeIntInRange(1, 20), provider.ConsumeIntInRange(1, 4)
    height, width = provider.ConsumeIntInRange(1, 12), provider.ConsumeIntInRange(1, 12)
    # 0, 0.5 and 1 besides: random floats seldom equal a threshold
    palette = np.array([provider.ConsumeFloat() for _ in range(6)] + [0.0, 0.5, 1.0], np.float32)
    pixels = channels * height * width

    def drawn(count: int, shape: tuple[int, ...]) -> torch.Tensor:
        raw = np.frombuffer(provider.ConsumeBytes(count).ljust(count, b"\6"), np.uint8)
        return torch.from_numpy(palette[raw % len(palette)].reshape(shape))

    heatmap = drawn(pixels, (1, channels, height, width))
    return Maps(heatmap, drawn(pixels * dimension, (1, channels, dimension, height, width))), (height, width)


def checked(provider: atheris.FuzzedDataProvider, masks: bool) -> None:
    maps, (height, width) = drawn_maps(provider)
    geometry = letterbox((height * 4, width * 4), max(height, width) * 4, multiple=4, stride=4)
    channels = maps.heatmap.shape[1]
    if masks:
        config = MaskDecodeConfig(threshold=0.3, min_size=0, min_weight=0, regions=provider.ConsumeBool())
        task: SegmentationTask | PoseTask = SegmentationTask(tuple(f"c{i}" for i in range(channels)), config)
    else:
        skeleton = Skeleton.build("any", [f"k{i}" for i in range(channels)], [])
        score = provider.PickValueInList(["all", "found", "shrunk"])
        task = PoseTask(skeleton, DecodeConfig(threshold=0.1, fill_threshold=0.01, score=score))
    finite = bool(maps.heatmap.isfinite().all() and maps.tag.isfinite().all())
    try:
        found = task.decode(maps, geometry)
    except ValueError as error:
        if "NaN or infinity" not in str(error):
            raise AssertionError("another error than the documented one") from error
        # values near the largest float may overflow in the sum that checks for NaN and infinity
        if finite and float(maps.heatmap.abs().max()) < 1e30 > float(maps.tag.abs().max()):
            raise AssertionError("finite maps are refused") from error
        return
    assert finite
    assert np.isfinite(found.tag).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert masks or np.isfinite(found.keypoints).all()


def fuzz_poses(data: bytes) -> None:
    checked(atheris.FuzzedDataProvider(data), masks=False)


def fuzz_masks(data: bytes) -> None:
    checked(atheris.FuzzedDataProvider(data), masks=True)


def fuzz_losses(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    maps, (height, width) = drawn_maps(provider)
    channels, count = maps.heatmap.shape[1], provider.ConsumeIntInRange(0, 30)
    rows = [[provider.ConsumeIntInRange(0, n - 1) for n in (channels, height, width, 5)] for _ in range(count)]
    index = np.array(rows, np.int64).reshape(-1, 4)
    tag = maps.tag.nan_to_num(0, 0, 0).clamp(-1e6, 1e6)
    for loss in (tag_loss, pixel_tag_loss):
        own = tag.clone().requires_grad_()
        pull, push = loss(own, join_samples([index]))
        (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        for value in (pull, push, own.grad):
            assert torch.isfinite(value).all()


def seed_json() -> bytes:
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [3, 4, 2] * 17, "bbox": [1, 1, 9, 9], "area": 40}
    crowd = {
        "id": 2,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 1,
        "segmentation": {"counts": [9, 9], "size": [16, 16]},
    }
    mask = {"id": 3, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]], "bbox": [1, 1, 9, 9]}
    image = {"id": 1, "file_name": "1.png", "height": 16, "width": 16}
    category = {**COCO_17.to_category(), "id": 1, "name": "person"}
    return json.dumps({"images": [image], "annotations": [person, crowd, mask], "categories": [category]}).encode()


def seed_images() -> list[bytes]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8))
    result = []
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        result.append(buffer.getvalue())
    return result


def seed_model() -> bytes:
    import safetensors.torch

    return safetensors.torch.save(
        {"a": torch.zeros(3)}, metadata={"associative_embedding": seed_description().decode()}
    )


def seed_description() -> bytes:
    from associative_embedding.model_files.find import WEIGHTS, model_path

    assert WEIGHTS.is_dir()
    info = read_weights(model_path("person"))[1]
    assert info is not None
    return info.to_json().encode()


def seed_torch() -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"conv1.weight": torch.zeros(2, 2)}}, buffer)
    return buffer.getvalue()


def seed_matlab() -> bytes:
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"RELEASE": {"a": np.arange(3.0), "b": "text"}}, do_compression=False)
    return buffer.getvalue()


def seed_recipe() -> bytes:
    return Path(__file__).parent.parent.joinpath("recipes", "shipped", "person.yaml").read_bytes()


NOISE = np.random.default_rng(0).bytes(4000)
TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "image": (fuzz_image, seed_images),
    "coco": (fuzz_coco, lambda: [seed_json()]),
    "recipe": (fuzz_recipe, lambda: [seed_recipe()]),
    "model": (fuzz_model, lambda: [seed_model()]),
    "description": (fuzz_description, lambda: [seed_description()]),
    "torch": (fuzz_torch, lambda: [seed_torch()]),
    "matlab": (fuzz_matlab, lambda: [seed_matlab()]),
    "rle": (fuzz_rle, lambda: [NOISE[:300]]),
    "poses": (fuzz_poses, lambda: [NOISE, NOISE[:900]]),
    "masks": (fuzz_masks, lambda: [NOISE, NOISE[:900]]),
    "losses": (fuzz_losses, lambda: [NOISE, NOISE[:900]]),
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"which target? one of {', '.join(TARGETS)}")
    target, seeds = TARGETS[sys.argv[1]]
    IMAGES.mkdir()
    (IMAGES / "1.png").write_bytes(seed_images()[0])
    torch.set_num_threads(1)
    arguments = [sys.argv[0], *sys.argv[2:]]
    if not any(os.path.isdir(a) for a in arguments[1:]):
        corpus = FOLDER / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds()):
            (corpus / str(number)).write_bytes(seed)
        arguments.append(str(corpus))
    atheris.Setup([*arguments, "-max_len=8192", "-rss_limit_mb=4096", "-timeout=30"], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
