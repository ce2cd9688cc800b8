"""The usual metrics of a model that finds masks, on a COCO json, label images or a VOC tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.label_pairs import is_label_folder
from associative_embedding.data.readers.mask_documents import read_mask_document
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import check_mask_source, is_voc, read_masks, select_test_images, source_classes
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.coco_masks import LIMIT, evaluate_masks, most_in_an_image
from associative_embedding.evaluation.metrics.table import format_table
from associative_embedding.evaluation.metrics.voc import VocImage, voc_map
from associative_embedding.evaluation.results_file import keeping
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name, remark, visible
from associative_embedding.io.progress import Progress
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.sample import Sample


@dataclass(frozen=True, eq=False)
class MaskTestSet:
    """Images with annotated masks, ready to score a model.

    Attributes:
        data: the images.
        classes: category id -> name, of the classes that the model and the annotations have in common.
        category: ``(C,)`` category id of each class of the model, -1 = the annotations lack it.
        unknown: the annotated classes that the model lacks: they do not count.
        truth: the COCO dataset of these images and classes; None = scored by the rules of VOC.
        name: of the annotations, for messages.
    """

    data: CocoMasks | VocMasks
    classes: dict[int, str]
    category: Array
    unknown: list[str]
    truth: dict[str, Any] | None
    name: str

    @property
    def dense(self) -> bool:
        """Whether an image has more objects of a class than COCO's rules count."""
        return self.truth is not None and most_in_an_image(self.truth["annotations"]) > LIMIT

    @property
    def settings(self) -> dict[str, Any]:
        """What metrics on it are computed on, for json."""
        protocol = "voc" if self.truth is None else "coco"
        return {
            "annotations": self.name,
            "protocol": protocol,
            "images": len(self.data),
            "objects_counted": "all" if self.dense or self.truth is None else LIMIT,
            "not_counted": self.unknown,
        }

    def compare(self, sample: Sample, found: Instances) -> VocImage:
        """Returns the true and the predicted objects of one image, of the classes in common."""
        assert sample.class_id is not None
        # Category ids of a model count from 1, rows of `category` from 0.
        category = self.category[found.class_id - 1]
        known = category >= 0
        return VocImage(
            truth=require_masks(sample.masks),
            truth_class=self.category[sample.class_id],
            found=require_masks(found.masks)[known],
            found_class=category[known],
            score=found.score[known],
            void=sample.ignore,
        )

    def score(self, results: Sequence[dict[str, Any]], images: Sequence[VocImage]) -> Metrics:
        """Returns COCO's twelve metrics, or VOC's mAP^r."""
        if self.truth is not None:
            return evaluate_masks(self.truth, results, name=self.name, every_object=self.dense)
        return voc_map(images, self.classes)


def open_mask_test_set(
    annotations: str,
    images: str | None,
    classes: Sequence[str],
    *,
    split: str = "",
    protocol: str | None = None,
    held_out_share: float = 0.0,
    ids: str | None = None,
    limit: int = 0,
) -> MaskTestSet:
    """Reads annotated masks for a model; classes are matched by name.

    Args:
        annotations: a COCO json, label images, or a VOC tree with its image set `split`.
        images: folder of the images; None = JPEGImages of the VOC tree, and of label images the usual place.
        classes: C names, of the model.
        protocol: "coco" or "voc"; None = the rules that belong to the format of the annotations.
        held_out_share, ids, limit: see `poses.open_pose_test_set`.

    Raises:
        ValueError: for annotations that cannot be used, another protocol, or when no image is left.
    """
    source = SourceConfig(images=images or "", annotations=annotations, split=split)
    path = check_mask_source(source)
    rules = protocol or ("voc" if is_voc(path) else "coco")
    if rules not in ("coco", "voc"):
        raise ValueError(f"the protocol {rules} is for poses; for masks there are coco and voc")
    if rules == "coco" and is_voc(path):
        raise ValueError(f"{annotations}: a VOC tree is scored by the protocol voc, not coco")
    if images is None and not is_voc(path) and not is_label_folder(path):
        raise ValueError(f"{annotations}: --images, the folder of its images, is missing")
    data = select_test_images(read_masks(path, images, classes, split), held_out_share, limit, annotations, ids)
    categories = data.category_ids
    return MaskTestSet(
        data,
        {number: name for name, number in categories.items()},
        np.array([categories.get(name, -1) for name in classes], np.int64),
        [] if is_label_folder(path) else [name for name in source_classes(source) if name not in categories],
        mask_truth(read_mask_document(path, images, classes), data) if rules == "coco" else None,
        annotations,
    )


def mask_truth(document: dict[str, Any], data: CocoMasks | VocMasks) -> dict[str, Any]:
    """Returns a COCO document for the categories and images of a test set; objects without a mask become crowds.

    Raises:
        ValueError: when it cannot be scored.
    """
    annotations, categories, image_ids = data.source, set(data.category_ids.values()), set(data.image_ids)
    truth = {
        **document,
        "images": [image for image in document["images"] if image["id"] in image_ids],
        "categories": [category for category in document["categories"] if category["id"] in categories],
        "annotations": [
            without_mask(row)
            for row in document["annotations"]
            if row.get("category_id") in categories and row.get("image_id") in image_ids
        ],
    }
    if (most := most_in_an_image(truth["annotations"])) > LIMIT:
        remark(
            f"{annotations}: an image has up to {most} objects of a class; all that is found counts, and not the "
            f"{LIMIT} best of an image as by COCO's rules, so AP is not COCO's"
        )
    evaluate_masks(truth, [], name=annotations)  # an error before the network runs, not after hours of it
    if all(row.get("iscrowd") for row in truth["annotations"]):
        count = len(truth["images"])
        remark(f"{annotations}: no object of the model's classes has a mask (images: {count}): metrics are undefined")
    return truth


def without_mask(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the annotation; if it has only a box, as a crowd that fills the box, as `CocoMasks` reads it."""
    if row.get("segmentation"):
        return row
    x, y, width, height = row["bbox"]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {**row, "iscrowd": 1, "segmentation": [corners]}


def evaluate_mask_model(
    predictor: Predictor,
    test_set: MaskTestSet,
    *,
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> Metrics:
    """Returns the metrics of the protocol, then those usual for cells, which treat all classes as one.

    Args:
        results_path, announce: see `poses.evaluate_pose_model`.

    Raises:
        ValueError: when an image cannot be read, or the network's output is not finite.
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    images: list[VocImage] = []
    cells = CellScores()
    data = test_set.data.read_as(predictor.reading)
    with keeping(results, results_path, len(data)) as done:
        for i in Progress(range(len(data)), "evaluate", "image"):
            sample = data[i]
            with errors_name(sample.file_name):
                image = test_set.compare(sample, predictor.find(sample.image))
            results += coco_rows(image, sample.image_id)
            cells += cell_scores(image.truth, image.found, image.void)
            # Only VOC needs all masks at the end; COCO and cells keep counts, and memory stays small.
            if test_set.truth is None:
                images.append(image)
            done()
        metrics = {**test_set.score(results, images), **cells.numbers()}
        announce(metrics)
    return metrics


def coco_rows(image: VocImage, image_id: int) -> list[dict[str, Any]]:
    """Returns COCO results of one image; they need no boxes, as masks contain them."""
    return [
        {"image_id": image_id, "category_id": int(number), "segmentation": runs, "score": round(float(score), 5)}
        for number, runs, score in zip(image.found_class, image.found.to_rle(), image.score, strict=True)
    ]


def mask_tables(test_set: MaskTestSet, metrics: Metrics) -> str:
    """Returns three tables as text: the metrics of the protocol, of each class, and the usual ones for cells."""
    names = visible(", ".join(test_set.unknown))
    unknown = f"the model has no {names}: they do not count\n" if names else ""
    cells = CellScores().numbers()
    of_class = [key for key in metrics if " " in key]
    first = {key: value for key, value in metrics.items() if key not in cells and key not in of_class}
    rows = [f"{visible(key).rjust(24)}  {'-' if metrics[key] is None else f'{metrics[key]:.3f}'}" for key in of_class]
    return unknown + "\n".join([format_table(first), *rows, format_table({key: metrics[key] for key in cells})])
