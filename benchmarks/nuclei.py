"""Prints how well a model finds nuclei in each kind of image, beside Otsu's threshold with watershed.

    python benchmarks/nuclei.py --annotations ../shared/data/segmentation/dsb2018/annotations.json \
        --images ../shared/data/segmentation/dsb2018/images --held_out 0.1

The kind of an image is the text ``kind`` of its entry in the COCO json. The numbers are those that ``ae evaluate``
prints: AP50 and mean AP by the rule of the Data Science Bowl, aggregated Jaccard, panoptic quality, precision and
recall at an IoU of 0.5. Otsu's threshold with watershed needs no training: a model should be better. The kind "noise"
is not in the json: four drawn fields without an object. The script needs scikit-image, the extra ``demo``.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import watershed
from timing import markdown
from tqdm import tqdm

from associative_embedding.evaluation.masks import open_mask_test_set
from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.inference.load import load
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks

COLUMNS = {
    "AP50": "dsb_ap50",
    "mean AP": "dsb_map",
    "AJI": "aji",
    "PQ": "pq",
    "precision": "precision50",
    "recall": "recall50",
}
BASELINE = "Otsu + watershed"
NOISE = (10, 30, 60, 120)  # the mean values of four fields of noise
SMALLEST = 30  # pixels; `nuclei` reports no smaller object either
Scores = dict[tuple[str, str], CellScores]  # of each kind and method


def otsu_watershed(image: Array) -> Masks:
    """Returns the objects of an image by a threshold, cut where their outlines are drawn in.

    Args:
        image: ``(H, W, 3)`` uint8. The side of the threshold with fewer pixels is the foreground.
    """
    grey = gaussian_filter(image.mean(axis=2), 1.0)
    bright = grey > threshold_otsu(grey)
    foreground = binary_fill_holes(bright if bright.mean() <= 0.5 else ~bright)
    depth = gaussian_filter(distance_transform_edt(foreground), 1.0)
    tops = np.zeros(grey.shape, np.int32)
    places = peak_local_max(depth, min_distance=5, labels=label(foreground), exclude_border=False)
    tops[tuple(places.T)] = np.arange(1, len(places) + 1)
    masks = Masks.from_labels(watershed(-depth, tops, mask=foreground))
    return masks[masks.area >= SMALLEST]


def noise(mean: int) -> Array:
    """Returns ``(512, 512, 3)`` uint8: a grey field whose values vary by the root of their mean, as counts of light."""
    grey = np.random.default_rng(mean).normal(mean, mean**0.5, (512, 512))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def measure(model: str, annotations: str, images: str, held_out: float, limit: int) -> Scores:
    predictor = load(model, device="cpu")
    if not predictor.task.finds_masks:
        raise SystemExit(f"{model} finds keypoints, not masks: give --model a model that finds masks")
    classes = [category["name"] for category in predictor.task.categories]
    test_set = open_mask_test_set(annotations, images, classes, held_out_share=held_out, limit=limit)
    kinds = {image["id"]: str(image.get("kind", "")) for image in read_coco(annotations)["images"]}
    data, name = test_set.data.read_as(predictor.reading), Path(model).stem
    scores: Scores = defaultdict(CellScores)
    for image in map(noise, NOISE):
        for method, found in ((name, require_masks(predictor.find(image).masks)), (BASELINE, otsu_watershed(image))):
            scores["noise", method] += cell_scores(Masks.empty(found.size), found)
    for i in tqdm(range(len(data)), disable=None, unit="image"):
        sample = data[i]
        pair = test_set.compare(sample, predictor.find(sample.image))
        for method, found in ((name, pair.found), (BASELINE, otsu_watershed(sample.image))):
            of_image = cell_scores(pair.truth, found, pair.void)
            for kind in filter(None, ("all", kinds[sample.image_id])):
                scores[kind, method] += of_image
    return scores


def table(scores: Mapping[tuple[str, str], CellScores]) -> str:
    """Returns a table with two rows for each kind of image, the most frequent kind first."""
    rows = {}
    for (kind, method), score in sorted(scores.items(), key=lambda row: -row[1].images):
        numbers = score.numbers()
        values = {column: numbers[key] for column, key in COLUMNS.items()}
        texts = {column: "-" if value is None else f"{value:.3f}" for column, value in values.items()}
        objects, found = score.matched + score.missed, score.matched + score.invented
        counts = {"images": str(score.images), "objects": str(objects), "found": str(found)}
        rows[f"{kind}: {method}"] = {**counts, **texts}
    return markdown("kind: method", ["images", "objects", "found", *COLUMNS], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="nuclei", help="a shipped model or a file (default: nuclei)")
    parser.add_argument("--annotations", required=True, help="COCO json; its images may have a `kind`")
    parser.add_argument("--images", required=True)
    parser.add_argument("--held_out", "--held-out", type=float, default=0.0, help="share of the images (0 = all)")
    parser.add_argument("--limit", type=int, default=0, help="images, at most (0 = all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(table(measure(options.model, options.annotations, options.images, options.held_out, options.limit)))


if __name__ == "__main__":
    main()
