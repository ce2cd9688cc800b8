"""The nouns: what they refuse, and how results slice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from associative_embedding.instances import Instances, coco_dataset, save_instances
from associative_embedding.io.files import write_json
from associative_embedding.io.images import read_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import COCO_17, LSP_14
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.skeleton import Skeleton
from support.found_instances import found
from support.pictures import blobs
from support.random_people import made

TRIPOD = Skeleton.build("tripod", ["a", "b", "c"])


def instances() -> Instances:
    keypoints = np.array(
        [
            [[1, 2, 0.9], [5, 8, 0.8], [3, 4, 0.7]],
            [[10, 20, 0.5], [0, 0, 0], [14, 30, 0.1]],
            [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        ],
        dtype=np.float32,
    )
    score = np.array([0.8, 0.2, 0.0], dtype=np.float32)
    tag = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    return Instances(score, np.ones(3, dtype=np.int64), tag, keypoints, (40, 50), TRIPOD)


def test_instances_refuse_wrong_shapes() -> None:
    with pytest.raises(ValueError, match=r"keypoints must be \(N, K, 3\) = \(3, 3, 3\)"):
        replace(instances(), keypoints=np.zeros((3, 4, 3)))
    with pytest.raises(ValueError, match="same length 3"):
        replace(instances(), tag=np.zeros((2, 1)))
    with pytest.raises(ValueError, match="same length 3"):
        replace(instances(), class_id=np.zeros(1, dtype=np.int64))


def test_instances_slice_like_an_array() -> None:
    people = instances()
    assert len(people) == 3
    for index in (people.score > 0.1, slice(0, 2), [0, 1], np.array([0, 1])):
        part = people[index]
        assert len(part) == 2
        np.testing.assert_array_equal(part.keypoints, people.keypoints[:2])
        np.testing.assert_array_equal(part.tag, people.tag[:2])
    assert people[1].score.tolist() == pytest.approx([0.2])
    assert people[-1].tag.tolist() == [[3.0]]
    assert people[np.int64(2)].class_id.tolist() == [1]
    assert [float(one.tag[0, 0]) for one in people] == [1, 2, 3]
    assert len(people[:0]) == 0
    for index in (3, -4):
        with pytest.raises(IndexError, match="of 3"):
            people[index]


def test_boxes_hold_the_found_keypoints_only() -> None:
    np.testing.assert_allclose(instances().xywh, [[1, 2, 4, 6], [10, 20, 4, 10], [0, 0, 0, 0]])
    assert instances()[:0].xywh.shape == (0, 4)


def test_to_coco() -> None:
    rows = instances().to_coco(image_id=5)
    assert [row["num_keypoints"] for row in rows] == [3, 2, 0]
    assert rows[1]["keypoints"] == [10, 20, 0.5, 0, 0, 0, 14, 30, 0.1]
    assert rows[0]["bbox"] == [1, 2, 4, 6]
    assert rows[0]["area"] == 24
    assert {row["image_id"] for row in rows} == {5}
    assert instances()[:0].to_coco() == []


def test_a_thin_box_has_an_area() -> None:
    """Two decimals of a side are not two of the area; readers take an area of 0 for a mistake."""
    thin = np.zeros((1, 3, 3), np.float32)
    thin[0, :2] = [[1, 5, 0.9], [1.02, 5.03, 0.9]]
    row = replace(instances()[0], keypoints=thin).to_coco()[0]
    assert (row["bbox"][2:], row["area"]) == ([0.02, 0.03], 0.01)
    thin[0, 1, 1] = 5
    assert replace(instances()[0], keypoints=thin).to_coco()[0]["area"] == 0


def test_repr_says_shapes() -> None:
    assert repr(instances()) == "Instances(3 in 50x40, keypoints (3, 3, 3), tag (3, 1), skeleton 'tripod')"


def test_repr_of_masks_names_a_few_classes_and_counts_many() -> None:
    bare = {
        "score": np.zeros(0),
        "class_id": np.zeros(0, int),
        "tag": np.zeros((0, 1)),
        "keypoints": np.zeros((0, 0, 3)),
    }
    for count, what in ((2, "masks of c0, c1"), (80, "masks of 80 classes")):
        names = {i: f"c{i}" for i in range(count)}
        found = Instances(**bare, image_size=(4, 5), skeleton=None, masks=Masks.empty((4, 5)), class_names=names)
        assert repr(found) == f"Instances(0 in 5x4, {what}, tag (0, 1))"


def test_equal_results_are_equal_and_others_raise_nothing() -> None:
    assert instances() == instances()
    assert instances() != instances()[:2]
    assert instances() != replace(instances(), source="a.jpg")
    assert instances() != replace(instances(), track_id=np.arange(3))
    assert replace(instances(), image=np.zeros((40, 50, 3), np.uint8)) == instances()
    assert instances() != "people"
    cells = found(2, masks=True)
    assert cells == found(2, masks=True)
    assert cells != cells[[1, 0]]
    with pytest.raises(TypeError, match="unhashable"):
        hash(cells)


def test_a_keypoint_of_everybody_by_its_name() -> None:
    np.testing.assert_array_equal(instances()["b"], instances().keypoints[:, 1])
    assert instances()[:0]["c"].shape == (0, 3)
    with pytest.raises(KeyError, match="no keypoint 'left_wrist'; there are a, b, c"):
        instances()["left_wrist"]
    with pytest.raises(KeyError, match="there are none"):
        found(1, masks=True)["nose"]


def test_corners_and_names() -> None:
    np.testing.assert_allclose(instances().xyxy, [[1, 2, 5, 8], [10, 20, 14, 30], [0, 0, 0, 0]])
    assert instances()[:0].xyxy.shape == (0, 4)
    assert instances().class_name.tolist() == ["tripod"] * 3
    assert found(2, masks=True).class_name.tolist() == ["nucleus"] * 2


def test_a_notebook_shows_the_picture() -> None:
    people = made(2)
    assert replace(people, image=None)._repr_png_() is None
    png = people._repr_png_()
    assert png is not None
    np.testing.assert_array_equal(read_image(png), people.draw())
    large = replace(people[:0], image=np.zeros((600, 1600, 3), np.uint8), image_size=(600, 1600))
    shown = large._repr_png_()
    assert shown is not None
    assert read_image(shown).shape == (300, 800, 3)


@pytest.mark.extra
def test_a_plot_has_the_picture() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")
    people, axes = made(2), pyplot.figure().subplots()
    assert people.plot(axes) is axes
    np.testing.assert_array_equal(axes.images[0].get_array(), people.draw())
    assert people.plot() is pyplot.gca()  # the axes in use
    pyplot.close("all")


def test_show_opens_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda self: opened.append(self))
    made(2).show()
    np.testing.assert_array_equal(np.asarray(opened[0]), made(2).draw())


def test_draw_needs_an_image() -> None:
    with pytest.raises(ValueError, match="pass one"):
        instances().draw()


def test_dataset_is_read_by_pycocotools(tmp_path: Path) -> None:
    results = [made(2), made(0, "b.jpg"), made(3, "c.jpg", seed=1)]
    write_json(tmp_path / "r.json", coco_dataset(iter(results)))
    coco = COCO(tmp_path / "r.json")
    assert [(image["id"], image["file_name"]) for image in coco.loadImgs([1, 2, 3])] == [
        (1, "a.jpg"),
        (2, "b.jpg"),
        (3, "c.jpg"),
    ]
    assert coco.imgs[1]["width"] == 64
    assert coco.imgs[1]["height"] == 48
    assert [len(coco.getAnnIds(imgIds=i)) for i in (1, 2, 3)] == [2, 0, 3]
    assert sorted(coco.anns) == [1, 2, 3, 4, 5]
    for annotation, expected in zip(coco.loadAnns(coco.getAnnIds(imgIds=3)), results[2], strict=True):
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(keypoints, expected.keypoints[0], atol=1e-4)
        assert annotation["num_keypoints"] == 17
        assert annotation["score"] == pytest.approx(float(expected.score[0]), abs=1e-5)
        assert annotation["category_id"] == 1
        assert annotation["iscrowd"] == 0
        assert annotation["area"] == pytest.approx(annotation["bbox"][2] * annotation["bbox"][3], rel=1e-2)
    assert len(coco.loadRes(coco.dataset["annotations"]).anns) == 5
    assert {"description", "version", "date_created"} <= coco.dataset["info"].keys()


def test_categories_give_the_skeletons_back() -> None:
    document = coco_dataset([made(1), made(1, skeleton=LSP_14, class_id=7), made(0)])
    assert {c["id"]: Skeleton.from_category(c) for c in document["categories"]} == {1: COCO_17, 7: LSP_14}
    empty = coco_dataset([made(0), made(0, skeleton=LSP_14), made(1, class_id=2)])
    assert {c["id"]: Skeleton.from_category(c) for c in empty["categories"]} == {2: COCO_17, 1: LSP_14}
    stated = coco_dataset([made(1)], [COCO_17.to_category(1), LSP_14.to_category(2)])
    assert [c["id"] for c in stated["categories"]] == [1, 2]
    with pytest.raises(ValueError, match=r"b\.jpg: category id 1 stands for two categories"):
        coco_dataset([made(1), made(1, "b.jpg", LSP_14)])
    with pytest.raises(ValueError, match=r"category id 9 is none of \[1\]"):
        coco_dataset([made(1, class_id=9)], [COCO_17.to_category(1)])


def test_save_instances(tmp_path: Path) -> None:
    instances = made(2)
    instances.save(str(tmp_path / "r.json"))
    document = json.loads((tmp_path / "r.json").read_text())
    assert len(document["images"]) == 1
    assert len(document["annotations"]) == 2
    save_instances(instances, tmp_path / "r.png")
    np.testing.assert_array_equal(read_image(tmp_path / "r.png"), instances.draw())
    with pytest.raises(ValueError, match=r"r\.txt: the extension must be \.json, \.csv or one of"):
        save_instances(instances, tmp_path / "r.txt")


def instances_of(dense: Array) -> Instances:
    n, size = len(dense), dense.shape[1:]
    return Instances(
        score=np.linspace(0.9, 0.5, n, dtype=np.float32),
        class_id=np.full(n, 2),
        tag=np.zeros((n, 1), np.float32),
        keypoints=np.zeros((n, 0, 3), np.float32),
        image_size=size,
        skeleton=None,
        image=np.full((*size, 3), 90, np.uint8),
        source="a.png",
        masks=Masks.from_dense(dense, size),
        class_names={2: "cell"},
    )


def test_masks_are_saved_as_labels_best_first(tmp_path: Path) -> None:
    dense = blobs()
    instances_of(dense).save(str(tmp_path / "x.tif"))
    labels = np.array(Image.open(tmp_path / "x.tif"))
    for y, x in np.ndindex(labels.shape):  # the first that holds the pixel
        holding = np.flatnonzero(dense[:, y, x])
        assert labels[y, x] == (holding[0] + 1 if len(holding) else 0)


def test_masks_are_saved_as_a_picture(tmp_path: Path) -> None:
    found = instances_of(blobs())
    found.save(str(tmp_path / "x.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), found.draw())
    assert (found.draw() != found.image).any()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("n", [0, 1, 7])
def test_masks_are_saved_as_coco(tmp_path: Path, n: int) -> None:
    dense = blobs(max(1, n))[:n]
    instances_of(dense).save(str(tmp_path / "x.json"))
    coco = COCO(tmp_path / "x.json")
    assert coco.cats == {2: {"id": 2, "name": "cell"}}
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=1))
    assert len(annotations) == n
    for annotation, mask in zip(annotations, dense, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        x, y, w, h = (int(v) for v in annotation["bbox"])
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert annotation["category_id"] == 2
    results = json.loads((tmp_path / "x.json").read_text())["annotations"]
    for result in results:
        del result["bbox"]  # or loadRes takes the area of the box for that of the mask
    again = coco.loadRes(results).anns if n else {}
    assert [annotation["area"] for annotation in again.values()] == dense.sum(axis=(1, 2)).tolist()
