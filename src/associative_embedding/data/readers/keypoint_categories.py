"""Which categories of a COCO json are read for a skeleton: one rule for training, validation and evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.coco_entries import int_id
from associative_embedding.io.coco_json import NoAnnotations
from associative_embedding.io.console import list_briefly
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True)
class KeypointCategories:
    """The categories that share the most keypoint names with a skeleton; a model does not tell them apart.

    Attributes:
        types: category id -> ``(K_source,)`` int64, the place of each keypoint of the file in the skeleton, -1 =
            dropped; in the order of the file.
        read: name -> number of annotations with keypoints, of these categories.
        left_out: the same of all other categories.
    """

    types: Mapping[int, Array]
    read: Mapping[str, int]
    left_out: Mapping[str, int]

    @property
    def labelled(self) -> list[int]:
        """The keypoint types of the skeleton that all these categories have: a record does not keep its category."""
        return sorted(set.intersection(*(set(types.tolist()) for types in self.types.values())) - {-1})

    @property
    def note(self) -> str:
        """What a user must know of the choice, as a line; empty where there is one category."""
        notes = []
        if len(self.read) > 1:
            notes.append(f"annotations of {listed(self.read)} are read as one category, with the same keypoints")
        if self.left_out:
            of = listed(self.left_out)
            notes.append(f"annotations of {of} are left out: the skeleton has fewer of their keypoints")
        return "; ".join(notes)


def listed(counts: Mapping[str, int]) -> str:
    """Returns the first names with their counts, and the number of the other names."""
    return list_briefly([f"{name} ({count})" for name, count in counts.items()])


def read_categories(
    path: str, document: Mapping[str, Any], skeleton: Skeleton, rename: Mapping[str, str]
) -> KeypointCategories:
    """Returns the categories of a COCO document that are read for a skeleton.

    Args:
        path: the file, for messages.
        document: its content.
        skeleton: the keypoint types to read; keypoints of other names are dropped.
        rename: name in the file -> name in the skeleton.

    Raises:
        NoAnnotations: for an empty list of annotations and categories without keypoints.
        ValueError: when no category has a keypoint in common with the skeleton, the categories that have the most have
            none in common with each other, or names are not unique.
    """
    if not document["annotations"] and not any(category.get("keypoints") for category in document["categories"]):
        # some tools write an empty list into COCO's lists of test images, which have none
        raise NoAnnotations(f"{path}: no annotations, and no category with 'keypoints'")
    types = keypoint_types(path, document["categories"], skeleton, rename)
    names = {int_id(c, f"{path}: category"): str(c.get("name", c["id"])) for c in document["categories"]}
    # a category that the file does not have is reported where the annotation is read
    annotated = [row.get("category_id") for row in document["annotations"] if row.get("keypoints")]
    known = [number for number in annotated if isinstance(number, int) and number in names]
    read = Counter(names[number] for number in known if number in types)
    categories = KeypointCategories(types, read, Counter(names[number] for number in known if number not in types))
    if not categories.labelled:
        raise ValueError(f"{path}: the categories {listed(read)} have no keypoint name of the skeleton in common")
    return categories


def keypoint_types(
    path: str, categories: Sequence[dict[str, Any]], skeleton: Skeleton, rename: Mapping[str, str]
) -> dict[int, Array]:
    """Returns `KeypointCategories.types`; arguments and errors: see `read_categories`."""
    maps: dict[int, Array] = {}
    source_names: set[str] = set()
    for category in categories:
        names = category.get("keypoints")
        if not isinstance(names, list) or not names:
            continue
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise ValueError(f"{path}: category {category.get('id')!r}: 'keypoints' must be unique names")
        source_names.update(names)
        index = [skeleton.index.get(rename.get(name, name), -1) for name in names]
        used = [i for i in index if i >= 0]
        if len(set(used)) != len(used):
            raise ValueError(f"{path}: category {category.get('id')!r}: two keypoints are mapped to the same name")
        number = int_id(category, f"{path}: category")
        if number in maps and maps[number].tolist() != index:
            raise ValueError(f"{path}: two categories have the id {number} and other keypoints; give each its own")
        maps[number] = np.array(index)
    if not maps:
        raise ValueError(f"{path}: no category with 'keypoints'")
    if unknown := sorted(set(rename) - source_names):
        raise ValueError(f"{path}: rename of {', '.join(unknown)}, but the file has no such keypoint")
    most = max(int((m >= 0).sum()) for m in maps.values())
    if most == 0:
        raise ValueError(f"{path}: no keypoint name in common with the skeleton ({', '.join(skeleton.keypoints)})")
    # A category with fewer names would leave more types unlabelled, and so masked, in every image.
    return {c: m for c, m in maps.items() if (m >= 0).sum() == most}
