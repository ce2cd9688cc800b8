"""Six samples of pose-ae-train's augmentation, drawn again from their seeds (peers.md 1.1; ae_train_sample.npz).

The view is ours: `geometry.centred` with their numbers. Their conventions are translated here:

- the whole image's long side fits the crop when the scale is 1, and a greater scale shows more;
- they hand cv2 a matrix of continuous coordinates where it takes indices, so their picture lies up to half a pixel
  beside their keypoints (ours does not: `geometry.warp`);
- keypoints are truncated towards 0, so that some just outside of the map come back at its first row or column;
- with sigma 0.5 their patch of 6 x 6 pixels has its middle between pixels, and the peak is exp(-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from associative_embedding.data.augmentation.augment import view
from associative_embedding.data.augmentation.published_colours import change_colours
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.target import draw_gaussians, encode_pose
from associative_embedding.tasks.targets import ImageTarget

SEEDS = range(6)
INPUT, STRIDE, SIDE = (128, 128), 4, 32


@dataclass(frozen=True)
class Drawn:
    """Their numbers of one seed, and the rest of the stream, for colours."""

    rotation: float
    scale: float
    centre: tuple[float, float]
    mirror: bool
    rng: np.random.RandomState

    def geometry(self, image: Array, *, mirror: bool) -> ImageGeometry:
        """They turn, then mirror; ours mirrors, then turns: so it turns the other way."""
        return centred(
            (image.shape[0], image.shape[1]),
            INPUT,
            stride=STRIDE,
            scale=INPUT[0] / self.scale,
            centre=self.centre,
            rotation=-self.rotation if mirror else self.rotation,
            mirror=mirror,
        )


def draw(seed: int, image: Array) -> Drawn:
    """In their order: rotation, scale, dx, dy, mirror."""
    rng = np.random.RandomState(seed)
    height, width = image.shape[:2]
    rotation = (rng.random_sample() * 2 - 1) * 30
    scale = (rng.random_sample() * 0.5 + 0.75) * max(height, width)
    reach = int(40 * scale / 200)
    x, y = width / 2 + rng.randint(-reach, reach), height / 2 + rng.randint(-reach, reach)
    return Drawn(rotation, scale, (x, y), rng.randint(2) == 0, rng)


def load(shared: Path, seed: int) -> tuple[dict[str, Array], Drawn]:
    golden = dict(np.load(shared / "reference/goldens/ae_train_sample.npz"))
    return golden, draw(seed, golden["image"])


def target(golden: dict[str, Array], drawn: Drawn) -> tuple[Sample, ImageTarget]:
    sample = Sample(
        image=golden["image"],
        keypoints=golden["keypoints"].astype(np.float32),
        area=np.full(len(golden["keypoints"]), 1000, np.float32),
        labelled=np.ones(17, bool),
        ignore=~golden["mask"],
    )
    geometry = drawn.geometry(golden["image"], mirror=drawn.mirror)
    seen = view(sample, geometry, COCO_17.flip_index if drawn.mirror else None)
    return seen, encode_pose(seen, stride=STRIDE, sigma=0.5)


def vary(rgb: Array, rng: np.random.RandomState) -> Array:
    """In their order: hue, saturation, brightness and what they call contrast."""
    hue, saturation = (rng.random_sample() * 2 - 1) * 72, rng.random_sample() + 0.5
    brightness, spread = (rng.random_sample() * 2 - 1) * 0.3, rng.random_sample() + 0.5
    return change_colours(rgb, hue, saturation, brightness, spread)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_view_is_theirs(shared: Path, seed: int) -> None:
    """The picture to half precision, colours too: all numbers were drawn alike and the matrix is the same."""
    golden, drawn = load(shared, seed)
    plain = drawn.geometry(golden["image"], mirror=False)
    seen = cv2.warpAffine(golden["image"], plain.matrix, INPUT).astype(np.float32) / 255
    seen = np.ascontiguousarray(seen[:, ::-1]) if drawn.mirror else seen
    exact = 5e-4 if int(cv2.__version__.split(".")[0]) >= 5 else 2e-2  # OpenCV 4 interpolates in steps of 1/32 pixel
    np.testing.assert_allclose(vary(seen, drawn.rng), golden[f"img{seed}"].astype(np.float32), atol=exact)
    mirrored = drawn.geometry(golden["image"], mirror=True)
    xy = golden["keypoints"][..., :2]
    np.testing.assert_allclose(mirrored.to_input(xy) + plain.to_input(xy) * [1, -1], [[[128, 0]] * 17] * 3, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_tag_places_are_theirs(shared: Path, seed: int) -> None:
    golden, drawn = load(shared, seed)
    channel, y, x, person = target(golden, drawn)[1].index.T
    place = (channel * SIDE + y) * SIDE + x
    ours = [set(place[person == n].tolist()) for n in np.unique(person)]
    theirs = [set(row[row[:, 1] > 0, 0].tolist()) for row in golden[f"kpts{seed}"] if row[:, 1].any()]
    assert len(ours) == len(theirs) == 3
    for mine, their in zip(ours, theirs, strict=True):
        assert mine <= their
        back = [divmod(index % SIDE**2, SIDE) for index in their - mine]
        assert all(0 in yx for yx in back)  # truncated towards 0 from outside of the map
    assert sum(map(len, ours)) >= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_heatmaps_are_theirs(shared: Path, seed: int) -> None:
    """At their centres. Ours are cut at 4 sigma, a pixel inside of their patch."""
    golden, drawn = load(shared, seed)
    geometry = drawn.geometry(golden["image"], mirror=drawn.mirror)
    keypoints = golden["keypoints"][:, COCO_17.flip_index] if drawn.mirror else golden["keypoints"]
    pixel = np.trunc(geometry.to_input(keypoints[..., :2]) / STRIDE)
    inside = ((pixel >= 0) & (pixel < SIDE)).all(axis=-1) & (keypoints[..., 2] > 0)
    centre = np.trunc(pixel - 2.5) + 2.5
    ours = draw_gaussians(centre, inside, (SIDE, SIDE), 0.5)
    np.testing.assert_allclose(ours, golden[f"hm{seed}"].astype(np.float32), atol=4e-4)
    assert ours.max() == pytest.approx(np.exp(-1), abs=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_are_theirs(shared: Path, seed: int) -> None:
    """Crowds and what lies outside of the image do not count. Along their edges, which may be those of the map, half a
    pixel of difference may turn a pixel over."""
    golden, drawn = load(shared, seed)
    encoded = target(golden, drawn)[1]
    free = encoded.heatmap.max(axis=0) <= 0.1  # we teach a labelled keypoint wherever it is
    theirs = golden[f"mask{seed}"]
    around = np.ones((3, 3), np.uint8)
    inner = cv2.erode(theirs, around, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    outer = cv2.dilate(theirs, around, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    ours = encoded.valid.all(axis=0)
    assert ours[inner & free].all()
    assert not ours[~outer & free].any()
    assert (inner | ~outer)[free].mean() > 0.6
