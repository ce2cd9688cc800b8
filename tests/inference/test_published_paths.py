"""The whole way from an image to people, with the conventions of published code, against that code's own people.

Inputs are compared with the images that the code gives its network; the network's outputs are the goldens'.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from associative_embedding.inference.predictor import Predictor
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.published.geometry import CornerGeometry, input_geometry
from support.tiny import tiny_info

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PATHS = [
    "hrnet_w32_coco",
    "higherhrnet_w32_coco",
    "hrnet_w32_coco_udp",
    "higherhrnet_w32_coco_udp",
    "hourglass_ae_coco",
    "mobilenetv2_coco_multiscale",
    "hrnet_w48_mhp",
    "hrnet_w32_coco_wholebody",
    "litepose_crowdpose",
]
MMPOSE = Conventions()
UDP = Conventions(fit="corner", map_size="network", align_corners=True)
CONVENTIONS = {
    "hrnet_w32_coco_udp": UDP,
    "higherhrnet_w32_coco_udp": UDP,
    "hourglass_ae_coco": Conventions(align_corners=True),
    "litepose_crowdpose": Conventions(rounding="down", map_size="input-in-two-steps"),
}


class Golden:
    """A network whose outputs are known: those for an image at each scale, and for its mirror image."""

    stride, multiple, gives_peaks, device = 4, 32, False, "cpu"

    def __init__(self, arrays: dict[str, Array], keypoints: int) -> None:
        self.arrays, self.keypoints = arrays, keypoints
        self.seen: dict[str, Array] = {}

    def predict(self, image: Array) -> list[Maps]:
        scale = next(k[6:-6] for k in self.arrays if k.endswith("_shape") and self.arrays[k][2] == image.shape[-1])
        suffix = f"{scale}_flip" if scale in self.seen else scale
        self.seen[suffix] = image[0].transpose(1, 2, 0)
        outputs = [self.arrays.get(f"out{i}_{suffix}") for i in range(4)]
        return [self.maps(output.astype(np.float32)) for output in outputs if output is not None]

    def maps(self, output: Array) -> Maps:
        k = self.keypoints
        return Maps(output[:, :k], output[:, k:].reshape(1, k, -1, *output.shape[2:]))


def published_skeleton(keypoints: int, golden: dict[str, Array], order: list[int] | None) -> Skeleton:
    names = [f"keypoint_{i}" for i in range(keypoints)]
    usual = COCO_17.group_index if keypoints == 17 else range(keypoints)
    pairs = [(names[a], names[b]) for a, b in enumerate(golden["flip_index"]) if a < b]
    return Skeleton.build("person", names, flip_pairs=pairs, group_order=[names[i] for i in order or usual])


def predictor_of(name: str, arrays: dict[str, Array], facts: dict[str, Any]) -> Predictor:
    decode = DecodeConfig(
        tag_distance="l2",
        matching="rounded",
        assignment="published",
        position="dark" if facts["use_udp"] else "quarter",
        fill_rule="published",
        duplicate_oks=1.0,
    )
    skeleton = published_skeleton(facts["keypoints"], arrays, facts.get("group_order"))
    conventions = CONVENTIONS.get(name, MMPOSE)
    info = ModelInfo("hrnet_w32", PoseTask(skeleton, decode), facts["image_size"], conventions=conventions)
    return Predictor(Golden(arrays, facts["keypoints"]), info, scales=tuple(facts["scales"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PATHS)
def test_people_of_published_code(shared: Path, name: str) -> None:
    folder = shared / "reference/zoo/goldens"
    facts = json.loads((folder / "index.json").read_text())["meta"][f"path_{name}"]
    arrays = dict(np.load(folder / f"path_{name}.npz"))
    predictor = predictor_of(name, arrays, facts)
    found = predictor(arrays["image"])
    seen = predictor.network.seen  # type: ignore[union-attr]
    for scale in facts["scales"]:
        pixels = (seen[str(scale)][::5, ::5] / 255 - MEAN) / STD
        np.testing.assert_allclose(pixels, arrays[f"input_{scale}_sub"].transpose(1, 2, 0), atol=1e-6)
        np.testing.assert_array_equal(seen[f"{scale}_flip"], seen[str(scale)][:, ::-1])
    theirs = arrays["preds"]
    assert len(found) == len(theirs)
    apart = np.linalg.norm(found.keypoints[:, None, :, :2] - theirs[None, :, :, :2], axis=-1)
    a, b = linear_sum_assignment(np.median(apart, axis=2))
    np.testing.assert_array_equal(found.keypoints[a, :, 2] > 0, theirs[b, :, 2] > 0)
    there = theirs[b, :, 2] > 0
    np.testing.assert_allclose(found.keypoints[a][there], theirs[b][there][:, :3], atol=2e-4)
    np.testing.assert_allclose(found.score[a], arrays["scores"][b], atol=1e-6)


def test_published_sizes_and_matrices(shared: Path) -> None:
    """720 images at several scales: mmpose, with UDP, and HigherHRNet; also strips, and half pixels in the middle."""
    golden = np.load(shared / "reference/zoo/goldens/zoo_geometry.npz")
    rules = [MMPOSE, UDP, Conventions(rounding="down")]
    for (kind, height, width, side, scale, smallest), result in zip(golden["params"], golden["result"], strict=True):
        size = (int(height), int(width))
        geometry = input_geometry(size, int(side), rules[int(kind)], scale=scale, smallest=smallest)
        assert geometry.input_size == (result[1], result[0])
        np.testing.assert_allclose(geometry.matrix.ravel(), result[6:], atol=1e-4)


def test_published_places_in_the_image(shared: Path) -> None:
    """Not the two rows whose map has another shape than the input."""
    golden = np.load(shared / "reference/zoo/goldens/zoo_geometry.npz")
    for (height, width, udp, w, h), points in zip(golden["map_params"].tolist(), golden["map_points"], strict=True):
        geometry = input_geometry((height, width), 512, UDP if udp else MMPOSE)
        if udp:
            geometry = CornerGeometry(geometry.image_size, geometry.input_size, 1, geometry.matrix, (h, w))
            place = points[:, :2]
        elif geometry.input_size[1] * h == geometry.input_size[0] * w:
            factor = geometry.input_size[0] / h
            place = points[:, :2] * factor - 0.5
        else:
            continue
        np.testing.assert_allclose(geometry.to_image(place.astype(np.float64)), points[:, 2:], atol=1e-3)


@pytest.mark.parametrize("fit", ["centre", "corner", "square"])
@pytest.mark.parametrize("size", [(1, 1), (100, 100_000), (3000, 5), (480, 640), (641, 480)])
def test_there_and_back(fit: Any, size: tuple[int, int]) -> None:
    """Every image fits into an input of bounded size, and places survive."""
    geometry = input_geometry(size, 512, Conventions(fit=fit))
    assert np.prod(geometry.input_size) <= 512 * 8 * 512 + 8 * 512 * 64
    xy = np.random.default_rng(0).uniform(0, 1, (20, 2)) * size[::-1]
    np.testing.assert_allclose(geometry.to_image(geometry.to_map(xy)), xy, rtol=1e-9, atol=1e-6)
    inside = geometry.to_input(np.array([[0, 0], size[::-1]], dtype=float))
    reach = 1 + 0.51 * geometry.scale  # the centre is rounded to a pixel of the image
    assert (inside >= -reach).all()
    assert (inside <= np.array(geometry.input_size[::-1]) + reach).all()


def test_scales_that_the_network_cannot_have_are_refused() -> None:
    arrays = {"flip_index": COCO_17.flip_index}
    facts = {"keypoints": 17, "use_udp": False, "image_size": 512, "scales": [1, 1.3]}
    with pytest.raises(ValueError, match=r"at scale 1.3 sides would be no multiples of 32 .* use multiples of 0.5"):
        predictor_of("hrnet_w32_coco", arrays, facts)


def test_options_override_the_conventions() -> None:
    arrays = {"flip_index": COCO_17.flip_index}
    facts = {"keypoints": 17, "use_udp": False, "image_size": 512, "scales": [2, 1, 0.5]}
    predictor = predictor_of("hrnet_w32_coco", arrays, facts)
    assert (predictor.flip, predictor.tag_scales) == (True, (1,))
    other = Predictor(predictor.network, predictor.info, flip=False, scales=(2.0, 0.5), tag_scales=(2.0, 0.5))
    assert (other.flip, other.tag_scales) == (False, (2.0, 0.5))


def test_the_description_keeps_the_conventions() -> None:
    info = ModelInfo("hrnet_w32", PoseTask(COCO_17), 512, conventions=UDP)
    assert ModelInfo.from_json(info.to_json()).conventions == UDP
    plain = ModelInfo("hrnet_w32", PoseTask(COCO_17), 512)
    assert "conventions" not in json.loads(plain.to_json())
    assert ModelInfo.from_json(plain.to_json()).conventions is None


def test_only_models_of_poses_have_conventions() -> None:
    values = json.loads(tiny_info("mobilenet_v2").to_json())
    values |= {"task": "single-person", "decode": {}, "conventions": {"fit": "centre"}}
    with pytest.raises(ValueError, match="conventions belong to models of the task pose, not of single-person"):
        ModelInfo.from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("conventions", "message"),
    [
        ("centre", "must be a mapping"),
        ({"fits": "centre"}, "conventions.fits is not known"),
        ({"fit": "left"}, "conventions.fit must be one of centre, corner, square, not 'left'"),
        ({"fit": ["centre"]}, "conventions.fit must be one of"),
        ({"mirror": 1}, "conventions.mirror must be one of True, False, not 1"),
    ],
)
def test_other_conventions_are_refused(conventions: Any, message: str) -> None:
    values = json.loads(ModelInfo("hrnet_w32", PoseTask(COCO_17), 512).to_json()) | {"conventions": conventions}
    with pytest.raises(ValueError, match=message):
        ModelInfo.from_json(json.dumps(values))
