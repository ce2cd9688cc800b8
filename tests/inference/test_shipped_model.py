"""The shipped weights: not changed, and with the results of their release."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from associative_embedding import load
from associative_embedding.io.images import read_image
from associative_embedding.model_files.find import WEIGHTS, model_path
from support.paths import ROOT

GOLDEN = ROOT / "tests/inference/golden_person.json"


def test_shipped_weights_are_those_that_were_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {path.name for path in WEIGHTS.glob("*.safetensors")}
    sums = dict(line.split()[::-1] for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == names
    for name, digest in sums.items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == digest
    for path in WEIGHTS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "person.safetensors").read_bytes())
    data[-1000] ^= 1
    (tmp_path / "person.safetensors").write_bytes(data)
    monkeypatch.setattr("associative_embedding.model_files.find.WEIGHTS", tmp_path)
    assert model_path("single-person").is_file()
    with pytest.raises(ValueError, match=r"person\.safetensors: is damaged"):
        load("person")


@pytest.mark.extra
def test_the_shipped_model_says_what_it_said_at_its_release() -> None:
    """Two photographs; half a pixel is room for other builds of the libraries."""
    skimage_data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    model = load()
    for name, expected in json.loads(GOLDEN.read_text()).items():
        image = getattr(skimage_data, name)()
        found = model.find(read_image(image))  # with raw scores
        found = found[found.score > 0.2]
        assert len(found) == len(expected["score"])
        np.testing.assert_allclose(found.score, expected["score"], atol=0.01)
        sure = found.keypoints[:, :, 2] > 0.2
        np.testing.assert_allclose(found.keypoints[sure, :2], np.array(expected["keypoints"])[sure, :2], atol=0.5)


def test_the_same_again_and_whatever_else_is_looked_at() -> None:
    model = load(input_size=256, scales=[1.0])
    rng = np.random.default_rng(0)
    images = [
        np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8)) for _ in range(4)
    ]
    first = [model(image) for image in images]
    for image, before in zip(reversed(images), reversed(first), strict=True):
        np.testing.assert_array_equal(model(image).keypoints, before.keypoints)
    batch = model.run_network([model.prepare(image) for image in images])
    together = [model.finish(image, [outputs]) for image, outputs in zip(images, batch, strict=True)]
    for found, before in zip(together, first, strict=True):
        np.testing.assert_allclose(found.tag, before.tag, atol=1e-5)
        np.testing.assert_allclose(found.score, before.score, atol=1e-5)
