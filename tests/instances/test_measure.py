"""Measurements of objects, against scikit-image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from associative_embedding.instances import Instances
from associative_embedding.instances.measure import measurements
from associative_embedding.structures.masks import Masks
from support.found_instances import found


def cells(labels: np.ndarray, **changes: object) -> Instances:
    masks = Masks.from_labels(labels)
    n = len(masks)
    return Instances(
        score=np.linspace(0.9, 0.5, n).astype(np.float32),
        class_id=np.ones(n, np.int64),
        tag=np.zeros((n, 1), np.float32),
        keypoints=np.zeros((n, 0, 3), np.float32),
        image_size=masks.size,
        skeleton=None,
        masks=masks,
        class_names={1: "nucleus"},
        **changes,  # type: ignore[arg-type]
    )


def random_labels(seed: int) -> np.ndarray:
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(90, 70)), 3)
    return np.asarray(ndimage.label(noise > 0.02)[0])


@pytest.mark.parametrize("seed", range(5))
def test_shapes_and_intensities_are_those_of_scikit_image(seed: int) -> None:
    from skimage.measure import regionprops

    labels = random_labels(seed)
    values = np.random.default_rng(seed).integers(0, 60_000, (*labels.shape, 2), dtype=np.uint16)
    columns = measurements(cells(labels, values=values, channel_names=("DAPI", "GFP")))
    for i, region in enumerate(regionprops(labels, values)):
        assert columns["label"][i] == region.label
        assert columns["area"][i] == region.area
        y, x = region.centroid
        assert (columns["centroid_x"][i], columns["centroid_y"][i]) == pytest.approx((x + 0.5, y + 0.5))
        assert columns["perimeter"][i] == pytest.approx(region.perimeter)
        assert columns["eccentricity"][i] == pytest.approx(region.eccentricity, abs=1e-6)
        for c, name in enumerate(("DAPI", "GFP")):
            assert columns[f"mean_{name}"][i] == pytest.approx(region.intensity_mean[c])
            assert columns[f"max_{name}"][i] == region.intensity_max[c]


def test_overlapping_masks_are_measured_whole() -> None:
    square = np.zeros((9, 9), bool)
    square[1:5, 1:5] = True
    masks = Masks.from_dense([square, np.roll(square, 2, axis=(0, 1))], (9, 9))
    assert measurements(replace(cells(np.zeros((9, 9), int)), **two(masks)))["area"].tolist() == [16, 16]


def two(masks: Masks) -> dict[str, object]:
    empty = {"score": np.ones(2), "class_id": np.ones(2, int), "tag": np.zeros((2, 1)), "masks": masks}
    return empty | {"keypoints": np.zeros((2, 0, 3))}


def test_single_pixels_and_masks_without_pixels() -> None:
    masks = Masks.from_dense([np.eye(1, 9, 4, dtype=bool), np.zeros((1, 9), bool)], (1, 9))
    columns = measurements(replace(cells(np.zeros((1, 9), int)), image=np.zeros((1, 9, 3), np.uint8), **two(masks)))
    assert columns["area"].tolist() == [1, 0]
    assert (columns["centroid_x"][0], columns["eccentricity"][0], columns["mean_intensity"][0]) == (4.5, 0, 0)
    assert all(np.isnan(columns[name][1]) for name in ("centroid_x", "perimeter", "eccentricity", "mean_intensity"))


def test_micrometres_where_the_size_of_a_pixel_is_known() -> None:
    plain, sized = (measurements(cells(random_labels(0), pixel_size=size)) for size in (None, 0.5))
    assert "area_um2" not in plain
    np.testing.assert_allclose(sized["area_um2"], plain["area"] / 4)
    np.testing.assert_allclose(sized["perimeter_um"], plain["perimeter"] / 2)
    np.testing.assert_allclose(sized["centroid_x_um"], plain["centroid_x"] / 2)


def test_channels_of_a_picture_and_nan() -> None:
    labels = random_labels(0)
    colours = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    assert {"mean_red", "max_green", "mean_blue"} <= measurements(cells(labels, image=colours)).keys()
    grey = measurements(cells(labels, image=colours[:, :, :1].repeat(3, axis=2)))
    assert "mean_red" not in grey
    np.testing.assert_array_equal(grey["mean_intensity"], measurements(cells(labels, image=colours))["mean_red"])
    assert not any("mean" in name for name in measurements(cells(labels)))
    values = colours[:, :, :1].astype(np.float32)
    values[::2] = np.nan
    columns = measurements(cells(labels, values=values, channel_names=("dye",)))
    inside = values[..., 0][labels == 1]
    assert columns["mean_dye"][0] == pytest.approx(np.nanmean(inside))
    empty = measurements(cells(labels, values=np.full_like(values, np.nan), channel_names=("dye",)))
    assert np.isnan(empty["max_dye"]).all()


def test_the_table_has_all_measurements() -> None:
    header, first, *_ = found(2, masks=True).to_csv().splitlines()
    assert header.startswith(
        "image,class,score,x,y,width,height,label,centroid_x,centroid_y,area,perimeter,eccentricity"
    )
    assert first.split(",")[7:11] == ["1", "40.0427", "15.0126", "199"]
