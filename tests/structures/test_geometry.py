"""Geometry: round trips, published affine matrices, and where a drawn dot lands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import (
    ImageGeometry,
    centred,
    crop_boxes,
    crop_input_size,
    letterbox,
    long_side,
    round_up,
    warp,
)

side = st.integers(1, 5000)
small = settings(max_examples=50, deadline=None)


def corners(size: tuple[int, int]) -> Array:
    height, width = size
    return np.array([[0, 0], [width, 0], [0, height], [width, height], [width / 3, height / 7]], dtype=np.float64)


def assert_round_trips(geometry: ImageGeometry) -> None:
    xy = corners(geometry.image_size)
    scale = max(geometry.image_size)
    for there, back in ((geometry.to_input, geometry.from_input), (geometry.to_map, geometry.to_image)):
        np.testing.assert_allclose(back(there(xy)), xy, rtol=0, atol=1e-9 * max(1, scale / 100))
    np.testing.assert_allclose(geometry.to_map(xy), geometry.to_input(xy) / geometry.stride - 0.5, atol=1e-9)


@given(height=side, width=side, long_side=st.integers(32, 2048), multiple=st.sampled_from([1, 4, 32, 64]))
@small
def test_letterbox(height: int, width: int, long_side: int, multiple: int) -> None:
    geometry = letterbox((height, width), long_side, multiple=multiple, stride=4)
    assert_round_trips(geometry)
    h, w = geometry.input_size
    assert h % multiple == w % multiple == 0
    bottom_right = geometry.to_input(np.array([width, height], dtype=np.float64))
    np.testing.assert_allclose(max(bottom_right), long_side)
    # the whole image is inside, and the padding is less than one multiple
    assert bottom_right[0] <= w + 1e-5
    assert bottom_right[1] <= h + 1e-5
    assert w - bottom_right[0] < multiple + 1e-5 or w == multiple
    assert h - bottom_right[1] < multiple + 1e-5 or h == multiple


@given(
    height=st.integers(1, 800),
    width=st.integers(1, 800),
    scale=st.floats(0.05, 4),
    rotation=st.floats(-180, 180),
    mirror=st.booleans(),
    stride=st.sampled_from([1, 2, 4, 8]),
)
@small
def test_centred(height: int, width: int, scale: float, rotation: float, mirror: bool, stride: int) -> None:
    geometry = centred((height, width), (256, 320), stride=stride, scale=scale, rotation=rotation, mirror=mirror)
    assert_round_trips(geometry)
    assert geometry.scale == pytest.approx(scale)
    assert geometry.map_size == (256 // stride, 320 // stride)
    middle = geometry.to_input(np.array([width / 2, height / 2]))
    np.testing.assert_allclose(middle, [160, 128], atol=1e-9)


def test_mirror_is_width_minus_x() -> None:
    plain = centred((40, 60), (40, 60), stride=1, scale=1)
    mirrored = centred((40, 60), (40, 60), stride=1, scale=1, mirror=True)
    xy = corners((40, 60))
    np.testing.assert_allclose(plain.to_input(xy), xy)
    np.testing.assert_allclose(mirrored.to_input(xy), np.stack([60 - xy[:, 0], xy[:, 1]], axis=1))
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, plain), image)
    np.testing.assert_array_equal(warp(image, mirrored), image[:, ::-1])


def test_rotation_is_counter_clockwise() -> None:
    turned = centred((100, 100), (100, 100), stride=1, scale=1, rotation=90)
    np.testing.assert_allclose(turned.to_input(np.array([90.0, 50.0])), [50, 10], atol=1e-9)  # right goes up


def dot(size: tuple[int, int], xy: tuple[float, float], sigma: float) -> Array:
    """A bright Gaussian centred at continuous image coordinates."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    value = 255 * np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))
    return np.repeat(value.round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of(image: Array) -> Array:
    value = image[..., 0].astype(np.float64)
    y, x = np.mgrid[: value.shape[0], : value.shape[1]] + 0.5
    return np.array([(x * value).sum(), (y * value).sum()]) / value.sum()


@pytest.mark.parametrize("scale", [3.0, 1.7, 1.0, 0.8, 0.5, 0.37, 0.25, 0.11])
@pytest.mark.parametrize("rotation", [0.0, 25.0])
def test_a_dot_lands_where_its_centre_maps(scale: float, rotation: float) -> None:
    size, xy = (351, 502), (233.3, 190.8)
    image = dot(size, xy, sigma=3 / min(scale, 1))
    input_size = (round_up(351 * scale, 32), round_up(502 * scale, 32))
    geometry = centred(size, input_size, stride=4, scale=scale, rotation=rotation)
    np.testing.assert_allclose(centre_of(warp(image, geometry)), geometry.to_input(np.array(xy)), atol=0.05)


@pytest.mark.parametrize("long_side", [1024, 400, 96])
def test_letterbox_keeps_a_dot_and_pads_with_the_border(long_side: int) -> None:
    size, xy = (300, 401), (77.7, 199.1)
    geometry = letterbox(size, long_side, multiple=64, stride=4)
    image = warp(dot(size, xy, sigma=6), geometry)
    assert image.shape == (*geometry.input_size, 3)
    np.testing.assert_allclose(centre_of(image), geometry.to_input(np.array(xy)), atol=0.05)
    filled = warp(np.full((*size, 3), 200, np.uint8), geometry, border=7)
    right, below = np.ceil(geometry.to_input(np.array([401.0, 300.0]))).astype(int) + 1
    assert (filled[below:] == 7).all()
    assert (filled[:, right:] == 7).all()
    assert (filled[1 : below - 3, 1 : right - 3] == 200).all()


def test_strong_reduction_averages() -> None:
    """A tenth of the size averages 100 pixels, so noise becomes grey; four neighbours would leave half of it."""
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8)
    grey = warp(noise, letterbox((640, 640), 64, multiple=32, stride=4))
    assert noise.std() > 70
    assert grey.std() < 10
    assert grey.mean() == pytest.approx(noise.mean(), abs=1)


def test_nearest_keeps_masks_binary_and_two_dimensional() -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[20:50, 30:80] = 1
    small_mask = warp(mask, letterbox((90, 120), 40, multiple=4, stride=4), nearest=True)
    assert small_mask.shape == (32, 40)
    assert set(np.unique(small_mask)) == {0, 1}
    assert small_mask.sum() == pytest.approx(30 * 50 / 9, rel=0.1)


def test_one_pixel_image() -> None:
    geometry = letterbox((1, 1), 64, multiple=32, stride=4)
    image = warp(np.full((1, 1, 3), 200, np.uint8), geometry)
    assert image.shape == (64, 64, 3)
    assert image[31:33, 31:33].min() > 190  # it fades into the border, as every edge does over half a pixel


def test_published_affine_matrices(shared: Path) -> None:
    """pose-ae-train's and HigherHRNet's (centre, scale, rotation) views: the same matrices, read as continuous."""
    golden = np.load(shared / "reference/goldens/geometry.npz")
    for (cx, cy, scale, rotation, res), a, b in zip(
        golden["params"], golden["pose_ae_mat"], golden["hhr_mat"], strict=True
    ):
        size = (int(res), int(res))
        ours = centred((1, 1), size, stride=4, scale=res / (200 * scale), centre=(cx, cy), rotation=rotation)
        np.testing.assert_allclose(ours.matrix, a[:2], atol=1e-9)
        np.testing.assert_allclose(ours.matrix, b[:2], atol=1e-9)


def test_published_sizes_of_the_short_side(shared: Path) -> None:
    """HigherHRNet at scale 1: the same scale and input size. It pads around the image, we to the right and below; and
    it cuts a part of a pixel off rather than add 64."""
    golden = np.load(shared / "reference" / "goldens" / "geometry.npz")
    rows = [row for row in zip(golden["ms_in"], golden["ms_out"], strict=True) if row[0][3] == row[0][4] == 1]
    assert len(rows) > 8
    for (height, width, side, _, _), (input_width, input_height, _, _, span, _) in rows:
        size = (int(height), int(width))
        geometry = letterbox(size, long_side(size, side, "short"), multiple=64, stride=4)
        longest = max(size) * geometry.scale
        beyond = 64 if 0 < longest % 64 < 1 else 0
        assert sorted(geometry.input_size) == sorted([side, max(input_height, input_width) + beyond])
        assert geometry.scale == pytest.approx(input_width / (200 * span))


def test_the_long_side_of_a_short_one() -> None:
    assert long_side((30, 60), 40, "long") == long_side((60, 30), 40, "long") == 40
    assert long_side((30, 60), 40, "short") == long_side((60, 30), 40, "short") == 80


def test_published_back_projection(shared: Path) -> None:
    """HigherHRNet's final coordinates of a 427 x 640 image at 768 x 512, whose centre it rounds to (320, 214)."""
    golden = np.load(shared / "reference/goldens/geometry.npz")
    width, height = golden["final_wh"]
    scale = width / (golden["final_scale"][0] * 200)
    centre = tuple(float(v) for v in golden["final_center"])
    geometry = centred((427, 640), (int(height), int(width)), stride=1, scale=scale, centre=(centre[0], centre[1]))
    ours = geometry.from_input(golden["final_in"][:, :, :2].astype(np.float64))
    np.testing.assert_allclose(ours, golden["final_out"][:, :, :2], atol=1e-3)


def test_published_test_sizes(shared: Path) -> None:
    """HigherHRNet's inputs: the short side is scaled to a multiple of 64 at the smallest of several scales, the long
    side rounded up there, and both multiplied; the centre is rounded to a pixel (peers.md 1.6, 1.7).

    It truncates the long side before it rounds it up, and so cuts off what is less than a pixel.
    """
    golden = np.load(shared / "reference/goldens/geometry.npz")
    cut = 0
    for (h, w, size, scale, smallest), (width, height, x, y, *extent) in zip(
        golden["ms_in"].tolist(), golden["ms_out"].tolist(), strict=True
    ):
        factor = scale / smallest
        short = round_up(size * smallest, 64)
        geometry = letterbox(
            (int(h), int(w)), short * factor * max(h, w) / min(h, w), multiple=int(64 * factor), stride=1
        )
        long = short * max(h, w) / min(h, w)
        cuts = round_up(int(long), 64) < round_up(long, 64)
        cut += cuts
        assert max(geometry.input_size) == max(height, width) + 64 * factor * cuts
        assert min(geometry.input_size) == min(height, width) == short * factor
        assert (x, y) == (int(w / 2 + 0.5), int(h / 2 + 0.5))
        np.testing.assert_allclose([width / (200 * extent[0]), height / (200 * extent[1])], geometry.scale)
    assert 0 < cut < 20


def test_crops_have_a_smallest_size() -> None:
    squares = crop_boxes(np.array([[10.0, 20, 4, 2], [0, 0, 10, 100]]), margin=1.5, min_size=30)
    assert squares.tolist() == [[-3, 6, 30, 30], [-70, -25, 150, 150]]
    assert crop_boxes(np.zeros((0, 4)), margin=1.5, min_size=30).shape == (0, 4)
    assert crop_boxes(np.zeros((1, 4)), margin=1.5, min_size=30).tolist() == [[-15, -15, 30, 30]]


def test_a_crop_is_as_narrow_as_its_person_and_the_room_beside() -> None:
    tall, wide, round_, small = np.array([[10.0, 0, 20, 100], [0, 10, 100, 20], [0, 0, 90, 100], [5, 0, 2, 10]])
    crops = crop_boxes(np.stack([tall, wide, round_, small]), margin=1.3, min_size=26, beside=0.25)
    expected = [
        [20 - 35, -15, 70, 130],  # 20 wide, and 25 on both sides
        [-15, 20 - 35, 130, 70],
        [45 - 65, -15, 130, 130],  # no wider than a square
        [6 - 7, 5 - 13, 14, 26],  # of the smallest size, in the same proportion
    ]
    np.testing.assert_allclose(crops, expected)


def test_an_input_is_as_narrow_as_its_crop_in_whole_multiples() -> None:
    crops = np.array([[0.0, 0, 50, 100], [9, 9, 100, 40], [0, 0, 9, 9], [0, 0, 99, 100], [0, 0, 1, 900], [0, 0, 7, 7]])
    expected = [(224, 128), (96, 224), (224, 224), (224, 224), (224, 32), (224, 224)]
    assert [crop_input_size(crop, 224, 32) for crop in crops] == expected
    assert [crop_input_size(crop, 128, 16) for crop in crops[:2]] == [(128, 64), (64, 128)]  # 51.2 pixels high
