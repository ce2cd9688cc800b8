"""The mirror image, and several sizes of one image, as one set of maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import associative_embedding as ae
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.images import read_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, letterbox, warp
from associative_embedding.structures.maps import Maps, enlarge, final_maps
from associative_embedding.tasks.multi_scale import merge_mirror, merge_views, resample
from support.tiny import FIGURE, photo, tiny_info, tiny_network, tiny_predictor


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 2.0)])
def test_a_mirrored_image_gives_mirrored_maps(scales: tuple[float, ...]) -> None:
    """Exactly; the tags of the image and of its mirror change places."""
    run = tiny_predictor(flip=True, scales=scales)
    image = photo(64, 96)
    (maps, _), (mirrored, _) = run.maps(image), run.maps(np.ascontiguousarray(image[:, ::-1]))
    back = mirrored.heatmap[:, FIGURE.flip_index, :, ::-1]
    np.testing.assert_allclose(back, maps.heatmap, rtol=0, atol=1e-6)
    tag = mirrored.tag[:, FIGURE.flip_index, ..., ::-1]
    exchanged = tag.reshape(*tag.shape[:2], len(scales), 2, 2, *tag.shape[3:])[:, :, :, ::-1]  # (scale, mirror, D)
    np.testing.assert_allclose(exchanged.reshape(tag.shape), maps.tag, rtol=0, atol=1e-5)


def test_mirrored_people_have_left_and_right_exchanged(shared: Path) -> None:
    image = read_image(shared / "data" / "pose" / "coco" / "images" / "000000000785.jpg")
    image = cv2.resize(image, (384, 256), interpolation=cv2.INTER_AREA)
    # Sizes without padding: it lies on the right, also of a mirror image.
    run = ae.load(
        input_size=384, scales=(1.0, 0.5), flip=True, refine_views="all"
    )  # one look alone does not know the mirror image
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
    plain, listed = tiny_predictor().maps(image)[0], tiny_predictor(scales=(1,)).maps(image)[0]
    assert np.array_equal(plain.heatmap, listed.heatmap)
    assert np.array_equal(plain.tag, listed.tag)


@pytest.mark.parametrize(
    ("scales", "flip", "size"), [((1.0,), True, 4), ((0.5, 1.0), False, 4), ((1, 2, 0.5), True, 12)]
)
def test_tags_are_stacked(scales: tuple[float, ...], flip: bool, size: int) -> None:
    run = tiny_predictor(scales=scales, flip=flip)
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
    network, plain = tiny_network(info), tiny_predictor()
    large = Predictor(network, replace(info, enlarge=4), scales=(1.0, 0.5), flip=True)
    assert large.maps(photo())[0].tag.shape[2:] == (8, 64, 96)
    maps, geometry = Predictor(network, replace(info, enlarge=4)).maps(photo())
    coarse, reference = plain.maps(photo())
    assert geometry.stride == 1
    assert maps.heatmap.shape[-2:] == geometry.map_size
    for ours, theirs in ((maps.heatmap[0, 1], coarse.heatmap[0, 1]), (maps.tag[0, 2, 1], coarse.tag[0, 2, 1])):
        np.testing.assert_allclose(ours, cv2.resize(theirs, ours.shape[::-1]), atol=1e-4)
    xy = np.array([[10.0, 20.0]])
    np.testing.assert_allclose(geometry.to_image(geometry.to_map(xy)), reference.to_image(reference.to_map(xy)))


def test_maps_cannot_be_enlarged_to_half_pixels() -> None:
    info = tiny_info("mobilenet_v2", enlarge=3)
    with pytest.raises(ValueError, match="maps of stride 4 cannot be enlarged 3 times"):
        Predictor(tiny_network(info), info)


def test_tags_of_some_scales() -> None:
    """The official code's way: heatmaps of all scales, tags of scale 1 alone, brought to the largest map."""
    every = tiny_predictor(scales=(2, 1, 0.5), flip=True).maps(photo())[0]
    run = tiny_predictor(scales=(2, 1, 0.5), flip=True, tag_scales=(1,))
    some = run.maps(photo())[0]
    assert np.array_equal(some.heatmap, every.heatmap)
    assert np.array_equal(some.tag, every.tag[:, :, 4:8])  # of 2 scales x (tag, mirror) x 2 before it: 4
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


@pytest.mark.slow
@torch.no_grad()
def test_scales_and_mirror_are_a_loop() -> None:
    """The whole of test time: every view and its mirror image, left and right exchanged, all at the largest map."""
    image = photo(70, 100)
    run = tiny_predictor(scales=(1, 1.5), flip=True)
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


def test_scales_are_aligned() -> None:
    """A network whose map is the picture itself: all scales of a smooth picture agree where they show the same."""

    class Mirror:
        stride, multiple, tag_size = 4, 32, 1
        device, gives_peaks = "cpu", False

        def predict(self, x: Array) -> list[Maps]:
            batch, _, height, width = x.shape
            small = x.reshape(batch, 3, height // 4, 4, width // 4, 4).mean(axis=(1, 3, 5), dtype=np.float32) / 255
            heatmap = small[:, None].repeat(5, axis=1)
            return [Maps(heatmap, heatmap[:, :, None])]

    y, x = np.mgrid[:96, :128]
    image = np.repeat((127 + 60 * np.sin(x / 17) + 60 * np.cos(y / 13)).astype(np.uint8)[..., None], 3, axis=2)
    info = tiny_info("mobilenet_v2")
    for scales in ((1.0, 0.75), (1.0, 0.5), (1.5, 1.0, 0.6)):
        maps, _ = Predictor(Mirror(), info, input_size=128, scales=scales).maps(image)  # type: ignore[arg-type]
        tags = maps.tag[0, 0]  # (scales, h, w)
        inside = tags[:, 2 : int(0.85 * 96 * max(scales) / 4), 2:-2]  # below is padding
        assert np.abs(inside - inside[:1]).max() < 0.03


@pytest.mark.parametrize("options", [{"scales": ()}, {"scales": (1, 1)}, {"scales": (0,)}, {"scales": (float("nan"),)},
                                     {"input_size": 8}, {"input_size": 0}, {"scales": (100,)},
                                     {"tag_scales": (2.0,)}, {"tag_scales": ()}])  # fmt: skip
def test_bad_sizes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scales must be|is not within 32"):
        tiny_predictor(**options)


@pytest.mark.parametrize("dimension", [0, 2])
def test_arrays_and_tensors_are_merged_alike(dimension: int) -> None:
    """A CPU merges arrays, a GPU tensors; a single-person model has no tags."""
    rng = np.random.default_rng(0)
    geometries = [letterbox((70, 100), side, multiple=32, stride=4) for side in (128, 64)]
    views = [
        (Maps(rng.random((1, 5, *g.map_size), np.float32), rng.random((1, 5, dimension, *g.map_size), np.float32)), g)
        for g in geometries
    ]

    def merged(of_kind: Callable[[Array], Any]) -> Maps:
        pairs = [(Maps(of_kind(maps.heatmap), of_kind(maps.tag)), geometry) for maps, geometry in views]
        maps = merge_views([(merge_mirror(maps, maps, FIGURE.flip_index), geometry) for maps, geometry in pairs])[0]
        return enlarge(final_maps([maps]), 2)

    arrays, tensors = merged(np.copy), merged(torch.from_numpy)
    assert isinstance(arrays.heatmap, np.ndarray)
    assert arrays.tag.shape == (1, 5, 4 * dimension, *(2 * side for side in geometries[0].map_size))
    np.testing.assert_allclose(arrays.heatmap, tensors.heatmap, atol=1e-5)
    np.testing.assert_allclose(arrays.tag, tensors.tag, atol=1e-5)
    assert arrays.heatmap.max() <= 1
