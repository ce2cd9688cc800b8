"""Official metrics, and one that looks at the tags alone.

- `evaluate_keypoints`: COCO's ten numbers for any skeleton; `evaluate_crowdpose`.
  The similarity itself is `associative_embedding.metrics.oks.oks`.
- `evaluate_masks`: COCO's twelve numbers for instance masks; `voc_map`: mAP^r of PASCAL VOC.
- `cell_scores`: Data Science Bowl 2018, aggregated Jaccard index and panoptic quality.
- `mpii_multiperson_ap`: MPII Multi-Person; `pckh` for single people; `evaluate_mpii` for both, of COCO files.
- `right_grouping`: grouping of annotated keypoints by their tags, apart from detection.
"""

from associative_embedding.metrics.cells import CellScores, cell_scores
from associative_embedding.metrics.coco_eval import Metrics
from associative_embedding.metrics.coco_masks import MASK_METRICS, evaluate_masks
from associative_embedding.metrics.grouping import RightGrouping, right_grouping
from associative_embedding.metrics.mpii import (
    PeopleGroup,
    assign_to_group,
    group_region,
    head_size,
    mpii_multiperson_ap,
    pckh,
    read_groups,
)
from associative_embedding.metrics.mpii_json import evaluate_mpii, format_mpii
from associative_embedding.metrics.oks import (
    KEYPOINT_METRICS,
    evaluate_crowdpose,
    evaluate_keypoints,
    format_table,
)
from associative_embedding.metrics.voc import VocImage, voc_map

__all__ = [
    "KEYPOINT_METRICS",
    "MASK_METRICS",
    "CellScores",
    "Metrics",
    "PeopleGroup",
    "RightGrouping",
    "VocImage",
    "assign_to_group",
    "cell_scores",
    "evaluate_crowdpose",
    "evaluate_keypoints",
    "evaluate_masks",
    "evaluate_mpii",
    "format_mpii",
    "format_table",
    "group_region",
    "head_size",
    "mpii_multiperson_ap",
    "pckh",
    "read_groups",
    "right_grouping",
    "voc_map",
]
