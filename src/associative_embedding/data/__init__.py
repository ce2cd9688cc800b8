"""Training data: read (`coco`, `coco_masks`, `mpii`, `voc`), draw (`synthetic`), vary (`augment`), stream."""

from associative_embedding.config import Augment
from associative_embedding.data.augment import fit, view
from associative_embedding.data.coco import CocoKeypoints, held_out
from associative_embedding.data.coco_masks import CocoMasks, class_names
from associative_embedding.data.compose import mosaic, overlap
from associative_embedding.data.loader import Mixture, TrainingStream, batches
from associative_embedding.data.mpii import MpiiImage, MpiiPerson, mpii_to_coco, read_mpii
from associative_embedding.data.synthetic import synthetic_sample, write_synthetic_dataset
from associative_embedding.data.voc import VocMasks

__all__ = [
    "Augment",
    "CocoKeypoints",
    "CocoMasks",
    "Mixture",
    "MpiiImage",
    "MpiiPerson",
    "TrainingStream",
    "VocMasks",
    "batches",
    "class_names",
    "fit",
    "held_out",
    "mosaic",
    "mpii_to_coco",
    "overlap",
    "read_mpii",
    "synthetic_sample",
    "view",
    "write_synthetic_dataset",
]
