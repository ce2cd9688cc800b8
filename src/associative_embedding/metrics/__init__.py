"""Official metrics, and one that looks at the tags alone.

- `evaluate_keypoints`: COCO's ten numbers for any skeleton; `evaluate_crowdpose`.
  The similarity itself is `associative_embedding.metrics.oks.oks`.
- `mpii_multiperson_ap`: MPII Multi-Person; `pckh` for single people; `evaluate_mpii` for both, of COCO files.
- `right_grouping`: grouping of annotated keypoints by their tags, apart from detection.
"""

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
    Metrics,
    evaluate_crowdpose,
    evaluate_keypoints,
    format_table,
)

__all__ = [
    "KEYPOINT_METRICS",
    "Metrics",
    "PeopleGroup",
    "RightGrouping",
    "assign_to_group",
    "evaluate_crowdpose",
    "evaluate_keypoints",
    "evaluate_mpii",
    "format_mpii",
    "format_table",
    "group_region",
    "head_size",
    "mpii_multiperson_ap",
    "pckh",
    "read_groups",
    "right_grouping",
]
