"""What is fuzzed: every reader of files, decoding, the losses, and the requests of the service.

Each target reads bytes; where a format is several files, the other ones are valid and lie beside it.
"""

from __future__ import annotations

import atexit
import functools
import io
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from associative_embedding.apps.cli.main import parse
from associative_embedding.data.label_formats.convert import READERS, WRITERS
from associative_embedding.data.preparation.mpii_file import read_mpii
from associative_embedding.data.preparation.write_shards import tar_name, write_shards
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.tar_shards import ANNOTATIONS, INDEX, open_shards
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.io.images import read_image, read_size
from associative_embedding.io.matlab import read_matlab
from associative_embedding.io.videos import open_video, read_frames
from associative_embedding.losses import pixel_tag_loss, tag_loss
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.converters.movenet import read_tfjs
from associative_embedding.model_files.converters.published_pose_models import load_published
from associative_embedding.model_files.exported_network import load_exported
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.run_lengths import decode_runs
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.collate import join_samples
from associative_embedding.training.state import read_state
from support.fuzzing import Target
from support.label_data import dataset, person, write_images
from support.paths import ROOT
from support.tiny import FIGURE, tiny_model

CPU = "cpu"
MOST_PIXELS = 10**6  # a valid header with huge sides is refused, and not slow


@functools.cache
def folder() -> Path:
    """A folder for the inputs, with two images of 80 x 60 pixels; it is removed at the end of the process."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (path / "images").mkdir()
    write_images(path / "images", dataset())
    atexit.register(shutil.rmtree, path, True)
    return path


def on_disk(data: bytes, name: str) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@contextmanager
def refusing(errors: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Lets these errors pass, if they have one line, so that a target can go on with the next reader."""
    try:
        yield
    except errors as error:
        if "\n" in str(error):
            raise AssertionError(f"several lines: {error!s:.300}") from error


# ---- images and videos


def read_picture(data: bytes) -> None:
    image = read_image(data, max_pixels=MOST_PIXELS)
    assert image.ndim == 3
    assert image.dtype == np.uint8


def read_picture_size(data: bytes) -> None:
    read_size(on_disk(data, "picture"))


def pictures() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 4), dtype=np.uint8)
    colour, alpha, grey = (Image.fromarray(noise[..., :3]), Image.fromarray(noise), Image.fromarray(noise[..., 0]))
    kinds = "PNG JPEG GIF WEBP BMP PPM JPEG2000 AVIF".split()
    results = [saved(colour, kind) for kind in kinds if kind in Image.SAVE or kind == "JPEG2000"]
    results += [saved(colour, "JPEG", progressive=True), saved(colour.convert("CMYK"), "JPEG"), saved(alpha, "PNG")]
    results += [saved(colour.convert("P"), "PNG"), saved(colour.convert("1"), "PNG"), saved(alpha, "WEBP")]
    results += [saved(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG")]
    results += [saved(grey, "GIF", save_all=True, append_images=[grey] * 3)]
    return [data for data in results if data]


def tiffs() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    colour, grey = Image.fromarray(noise), Image.fromarray(noise[..., 0])
    options: list[dict[str, Any]] = [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}]
    results = [saved(image, "TIFF", **more) for image in (colour, grey) for more in (*options, {"big_tiff": True})]
    results += [saved(Image.fromarray(noise[..., 0].astype(kind)), "TIFF") for kind in (np.uint16, np.float32)]
    return [*results, saved(colour, "TIFF", save_all=True, append_images=[colour])]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except (OSError, KeyError):  # this Pillow cannot write it
        return b""
    return buffer.getvalue()


def read_film(data: bytes) -> None:
    for number, frame in enumerate(read_frames(open_video(str(on_disk(data, "film.mp4"))))):
        assert frame.image.dtype == np.uint8
        if number > 20:
            break


def films() -> list[bytes]:
    from support.video_files import write

    return [Path(write(folder() / "seed.mp4", frames=count)).read_bytes() for count in (1, 8)]


# ---- labels


def read_coco_data(data: bytes) -> None:
    """Reads poses and masks, and the pixels of the images."""
    path, images = str(on_disk(data, "coco.json")), str(folder() / "images")
    with refusing():
        poses = CocoKeypoints(path, images, FIGURE)
        for index in range(min(3, len(poses))):
            assert np.isfinite(poses[index].keypoints).all()
    with refusing():
        masks = CocoMasks(path, images, ["person"])
        for index in range(min(3, len(masks))):
            masks[index]


def coco_files() -> list[bytes]:
    document = dataset([person(), person(track_id=1, area=40.5), person(segmentation=[[1, 1, 9, 1, 9, 9]])])
    runs = {"counts": [9, 9, 4782], "size": [60, 80]}
    crowd = {"id": 9, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": runs, "bbox": [1, 1, 9, 9]}
    document["annotations"].append(crowd)
    document["categories"][0]["name"] = "person"
    return [json.dumps(document, indent=1).encode(), json.dumps(dataset()).encode()]


def label_reader(kind: str, name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        path = on_disk(data, f"{kind}/{name}")
        READERS[kind](path, None if kind in ("sleap", "yolo") else folder() / "images")

    return read


def written_labels(kind: str, name: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        output = folder() / kind
        target = output if kind == "yolo" else output / name
        output.mkdir(exist_ok=True)
        WRITERS[kind](dataset([person(), person()]), target, folder() / "images")
        return [(output / name).read_bytes()]

    return seeds


def yolo_labels() -> list[bytes]:
    WRITERS["yolo"](dataset([person(), person()]), folder() / "yolo-labels", folder() / "images")
    return [path.read_bytes() for path in sorted((folder() / "yolo-labels").rglob("*.txt"))]


def read_yolo_labels(data: bytes) -> None:
    for path in (folder() / "yolo-labels").rglob("*.txt"):
        path.write_bytes(data)
    READERS["yolo"](folder() / "yolo-labels" / "data.yaml", None)


def sleap_files() -> list[bytes]:
    from support.sleap_files import build

    return [build(folder() / "seed.slp").read_bytes()]


def deeplabcut_files() -> list[bytes]:
    rows = ["scorer,me,me,me,me", "individuals,a,a,b,b", "bodyparts,nose,nose,nose,nose", "coords,x,y,x,y"]
    plain = ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y", "a0.png,1,2", "a1.png,,"]
    return ["\n".join([*rows, "a0.png,1,2,3,4", "a1.png,1,2,,", ""]).encode(), "\n".join(plain).encode()]


def read_voc(data: bytes) -> None:
    root = folder() / "voc"
    (root / "SegmentationObject" / "2007_000032.png").write_bytes(data)
    samples = VocMasks(str(root), "train")
    samples[0]


def voc_files() -> list[bytes]:
    from support.voc_tree import tree

    root = tree(folder() / "voc")
    return [path.read_bytes() for path in sorted((root / "SegmentationObject").glob("*.png"))]


def read_runs(data: bytes) -> None:
    """Run lengths as a list and as a compressed text."""
    height, width = 1 + data[0] % 40 if data else 7, 1 + data[-1] % 40 if data else 5
    flat = np.frombuffer(data[: len(data) // 2 * 2], np.int16).tolist()
    for counts in (data.decode("latin-1"), data.decode("utf-8", "replace"), flat, [abs(count) for count in flat]):
        with refusing():
            assert decode_runs({"counts": counts, "size": [height, width]}, (height, width)).shape == (height, width)


def read_shards(data: bytes) -> None:
    is_index = data.lstrip()[:1] == b"{"
    path = folder() / "shards" / (INDEX if is_index else tar_name(0))
    good = path.read_bytes()
    try:
        path.write_bytes(data)
        shards = open_shards(path.parent)
        if shards is not None:
            CocoKeypoints(str(path.parent / ANNOTATIONS), str(path.parent), FIGURE)[0]
    finally:
        path.write_bytes(good)


def shard_files() -> list[bytes]:
    on_disk(json.dumps(dataset()).encode(), "shard.json")
    output = folder() / "shards"
    write_shards(str(folder() / "shard.json"), str(folder() / "images"), str(output), 2)
    return [path.read_bytes() for path in sorted(output.iterdir()) if path.name != ANNOTATIONS]


def read_matlab_file(data: bytes) -> None:
    path = on_disk(data, "annotation.mat")
    with refusing():
        read_matlab(path, "RELEASE")
    with refusing():
        read_mpii(path)


def matlab_files() -> list[bytes]:
    import scipy.io

    results = []
    for packed in (False, True):
        buffer = io.BytesIO()
        point = {"x": 1.0, "y": 2.0, "id": 3, "is_visible": 1}
        rect = {"scale": 1.0, "objpos": {"x": 1.0, "y": 2.0}, "annopoints": {"point": [point, point]}}
        image = {"image": {"name": "a.jpg"}, "annorect": rect, "vididx": 1, "frame_sec": 1}
        release = {"annolist": [image, image], "img_train": [1, 0], "single_person": [[1], [1]]}
        scipy.io.savemat(buffer, {"RELEASE": release}, do_compression=packed)
        results.append(buffer.getvalue())
    return results


# ---- recipes and models


def read_recipe(data: bytes) -> None:
    parse(["train", str(on_disk(data, "recipe.yaml"))])


def recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "recipes").rglob("*.yaml"))]


def read_model(data: bytes) -> None:
    load_model(on_disk(data, "model.safetensors"))


def model_files() -> list[bytes]:
    path = folder() / "seed.safetensors"
    return [Path(tiny_model(path, **values)).read_bytes() for values in ({}, {"tag_size": 1, "scales": (1.0, 0.5)})]


def model_heads() -> list[bytes]:
    """The heads of model files, as texts; `read_head` adds the tensors."""
    data = model_files()[0]
    return [data[8 : 8 + int.from_bytes(data[:8], "little")]]


@functools.cache
def model_tail() -> bytes:
    data = model_files()[0]
    return data[8 + int.from_bytes(data[:8], "little") :]


def read_head(data: bytes) -> None:
    read_model(len(data).to_bytes(8, "little") + data + model_tail())


def read_description(data: bytes) -> None:
    """Reads the description inside a model file. Its readers turn these errors into one line with the file."""
    with refusing((KeyError, AttributeError, TypeError, RecursionError, ValueError)):
        ModelInfo.from_json(data.decode("utf-8", "replace"))


def descriptions() -> list[bytes]:
    path = folder() / "seed.safetensors"
    tiny_model(path)
    return [load_model(path)[1].to_json().encode(), load_model(shipped("person"))[1].to_json().encode()]


def shipped(name: str) -> Path:
    from associative_embedding.model_files.find import model_path

    return model_path(name)


def read_onnx(data: bytes) -> None:
    network, _ = load_exported(on_disk(data, "model.onnx"), CPU)
    network.predict(np.zeros((1, 3, 64, 64), np.uint8))


def onnx_files() -> list[bytes]:
    from associative_embedding.model_files.export import export_model

    tiny_model(folder() / "seed.safetensors")
    export_model(folder() / "seed.safetensors", str(folder() / "seed.onnx"), "onnx")
    return [(folder() / "seed.onnx").read_bytes()]


def read_checkpoint(data: bytes) -> None:
    """Checkpoints of other projects, which are pickles."""
    load_published(on_disk(data, "other.pth"), "higherhrnet")


def read_training_state(data: bytes) -> None:
    read_state(on_disk(data, "state.pt"), CPU)


def torch_files() -> list[bytes]:
    results = []
    keys: dict[str, Any] = {"step": 1, "network": {}, "optimizer": {}, "average": None, "identity": {}}
    for content in ({"state_dict": {"conv1.weight": torch.zeros(2, 2)}}, {**keys, "a": torch.zeros(3)}):
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
            results.append(buffer.getvalue())
    return results


def read_movenet(data: bytes) -> None:
    on_disk(bytes(64), "group1-shard1of1.bin")
    read_tfjs(on_disk(data, "model.json"))


def movenet_files() -> list[bytes]:
    weights = [{"name": "a", "shape": [2, 2], "dtype": "float32"}, {"name": "b", "shape": [12], "dtype": "int32"}]
    group = {"paths": ["group1-shard1of1.bin"], "weights": weights}
    return [json.dumps({"format": "graph-model", "weightsManifest": [group]}, indent=1).encode()]


# ---- decoding and losses


class Bytes:
    """Draws numbers from bytes, and zeros behind their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.place : self.place + count]
        self.place += count
        return part.ljust(count, b"\6")

    def number(self, low: int, high: int) -> int:
        return low + int.from_bytes(self.take(2), "little") % (high - low + 1)


def drawn_maps(draw: Bytes) -> tuple[Maps, tuple[int, int]]:
    """Returns maps of any size and their size. They have few values, so ties, plateaus and extremes are frequent."""
    channels, dimension, height, width = draw.number(1, 20), draw.number(1, 4), draw.number(1, 12), draw.number(1, 12)
    # 0, 0.5 and 1 besides: random floats seldom equal a threshold
    palette = np.concatenate([np.frombuffer(draw.take(24), np.float32), np.float32([0.0, 0.5, 1.0])])
    shapes = [(1, channels, height, width), (1, channels, dimension, height, width)]
    parts = [np.frombuffer(draw.take(int(np.prod(shape))), np.uint8).reshape(shape) for shape in shapes]
    heatmap, tag = (torch.from_numpy(palette[part % len(palette)]) for part in parts)
    return Maps(heatmap, tag), (height, width)


def decode(data: bytes, *, masks: bool) -> None:
    draw = Bytes(data)
    maps, (height, width) = drawn_maps(draw)
    geometry = letterbox((height * 4, width * 4), max(height, width) * 4, multiple=4, stride=4)
    names = [f"c{i}" for i in range(maps.heatmap.shape[1])]
    if masks:
        config = MaskDecodeConfig(threshold=0.3, min_size=0, min_weight=0, regions=bool(draw.number(0, 1)))
        task: SegmentationTask | PoseTask = SegmentationTask(tuple(names), config)
    else:
        score = ("all", "found", "shrunk")[draw.number(0, 2)]
        task = PoseTask(Skeleton.build("any", names), DecodeConfig(threshold=0.1, fill_threshold=0.01, score=score))  # type: ignore[arg-type]
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


def losses(data: bytes) -> None:
    draw = Bytes(data)
    maps, (height, width) = drawn_maps(draw)
    sizes = (maps.heatmap.shape[1], height, width, 5)
    rows = [[draw.number(0, size - 1) for size in sizes] for _ in range(draw.number(0, 30))]
    tag = maps.tag.nan_to_num(0, 0, 0).clamp(-1e6, 1e6)
    for loss in (tag_loss, pixel_tag_loss):
        own = tag.clone().requires_grad_()
        pull, push = loss(own, join_samples([np.array(rows, np.int64).reshape(-1, 4)]))
        (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        assert all(bool(torch.isfinite(value).all()) for value in (pull, push, own.grad))


def noise() -> list[bytes]:
    data = np.random.default_rng(0).bytes(4000)
    return [data, data[:900], data[:300]]


# ---- the service


@functools.cache
def service() -> Any:
    """A running service with a small model; it ends with this process."""
    from associative_embedding.apps.server.limits import Limits
    from support.serving import Running, tiny_pose

    running = Running(tiny_pose, Limits(max_bytes=200_000, max_pixels=40_000, timeout=15))
    atexit.register(running.__exit__)
    return running.__enter__()


def request(data: bytes) -> None:
    """Sends the bytes of a connection: the answer is no 5xx but 503, and the service lives."""
    running = service()
    with socket.create_connection(("127.0.0.1", running.port), timeout=15) as connection:
        connection.settimeout(15)
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:  # the service may close it before all has arrived
            pass
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    for line in lines:
        assert line[9:12] < b"500" or line[9:12] == b"503", line
    import httpx

    assert httpx.get(f"{running.url}/health", timeout=15).status_code == 200


def requests() -> list[bytes]:
    picture = pictures()[0]
    head = b"POST /predict%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\n%s\r\n%s"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + picture + b"\r\n--b--\r\n"

    def post(query: bytes, kind: bytes, body: bytes) -> bytes:
        return head % (query, kind, b"Content-Length: %d\r\n" % len(body), body)

    chunked = head % (
        b"",
        b"image/png",
        b"Transfer-Encoding: chunked\r\n",
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(picture), picture),
    )
    settings = b"?min_score=0.1&threshold=0.2&tag_threshold=0.5&picture=true&top_k=5"
    get = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return [
        post(b"", b"image/png", picture),
        post(settings, b"multipart/form-data; boundary=b", form),
        post(b"", b"application/json", b'{"url": "http://127.0.0.1:1/a.png"}'),
        chunked,
        *(get % path for path in (b"/", b"/health", b"/metrics", b"/model", b"/docs", b"/openapi.json")),
    ]


TARGETS: dict[str, Target] = {
    "image": Target(read_picture, pictures),
    "image-size": Target(read_picture_size, lambda: pictures() + tiffs()),
    "tiff": Target(read_picture, tiffs),
    "video": Target(read_film, films),
    "coco": Target(read_coco_data, coco_files, text=True),
    "cvat": Target(label_reader("cvat", "a.xml"), written_labels("cvat", "a.xml"), text=True),
    "deeplabcut": Target(label_reader("deeplabcut", "CollectedData_me.csv"), deeplabcut_files, text=True),
    "label-studio": Target(label_reader("label-studio", "a.json"), written_labels("label-studio", "a.json"), text=True),
    "sleap": Target(label_reader("sleap", "a.slp"), sleap_files),
    "yolo": Target(label_reader("yolo", "data.yaml"), written_labels("yolo", "data.yaml"), text=True),
    "yolo-labels": Target(read_yolo_labels, yolo_labels, text=True),
    "voc": Target(read_voc, voc_files),
    "rle": Target(read_runs, noise),
    "shards": Target(read_shards, shard_files, text=True),
    "matlab": Target(read_matlab_file, matlab_files),
    "recipe": Target(read_recipe, recipes, text=True),
    "model": Target(read_model, model_files),
    "model-head": Target(read_head, model_heads, text=True),
    "description": Target(read_description, descriptions, text=True),
    "onnx": Target(read_onnx, onnx_files, (ValueError, OSError, RuntimeError)),
    "torch": Target(read_checkpoint, torch_files),
    "state": Target(read_training_state, torch_files),
    "movenet": Target(read_movenet, movenet_files, text=True),
    "poses": Target(functools.partial(decode, masks=False), noise),
    "masks": Target(functools.partial(decode, masks=True), noise),
    "losses": Target(losses, noise),
    "requests": Target(request, requests, (), text=True),
}
