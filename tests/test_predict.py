"""The predictor: geometry, mirror and scales; then many files through the command line."""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import associative_embedding as ae
from associative_embedding import run_predict
from associative_embedding.cli import main
from associative_embedding.draw import MIN_KEYPOINT_SCORE
from associative_embedding.geometry import ImageGeometry, letterbox, warp
from associative_embedding.image_io import read_image
from associative_embedding.predict import Predictor
from associative_embedding.types import Array, Maps
from associative_embedding.views import merge_mirror, resample
from tiny import FIGURE, TINY_DECODE, tiny_info, tiny_model, tiny_network


def photo(height: int = 64, width: int = 96, seed: int = 0) -> Array:
    """Blurred noise: bright and dark places for a random network to find people in."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (9, 9), 2), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]


def predictor(backbone: str = "mobilenet_v2", **options: Any) -> Predictor:
    info = tiny_info(backbone)
    return Predictor(tiny_network(info), info, **{"input_size": 96, **options})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("predict") / "model.safetensors", backbone="mobilenet_v2", input_size=96)


# --- one image


def test_python_in_five_lines(model: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(photo()).save(path)
    people = ae.load(model)(path)
    assert len(people) > 0
    assert people.keypoints.shape == (len(people), len(FIGURE), 3)
    assert people.image_size == (64, 96)
    assert people.draw().shape == (64, 96, 3)
    assert (people.draw() != photo()).any()
    people.save(str(tmp_path / "out.json"))
    document = json.loads((tmp_path / "out.json").read_text())
    assert len(document["annotations"]) == len(people)
    assert document["images"][0]["file_name"] == str(path)


def test_a_stream_is_lazy_and_in_order(model: str) -> None:
    taken = []

    def sources() -> Iterator[Array]:
        for seed in range(30):
            taken.append(seed)
            yield photo(seed=seed)

    run = ae.load(model)
    stream = run.stream(sources())
    first = next(stream)
    assert len(taken) <= 8  # a few are read ahead, however many there are
    found = [first, *stream]
    assert len(found) == 30
    for seed in (0, 13, 29):
        np.testing.assert_array_equal(found[seed].keypoints, run(photo(seed=seed)).keypoints)


def test_a_stream_stops_at_the_first_fault_and_can_be_left_early(model: str) -> None:
    stream = ae.load(model).stream([photo(), "nothing.jpg", photo()])
    next(stream)
    with pytest.raises(ValueError, match="No such file"):
        next(stream)
    before = threading.active_count()
    left = ae.load(model).stream(photo(seed=seed) for seed in range(100))
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= before


def test_any_kind_of_source_gives_the_same_people(tmp_path: Path) -> None:
    run = predictor()
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path)
    expected = run(photo()).keypoints
    for source in (path, str(path), path.read_bytes(), Image.fromarray(photo()), photo().astype(np.float32) / 255):
        np.testing.assert_allclose(run(source).keypoints, expected, atol=1e-4)


def test_the_order_of_images_does_not_matter() -> None:
    run = predictor()
    images = [photo(64, 96, 0), photo(96, 64, 1), photo(33, 70, 2)]
    forth = [run(image).keypoints for image in images]
    back = [run(image).keypoints for image in images[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))


def test_keypoints_are_in_image_pixels() -> None:
    """Twice the image, the same view of the network, twice the coordinates."""
    run = predictor()
    image = photo()
    large = image.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(run(large).keypoints[:, :, :2], 2 * run(image).keypoints[:, :, :2], atol=1e-2)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 5)])
def test_images_of_any_shape(size: tuple[int, int]) -> None:
    people = predictor(flip=True)(photo(*size))
    assert np.isfinite(people.keypoints).all()


def test_output_that_is_not_finite_is_an_error_that_names_the_image(tmp_path: Path) -> None:
    run = predictor()
    with torch.no_grad():
        run.network.body.heatmap_head[-1].bias.fill_(float("nan"))
    Image.fromarray(photo()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: .*NaN or infinity"):
        run(tmp_path / "a.png")


# --- mirror and scales


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 2.0)])
def test_a_mirrored_image_gives_mirrored_maps(scales: tuple[float, ...]) -> None:
    """Exactly; the tags of the image and of its mirror change places."""
    run = predictor(flip=True, scales=scales)
    image = photo(64, 96)
    (maps, _), (mirrored, _) = run.maps(image), run.maps(np.ascontiguousarray(image[:, ::-1]))
    back = mirrored.heatmap.flip(-1)[:, FIGURE.flip_index]
    torch.testing.assert_close(back, maps.heatmap, rtol=0, atol=1e-6)
    tag = mirrored.tag.flip(-1)[:, FIGURE.flip_index].unflatten(2, (len(scales), 2, 2)).flip(3).flatten(2, 4)
    torch.testing.assert_close(tag, maps.tag, rtol=0, atol=1e-5)


def test_mirrored_people_have_left_and_right_exchanged(shared: Path) -> None:
    image = read_image(shared / "data" / "pose" / "coco" / "images" / "000000000785.jpg")
    image = cv2.resize(image, (384, 256), interpolation=cv2.INTER_AREA)
    run = ae.load(input_size=384, flip=True)
    people = run(image)
    mirrored = run(np.ascontiguousarray(image[:, ::-1])).keypoints[:, run.info.task.skeleton.flip_index]
    mirrored[:, :, 0] = np.where(mirrored[:, :, 2] > 0, 384 - mirrored[:, :, 0], 0)
    assert people.score[0] > 0.3
    np.testing.assert_allclose(mirrored[0], people.keypoints[0], atol=0.01)


def test_merging_a_mirror_exchanges_left_and_right() -> None:
    heatmap = torch.zeros(1, 5, 2, 4)
    heatmap[0, 1, 0, 0] = 1.0  # left shoulder at the left edge
    mirrored = torch.zeros(1, 5, 2, 4)
    mirrored[0, 2, 0, 3] = 1.0  # in the mirror it is a right one at the right edge
    tag = torch.zeros(1, 5, 1, 2, 4)
    merged = merge_mirror(Maps(heatmap, tag), Maps(mirrored, tag + 1), FIGURE.flip_index)
    assert torch.equal(merged.heatmap, heatmap)
    assert merged.tag.shape == (1, 5, 2, 2, 4)
    assert merged.tag[0, 1, :, 0, 0].tolist() == [0, 1]


def test_one_scale_is_the_plain_path() -> None:
    image = photo()
    plain, listed = predictor().maps(image)[0], predictor(scales=(1,)).maps(image)[0]
    assert torch.equal(plain.heatmap, listed.heatmap)
    assert torch.equal(plain.tag, listed.tag)


@pytest.mark.parametrize(
    ("scales", "flip", "size"), [((1.0,), True, 4), ((0.5, 1.0), False, 4), ((1, 2, 0.5), True, 12)]
)
def test_tags_are_stacked(scales: tuple[float, ...], flip: bool, size: int) -> None:
    run = predictor(scales=scales, flip=flip)
    maps, geometry = run.maps(photo())
    assert maps.tag.shape[2] == size
    assert maps.heatmap.shape[-2:] == geometry.map_size
    assert geometry.input_size[1] == 96 * max(scales)
    assert run(photo()).tag.shape[1] == size


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (2, 640)])
def test_a_model_may_state_the_short_side(size: tuple[int, int]) -> None:
    info = tiny_info("mobilenet_v2", resize="short", input_size=96)
    _, geometry = Predictor(tiny_network(info), info).maps(photo(*size))
    assert geometry.scale == pytest.approx(min(96 / min(size), 4096 / max(size)))


def test_a_model_may_want_its_maps_enlarged() -> None:
    """The maps are the plain ones as OpenCV resizes them, and places in the image stay."""
    info = tiny_info("mobilenet_v2", input_size=96)
    network, plain = tiny_network(info), predictor()
    large = Predictor(network, replace(info, enlarge=4), scales=(1.0, 0.5), flip=True)
    assert large.maps(photo())[0].tag.shape[2:] == (8, 64, 96)
    maps, geometry = Predictor(network, replace(info, enlarge=4)).maps(photo())
    coarse, reference = plain.maps(photo())
    assert geometry.stride == 1
    assert maps.heatmap.shape[-2:] == geometry.map_size
    for ours, theirs in ((maps.heatmap[0, 1], coarse.heatmap[0, 1]), (maps.tag[0, 2, 1], coarse.tag[0, 2, 1])):
        np.testing.assert_allclose(ours, cv2.resize(theirs.numpy(), ours.shape[::-1]), atol=1e-4)
    xy = np.array([[10.0, 20.0]])
    np.testing.assert_allclose(geometry.to_image(geometry.to_map(xy)), reference.to_image(reference.to_map(xy)))


def test_maps_cannot_be_enlarged_to_half_pixels() -> None:
    info = tiny_info("mobilenet_v2", enlarge=3)
    with pytest.raises(ValueError, match="maps of stride 4 cannot be enlarged 3 times"):
        Predictor(tiny_network(info), info)


def test_tags_of_some_scales() -> None:
    """The official code's way: heatmaps of all scales, tags of scale 1 alone, brought to the largest map."""
    every = predictor(scales=(2, 1, 0.5), flip=True).maps(photo())[0]
    run = predictor(scales=(2, 1, 0.5), flip=True, tag_scales=(1,))
    some = run.maps(photo())[0]
    assert torch.equal(some.heatmap, every.heatmap)
    assert torch.equal(some.tag, every.tag[:, :, 4:8])  # of 2 scales x (tag, mirror) x 2 before it: 4
    assert run.with_decode(nms=3).tag_scales == (1,)


def sample_by_loops(value: Array, source: ImageGeometry, target: ImageGeometry) -> Array:
    """``(C, h, w)`` of one view at the places of another's pixels: the mean of four neighbours by nearness."""
    height, width = value.shape[1:]
    out = np.zeros((len(value), *target.map_size))
    for y, x in np.ndindex(*target.map_size):
        # through the image, whose only change between the two views is its scale
        sx, sy = (np.array([x, y]) + 0.5) * target.stride / target.scale * source.scale / source.stride - 0.5
        sx, sy = min(max(sx, 0), width - 1), min(max(sy, 0), height - 1)
        left, top = int(sx), int(sy)
        for row, down in ((top, 1 - (sy - top)), (min(top + 1, height - 1), sy - top)):
            for column, right in ((left, 1 - (sx - left)), (min(left + 1, width - 1), sx - left)):
                out[:, y, x] += down * right * value[:, row, column]
    return out


@pytest.mark.parametrize("sizes", [(64, 128), (96, 64), (100, 33)])
def test_resampling_is_a_loop_over_pixels(sizes: tuple[int, int]) -> None:
    source, target = (letterbox((70, 100), size, multiple=32, stride=4) for size in sizes)
    generator = torch.Generator().manual_seed(0)
    maps = Maps(
        torch.rand(1, 3, *source.map_size, generator=generator),
        torch.rand(1, 3, 2, *source.map_size, generator=generator),
    )
    ours = resample(maps, source, target)
    np.testing.assert_allclose(ours.heatmap[0], sample_by_loops(maps.heatmap[0].numpy(), source, target), atol=1e-5)
    tag = sample_by_loops(maps.tag[0].flatten(0, 1).numpy(), source, target)
    np.testing.assert_allclose(ours.tag[0].flatten(0, 1), tag, atol=1e-5)


def test_whole_pictures_are_resized_as_published() -> None:
    """Without padding, resampling is the bilinear resize (pixel centres) of published code."""
    source, target = (letterbox((64, 96), size, multiple=32, stride=4) for size in (96, 192))
    heatmap = torch.rand(1, 2, *source.map_size, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.interpolate(heatmap, target.map_size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resample(Maps(heatmap, heatmap[:, :, None]), source, target).heatmap, theirs)


@torch.no_grad()
def test_scales_and_mirror_are_a_loop() -> None:
    """The whole of test time: every view and its mirror image, left and right exchanged, all at the largest map."""
    image = photo(70, 100)
    run = predictor(scales=(1, 1.5), flip=True)
    views = [letterbox((70, 100), long_side, multiple=32, stride=run.network.stride) for long_side in (144, 96)]
    heatmaps, tags = [], []
    for geometry in views:
        for mirror in (False, True):
            x = warp(image, geometry)
            x = np.ascontiguousarray(x[:, ::-1]) if mirror else x
            maps = run.network(torch.from_numpy(x).permute(2, 0, 1)[None])[-1]
            for values, into in ((maps.heatmap[0, :, None], heatmaps), (maps.tag[0], tags)):
                value = values.numpy()  # (C, 1 or D, h, w)
                if mirror:
                    value = np.stack([value[k, :, :, ::-1] for k in FIGURE.flip_index])
                into.append(np.stack([sample_by_loops(v, geometry, views[0]) for v in value]))
    merged, geometry = run.maps(image)
    assert geometry.input_size == views[0].input_size
    np.testing.assert_allclose(merged.heatmap[0], np.mean(heatmaps, axis=0)[:, 0], atol=1e-5)
    np.testing.assert_allclose(merged.tag[0], np.concatenate(tags, axis=1), atol=1e-4)


def test_a_model_has_scales_of_its_own() -> None:
    info = tiny_info("mobilenet_v2", scales=(0.5, 1.0))
    network = tiny_network(info)
    assert Predictor(network, info).scales == (1.0, 0.5)
    assert Predictor(network, info, scales=(2.0,)).scales == (2.0,)


def test_a_model_says_from_which_score_on_people_are_shown(tmp_path: Path) -> None:
    """To the commands; in Python all are returned."""
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for score in (0.0, 1.0):
        decode = replace(TINY_DECODE, shown_score=score)
        model = tiny_model(tmp_path / f"{score}.safetensors", decode=decode)
        command = ["predict", str(tmp_path / "a.png"), "--model", model, "--output", str(tmp_path / f"{score}")]
        assert main(command) == 0
        rows = json.loads((tmp_path / f"{score}" / "predictions.json").read_text())["annotations"]
        everybody = ae.load(model)(tmp_path / "a.png")
        assert len(everybody) > 0
        assert len(rows) == (everybody.score >= score).sum()


def test_scales_are_aligned() -> None:
    """A network whose map is the picture itself: all scales of a smooth picture agree where they show the same."""

    class Mirror(torch.nn.Module):
        stride, multiple, tag_size = 4, 32, 1
        device, gives_peaks = torch.device("cpu"), False

        def forward(self, x: torch.Tensor) -> list[Maps]:
            small = torch.nn.functional.avg_pool2d(x.float() / 255, 4)
            heatmap = small.mean(dim=1, keepdim=True).expand(-1, 5, -1, -1)
            return [Maps(heatmap, heatmap[:, :, None])]

    y, x = np.mgrid[:96, :128]
    image = np.repeat((127 + 60 * np.sin(x / 17) + 60 * np.cos(y / 13)).astype(np.uint8)[..., None], 3, axis=2)
    info = tiny_info("mobilenet_v2")
    for scales in ((1.0, 0.75), (1.0, 0.5), (1.5, 1.0, 0.6)):
        maps, _ = Predictor(Mirror(), info, input_size=128, scales=scales).maps(image)  # type: ignore[arg-type]
        tags = maps.tag[0, 0]  # (scales, h, w)
        inside = tags[:, 2 : int(0.85 * 96 * max(scales) / 4), 2:-2]  # below is padding
        assert float((inside - inside[:1]).abs().max()) < 0.03


@pytest.mark.parametrize("options", [{"scales": ()}, {"scales": (1, 1)}, {"scales": (0,)}, {"scales": (float("nan"),)},
                                     {"input_size": 8}, {"input_size": 0}, {"scales": (100,)},
                                     {"tag_scales": (2.0,)}, {"tag_scales": ()}])  # fmt: skip
def test_bad_sizes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scales must be|is not within 32"):
        predictor(**options)


def test_decode_settings_can_be_changed() -> None:
    run = predictor()
    assert len(run.with_decode(threshold=0.999, fill=False)(photo())) < len(run(photo()))
    with pytest.raises(ValueError, match="unknown decode setting treshold; known are threshold, nms"):
        run.with_decode(treshold=0.1)
    with pytest.raises(ValueError, match="nms") as error:
        run.with_decode(nms="x")
    assert "unknown" not in str(error.value)
    with pytest.raises(ValueError, match="odd"):
        run.with_decode(nms=2)


# --- many files


def predict(model: str, output: Path, *arguments: object) -> int:
    return main(["predict", "--model", model, "--output", str(output), "--min-score", "0", *map(str, arguments)])


def document_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "predictions.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A colour image, a grey one, one that EXIF turns, one with alpha, and a file that is no image but says so."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    image = Image.fromarray(photo())
    image.save(tmp_path / "in" / "a.jpg", quality=95)
    image.convert("L").save(tmp_path / "in" / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "in" / "turned.jpg", exif=exif)
    image.convert("RGBA").save(tmp_path / "in" / "sub" / "alpha.png")
    return tmp_path / "in"


def test_folders_patterns_and_files(model: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert predict(model, output, folder / "*.jpg", folder / "a.jpg", folder, "--recursive") == 0
    document = document_of(output)
    names = [Path(image["file_name"]).name for image in document["images"]]
    assert names == ["a.jpg", "turned.jpg", "grey.png", "alpha.png"]  # each once
    assert [(i["height"], i["width"]) for i in document["images"]] == [(64, 96), (96, 64), (64, 96), (64, 96)]
    assert document["categories"][0]["keypoints"] == list(FIGURE.keypoints)
    assert document["annotations"]
    assert {a["image_id"] for a in document["annotations"]} <= {1, 2, 3, 4}
    pictures = {path.name.rsplit("-", 1)[0]: path for path in output.glob("*-*.*")}
    assert pictures.keys() == {"a", "turned", "grey", "alpha"}
    assert read_image(pictures["turned"]).shape == (96, 64, 3)


def test_one_bad_file_is_reported_and_the_rest_is_done(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:400])
    (folder / "c.png").write_bytes(b"")
    assert predict(model, tmp_path / "out", folder, tmp_path / "nothing.jpg", "--json", tmp_path / "r.json") == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("ae: ") for line in lines)
    assert [name in line for name, line in zip(("nothing.jpg", "b.jpg", "c.png"), lines, strict=True)] == [True] * 3
    document = json.loads((tmp_path / "r.json").read_text())
    assert [Path(i["file_name"]).name for i in document["images"]] == ["a.jpg", "grey.png", "turned.jpg"]


def test_nobody_in_the_picture_is_a_valid_result(model: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert predict(model, output, folder / "a.jpg", "--min-score", "1") == 0
    document = document_of(output)
    assert document["annotations"] == []
    assert len(document["images"]) == len(document["categories"]) == 1


def test_no_source_that_can_be_read_leaves_earlier_results_alone(model: str, folder: Path, tmp_path: Path) -> None:
    predict(model, tmp_path / "out", folder / "a.jpg", "--show", "nothing")
    before = document_of(tmp_path / "out")
    assert predict(model, tmp_path / "out", tmp_path / "typo.jpg") == 1
    assert document_of(tmp_path / "out") == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.json"]


def test_images_that_all_fail_leave_earlier_results_alone(model: str, folder: Path, tmp_path: Path) -> None:
    predict(model, tmp_path / "out", folder / "a.jpg", "--show", "nothing")
    before = document_of(tmp_path / "out")
    (folder / "a.jpg").write_bytes(b"")
    assert predict(model, tmp_path / "out", folder / "a.jpg") == 1
    assert document_of(tmp_path / "out") == before


def test_a_closed_output_does_not_stop_the_work(model: str, folder: Path, tmp_path: Path) -> None:
    """As in ``ae predict in/ | head -1``: the reader is gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "associative_embedding", "predict", str(folder), "--model", model]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(document_of(tmp_path / "out")["images"]) == len(list((tmp_path / "out").glob("*-*.*"))) == 3


def test_a_url(model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert predict(model, tmp_path / "out", f"{url}/a.jpg", f"{url}/none.jpg") == 1
        finally:
            server.shutdown()
    assert [i["file_name"] for i in document_of(tmp_path / "out")["images"]] == [f"{url}/a.jpg"]
    assert "none.jpg: HTTP 404" in capfd.readouterr().err


def test_interrupted_what_was_computed_is_kept(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = Predictor.__call__

    def interrupting(self: Predictor, source: Any, **options: Any) -> Any:
        if "turned" in str(source):
            signal.raise_signal(signal.SIGINT)
        return original(self, source, **options)

    monkeypatch.setattr(Predictor, "__call__", interrupting)
    assert predict(model, tmp_path / "out", folder) == 130
    results = tmp_path / "out" / "predictions.json"
    assert capfd.readouterr().err == f"ae: interrupted; 2 of 3 images are in {results}\n"
    assert len(document_of(tmp_path / "out")["images"]) == 2

    monkeypatch.undo()
    assert predict(model, tmp_path / "out", folder, "--resume") == 0
    assert predict(model, tmp_path / "whole", folder) == 0
    assert f"2 images are in {results} already" in capfd.readouterr().out
    resumed, whole = document_of(tmp_path / "out"), document_of(tmp_path / "whole")
    assert [resumed[key] for key in ("images", "annotations", "categories")] == [
        whole[key] for key in ("images", "annotations", "categories")
    ]
    assert predict(model, tmp_path / "out", folder, "--resume") == 0  # nothing is left to do
    assert document_of(tmp_path / "out")["annotations"] == whole["annotations"]


def test_only_ones_own_results_are_resumed(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out" / "predictions.json"
    results.parent.mkdir()
    for text, message in (
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cow"}]}', "its categories differ"),
        ("[", "not a json file"),
    ):
        results.write_text(text)
        assert predict(model, tmp_path / "out", folder, "--resume") == 1
        assert message in capfd.readouterr().err
        assert results.read_text() == text


def test_a_picture_that_cannot_be_written_stops_with_one_line(
    model: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    assert predict(model, tmp_path / "out", folder, "--json", tmp_path / "r.json") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ae: error: cannot write")
    assert len(json.loads((tmp_path / "r.json").read_text())["images"]) == 1


@pytest.mark.parametrize("options", [[], ["--flip", "--scales", "1", "0.5"]])
def test_the_picture_of_tags(model: str, folder: Path, tmp_path: Path, options: list[str]) -> None:
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags", "--scores", *options) == 0
    (path,) = (tmp_path / "out").glob("*.jpg")
    height, width = read_image(path).shape[:2]
    assert height > 64 + 5 * 26  # people, tag maps, and a row a keypoint type
    assert width > 600


def test_tag_maps_are_drawn_over_what_they_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def draw(image: Array, tag: Array, heatmap: Array, channels: dict[str, int]) -> Array:
        seen.update(image=image, tag=tag)
        return image

    monkeypatch.setattr(run_predict, "draw_tag_maps", draw)
    run = predictor(input_size=128)
    run_predict.tag_pictures(*run.explain(photo(100, 130)))
    height, width = seen["tag"].shape[1:]
    assert seen["image"].shape[:2] == (4 * height, 4 * width)


def test_a_person_has_one_colour_in_all_pictures() -> None:
    """Groups are numbered as the people shown; detections of people that are not shown are in none."""
    decoded, _, geometry = predictor().explain(photo())
    everybody = decoded.instances
    shown = run_predict.select(decoded, np.arange(len(everybody)) > 0)
    groups, people = run_predict.shown_groups(shown), shown.instances
    assert len(groups) == len(people) == len(everybody) - 1 > 0
    np.testing.assert_allclose(groups.tag, people.tag, rtol=1e-5)
    xy = geometry.to_image(decoded.detections.xy)
    for i in np.flatnonzero(groups.group >= 0):
        point = people.keypoints[groups.group[i], decoded.channel[i], :2]
        np.testing.assert_allclose(point, xy[i], atol=1e-3)
    assert set(groups.group) == {-1, *range(len(people))}


def test_people_with_equal_tags_keep_their_own_groups() -> None:
    """Groups are numbers; that tags are equal says nothing."""
    run = predictor().with_decode(duplicate_oks=1.0, fill=False)
    maps, geometry = run.maps(photo())
    decoded = run.task.decode_groups(Maps(maps.heatmap, torch.zeros_like(maps.tag)), geometry)
    assert len(decoded.groups) > 1
    groups = run_predict.shown_groups(decoded)
    assert sorted(np.bincount(groups.group[groups.group >= 0])) == sorted(np.bincount(decoded.groups.group))


def test_nobody_shown_is_no_group() -> None:
    decoded, _, _ = predictor().explain(photo())
    nobody = run_predict.select(decoded, np.zeros(len(decoded.instances), bool))
    assert set(run_predict.shown_groups(nobody).group) == {-1}


def test_tags_are_shown_of_the_same_run_of_the_network(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, original = [], Predictor.views
    monkeypatch.setattr(Predictor, "views", lambda self, image: (seen.append(1), original(self, image))[1])
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags") == 0
    assert len(seen) == 1


def test_guessed_keypoints_are_not_drawn() -> None:
    """One stray peak and filled-in points of nearly no score are no person to be seen."""
    found = predictor()(photo())[:1]
    keypoints = found.keypoints.copy()
    keypoints[..., :2] = np.linspace(10, 60, keypoints.shape[1])[:, None]
    keypoints[..., 2] = MIN_KEYPOINT_SCORE / 2
    keypoints[0, 0, 2] = 0.5
    picture = replace(found, keypoints=keypoints).draw()
    changed = (picture != photo()).any(axis=2)
    assert changed[:20, :20].any()
    assert not changed[30:, 30:].any()
