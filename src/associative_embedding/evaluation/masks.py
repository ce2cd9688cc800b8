"""``ae evaluate`` of a model that finds masks: on a COCO json or a VOC tree, the usual numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.voc import VocMasks
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import check_mask_source, choose, is_voc, mask_images, source_classes
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.coco_masks import evaluate_masks
from associative_embedding.evaluation.metrics.oks import format_table
from associative_embedding.evaluation.metrics.voc import VocImage, voc_map
from associative_embedding.evaluation.results_file import keeping
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import masks_of
from associative_embedding.structures.sample import Sample


@dataclass(frozen=True, eq=False)
class MaskTrial:
    """What a model is tried on.

    Attributes:
        data: the images.
        classes: category id -> name, of what the model and the truth have in common.
        category: ``(C,)`` the category id of each class of the model, -1 = the truth does not have it.
        unknown: the truth's classes that the model does not have: they do not count.
        truth: the COCO dataset of these images and classes; None = scored as VOC.
        name: what messages call the truth.
    """

    data: CocoMasks | VocMasks
    classes: dict[int, str]
    category: Array
    unknown: list[str]
    truth: dict[str, Any] | None
    name: str

    def compare(self, sample: Sample, found: Instances) -> VocImage:
        """The truth of one image beside what was found in it, of the classes in common."""
        assert sample.class_id is not None
        category = self.category[found.class_id - 1]
        known = category >= 0
        return VocImage(
            truth=masks_of(sample),
            truth_class=self.category[sample.class_id],
            found=masks_of(found)[known],
            found_class=category[known],
            score=found.score[known],
            void=sample.ignore,
        )

    def score(self, results: Sequence[dict[str, Any]], images: Sequence[VocImage]) -> Metrics:
        """COCO's twelve numbers, or VOC's mAP^r."""
        if self.truth is not None:
            return evaluate_masks(self.truth, results, name=self.name)
        return voc_map(images, self.classes)


def open_mask_trial(
    annotations: str,
    images: str | None,
    classes: Sequence[str],
    *,
    split: str = "",
    protocol: str | None = None,
    held_out_share: float = 0.0,
    limit: int = 0,
) -> MaskTrial:
    """
    Args:
        annotations: a COCO json, or a VOC tree with its image set `split`.
        images: their folder; None = JPEGImages of the VOC tree.
        classes: of the model.
        protocol: "coco" or "voc"; None = the one of the truth's format.
        held_out_share, limit: see `trial.open_trial`.

    Raises:
        ValueError: for a truth that cannot be used, another protocol, or no image.
    """
    source = SourceConfig(images=images or "", annotations=annotations, split=split)
    path = check_mask_source(source)
    rules = protocol or ("voc" if is_voc(path) else "coco")
    if rules not in ("coco", "voc"):
        raise ValueError(f"the protocol {rules} is for poses; for masks there are coco and voc")
    if rules == "coco" and is_voc(path):
        raise ValueError(f"{annotations}: a VOC tree is scored by the protocol voc, not coco")
    if images is None and not is_voc(path):
        raise ValueError(f"{annotations}: --images, the folder of its images, is missing")
    data = choose(mask_images(path, images, classes, split), held_out_share, limit, annotations)
    ids = data.category_ids
    return MaskTrial(
        data,
        {number: name for name, number in ids.items()},
        np.array([ids.get(name, -1) for name in classes], np.int64),
        [name for name in source_classes(source) if name not in ids],
        mask_truth(annotations, set(ids.values()), set(data.image_ids)) if rules == "coco" else None,
        annotations,
    )


def mask_truth(annotations: str, categories: set[int], image_ids: set[int]) -> dict[str, Any]:
    """A COCO json's truth, of some categories and images alone; objects without a mask become ignored regions.

    Raises:
        ValueError: when it cannot be scored; better now than after the work.
    """
    document = read_coco(annotations)
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
    evaluate_masks(truth, [], name=annotations)
    return truth


def without_mask(row: dict[str, Any]) -> dict[str, Any]:
    """The annotation; one with only a box as a crowd that fills the box, which is how the reader has it, too."""
    if row.get("segmentation"):
        return row
    x, y, width, height = row["bbox"]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {**row, "iscrowd": 1, "segmentation": [corners]}


def evaluate_mask_trial(
    predictor: Predictor,
    trial: MaskTrial,
    *,
    results_path: str | None = None,
    announce: Callable[[Metrics], None] = lambda metrics: None,
) -> Metrics:
    """The numbers of the trial's protocol, then those that are usual for cells, all classes taken as one.

    Args:
        results_path, announce: see `trial.evaluate_trial`.

    Raises:
        ValueError: when an image cannot be read, or the network's output is not finite.
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    images: list[VocImage] = []
    cells = CellScores()
    with keeping(results, results_path, len(trial.data)) as done:
        for i in tqdm(range(len(trial.data)), disable=None, desc="evaluate", unit="image"):
            sample = trial.data[i]
            image = trial.compare(sample, look(predictor, sample))
            results += coco_rows(image, sample.image_id)
            cells += cell_scores(image.truth, image.found, image.void)
            if trial.truth is None:
                images.append(image)
            done()
        metrics = {**trial.score(results, images), **cells.numbers()}
        announce(metrics)
    return metrics


def look(predictor: Predictor, sample: Sample) -> Instances:
    try:
        return predictor(sample.image, keep_image=False)
    except ValueError as error:
        raise ValueError(f"{sample.file_name}: {error}") from None


def coco_rows(image: VocImage, image_id: int) -> list[dict[str, Any]]:
    """COCO results; without boxes, as a mask says all."""
    return [
        {"image_id": image_id, "category_id": int(number), "segmentation": runs, "score": round(float(score), 5)}
        for number, runs, score in zip(image.found_class, image.found.to_rle(), image.score, strict=True)
    ]


def report(trial: MaskTrial, metrics: Metrics) -> str:
    """Three tables: the protocol's, of each class where there are such numbers, those for cells."""
    unknown = f"the model has no {', '.join(trial.unknown)}: they do not count\n" if trial.unknown else ""
    cells = CellScores().numbers()
    of_class = [key for key in metrics if " " in key]
    first = {key: value for key, value in metrics.items() if key not in cells and key not in of_class}
    rows = [f"{key.rjust(24)}  {'-' if metrics[key] is None else f'{metrics[key]:.3f}'}" for key in of_class]
    return unknown + "\n".join([format_table(first), *rows, format_table({key: metrics[key] for key in cells})])


def describe(predictor: Predictor, trial: MaskTrial) -> dict[str, Any]:
    """What the numbers are of, for json."""
    return {
        "annotations": trial.name,
        "protocol": "voc" if trial.truth is None else "coco",
        "images": len(trial.data),
        "not_counted": trial.unknown,
        "input_size": predictor.input_size,
        "zoom": predictor.zoom,
        "scales": list(predictor.scales),
        "flip": predictor.flip,
        "decode": asdict(predictor.task.decode_config),
    }
