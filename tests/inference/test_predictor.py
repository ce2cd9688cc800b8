"""The predictor: one image after another, in Python."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import associative_embedding as ae
from associative_embedding.apps.cli.main import main
from associative_embedding.inference.load import load
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton
from support.tiny import FIGURE, photo, tiny_model, tiny_predictor


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


def test_a_call_shows_what_the_commands_show(model: str) -> None:
    run = ae.load(model, decode={"min_score": 0})
    everybody = run(photo(), min_score=0)
    shown = run(photo())
    assert len(everybody) > len(shown)
    assert shown == everybody[everybody.score >= run.task.shown_score]
    assert run(photo(), min_score=0.9) == everybody[everybody.score >= 0.9]
    assert list(run.stream([photo()], min_score=0)) == [everybody]


def test_a_list_of_images_gives_a_list(model: str, tmp_path: Path) -> None:
    run = ae.load(model)
    names = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, name in enumerate(names):
        Image.fromarray(photo(seed=seed)).save(name)
    found = run([photo(seed=seed) for seed in range(3)])
    assert [people.keypoints.tolist() for people in found] == [run(name).keypoints.tolist() for name in names]
    assert run([]) == []
    by_pattern = run.stream(f"{tmp_path}/*.png")
    assert [people.source for people in by_pattern] == list(map(str, names))


def test_a_model_file_says_whose_tags_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_model(tmp_path / "m.safetensors", scales=(1.0, 0.5), tag_scales=(1.0,))
    assert load_model(path)[1].tag_scales == (1.0,)
    assert ae.load(path).tag_scales == (1.0,)
    assert ae.load(path, scales=(1.0, 0.75, 0.5)).tag_scales == (1.0,)
    assert ae.load(path, tag_scales=(0.5,)).tag_scales == (0.5,)
    assert ae.load(path, scales=(0.75, 0.5)).tag_scales == (0.75, 0.5)  # without the model's scale, all
    of_one, of_all = (ae.load(path, tag_scales=used)(photo(), min_score=0) for used in (None, (1.0, 0.5)))
    assert (of_one.tag.shape[1], of_all.tag.shape[1]) == (2, 4)
    assert main(["info", path]) == 0
    assert "tags of        1\n" in capsys.readouterr().out
    other = tiny_model(tmp_path / "other.safetensors", scales=(1.0, 0.5))
    assert ae.load(other).tag_scales == (1.0, 0.5)
    assert main(["info", other]) == 0
    assert "tags of  " not in capsys.readouterr().out


def test_a_model_tells_what_it_is(model: str) -> None:
    run = ae.load(model, scales=[1.0, 0.5], flip=True)
    assert repr(run).startswith("Predictor(pose: figure, 5 keypoints, ")
    assert "px, and mirrored, " in repr(run)
    assert run.names == {1: "figure"}


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
    run = tiny_predictor()
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path)
    expected = run(photo()).keypoints
    for source in (path, str(path), path.read_bytes(), Image.fromarray(photo()), photo().astype(np.float32) / 255):
        np.testing.assert_allclose(run(source).keypoints, expected, atol=1e-4)


def test_the_order_of_images_does_not_matter() -> None:
    run = tiny_predictor()
    images = [photo(64, 96, 0), photo(96, 64, 1), photo(33, 70, 2)]
    forth = [run(image).keypoints for image in images]
    back = [run(image).keypoints for image in images[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))


def test_keypoints_are_in_image_pixels() -> None:
    """Twice the image, the same view of the network, twice the coordinates."""
    run = tiny_predictor()
    image = photo()
    large = image.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(run(large).keypoints[:, :, :2], 2 * run(image).keypoints[:, :, :2], atol=1e-2)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 5)])
def test_images_of_any_shape(size: tuple[int, int]) -> None:
    people = tiny_predictor(flip=True)(photo(*size))
    assert np.isfinite(people.keypoints).all()


def test_output_that_is_not_finite_is_an_error_that_names_the_image(tmp_path: Path) -> None:
    run = tiny_predictor()
    with torch.no_grad():
        run.network.body.heatmap_head[-1].bias.fill_(float("nan"))
    Image.fromarray(photo()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: .*NaN or infinity"):
        run(tmp_path / "a.png")


def test_decode_settings_can_be_changed() -> None:
    run = tiny_predictor()
    assert len(run.with_decode(threshold=0.999, fill=False)(photo())) < len(run(photo()))
    with pytest.raises(ValueError, match="unknown decode setting treshold; known are threshold, nms"):
        run.with_decode(treshold=0.1)
    with pytest.raises(ValueError, match="nms") as error:
        run.with_decode(nms="x")
    assert "unknown" not in str(error.value)
    with pytest.raises(ValueError, match="odd"):
        run.with_decode(nms=2)


def test_what_has_unknown_sides_is_not_mirrored(tmp_path: Path) -> None:
    """`--flip` would average the map of a left keypoint with that of a right one, as its names do not say which."""
    dots = Skeleton.build("worm", ["kpt_0", "kpt_1", "kpt_2"])
    with pytest.raises(ValueError, match="left and right keypoints of this model are not known"):
        load(tiny_model(tmp_path / "m.safetensors", skeleton=dots), flip=True)
    symmetric = Skeleton.build("worm", ["kpt_0", "kpt_1", "kpt_2"], flip_pairs=[])
    assert load(tiny_model(tmp_path / "s.safetensors", skeleton=symmetric), flip=True).flip
