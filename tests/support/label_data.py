"""Small datasets for the tests of other tools' formats, and how they are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from associative_embedding.structures.skeleton import Skeleton
from support.tiny import FIGURE

Document = dict[str, Any]
W, H = 80, 60


def dataset(people: list[dict[str, Any]] | None = None, skeleton: Skeleton = FIGURE, images: int = 2) -> Document:
    """Images ``a0.png`` ... of 80x60; the people are of the first one unless they say something else."""
    entries = [{"id": i + 1, "file_name": f"a{i}.png", "width": W, "height": H} for i in range(images)]
    rows = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, **p}
        for i, p in enumerate([person()] if people is None else people)
    ]
    return {"images": entries, "annotations": rows, "categories": [skeleton.to_category()]}


def person(**changes: Any) -> dict[str, Any]:
    keypoints = [40, 10, 2, 30, 20, 1, 50, 20.5, 2, 0, 0, 0, 45.25, 40, 2]
    return {"keypoints": keypoints, "num_keypoints": 4, "bbox": [25, 5, 30, 40], **changes}


def write_images(folder: Path, document: Document) -> str:
    for image in document["images"]:
        path = folder / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((image["height"], image["width"], 3), np.uint8))
    return str(folder)


def people_of(document: Document) -> dict[str, list[tuple[str, dict[str, tuple[float, ...]], list[float]]]]:
    """File name -> category, keypoints by name and box of everybody, for comparing whatever the ids are."""
    categories = {c["id"]: c for c in document["categories"]}
    names = {image["id"]: image["file_name"] for image in document["images"]}
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    for row in document["annotations"]:
        category = categories[row["category_id"]]
        triples = np.reshape(row["keypoints"], (-1, 3)).tolist()
        points = {n: tuple(p) for n, p in zip(category["keypoints"], triples, strict=True) if p[2] > 0}
        found[names[row["image_id"]]].append((category["name"], points, row["bbox"]))
    return found


def assert_same(first: Document, second: Document, within: float, prefix: str = "") -> None:
    """Everybody in the same order (those without points last), with the same names and visibilities, and coordinates
    within so many pixels."""
    expected, found = people_of(first), people_of(second)
    assert [prefix + name for name in expected] == list(found)
    for (name, people), others in zip(expected.items(), found.values(), strict=True):
        assert len(people) == len(others), name
        people, others = sorted(people, key=lambda p: not p[1]), sorted(others, key=lambda p: not p[1])
        for (category, points, box), (category2, points2, box2) in zip(people, others, strict=True):
            assert category == category2
            assert points.keys() == points2.keys()
            if points:
                np.testing.assert_allclose([points2[k] for k in points], list(points.values()), atol=within, rtol=0)
            np.testing.assert_allclose(box2, box, atol=within, rtol=0)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """People inside of images, with boxes, any of their keypoints labelled."""
    people = []
    images = draw(st.integers(1, 3))
    for image_id in draw(st.lists(st.integers(1, images), max_size=6)):
        x, y = draw(st.floats(0, W - 2)), draw(st.floats(0, H - 2))
        width, height = draw(st.floats(1, W - x)), draw(st.floats(1, H - y))
        points = draw(
            st.lists(
                st.tuples(st.floats(0, W), st.floats(0, H), st.sampled_from([0, 1, 2])),
                min_size=len(FIGURE),
                max_size=len(FIGURE),
            )
        )
        triples = [v for px, py, s in points for v in ((px, py, s) if s else (0, 0, 0))]
        people.append({"image_id": image_id, "keypoints": triples, "bbox": [x, y, width, height]})
    if not any(v for p in people for v in p["keypoints"][2::3]):
        people.append(person())
    return dataset(sorted(people, key=lambda p: p.get("image_id", 1)), images=images)
