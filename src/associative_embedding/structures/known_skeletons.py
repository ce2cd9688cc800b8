"""The skeletons of COCO, CrowdPose, MPII, LSP, AI Challenger (AIC), MHP and COCO-WholeBody."""

from __future__ import annotations

from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.structures.whole_body import extend_to_whole_body

# Keypoints stand in the order of each data set's annotations. Group orders start at head and torso and move out to the
# limbs (paper, section 3.3).

COCO_17 = Skeleton.build(
    "person",
    (
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    ).split(),
    [
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ],
    group_order=(
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_hip right_hip "
        "left_elbow right_elbow left_wrist right_wrist left_knee right_knee left_ankle right_ankle"
    ).split(),
)


CROWDPOSE_14 = Skeleton.build(
    "person",
    (
        "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip "
        "left_knee right_knee left_ankle right_ankle head neck"
    ).split(),
    [
        ("head", "neck"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
    ],
    # as in CrowdPose's own evaluation code
    oks_sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    group_order=(
        "head neck left_shoulder right_shoulder left_hip right_hip left_elbow right_elbow "
        "left_wrist right_wrist left_knee right_knee left_ankle right_ankle"
    ).split(),
)


MPII_16 = Skeleton.build(
    "person",
    (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
    ).split(),
    [
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "thorax"),
        ("thorax", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
    ],
    group_order=(
        "head_top upper_neck thorax right_shoulder left_shoulder pelvis right_hip left_hip "
        "right_elbow left_elbow right_wrist left_wrist right_knee left_knee right_ankle left_ankle"
    ).split(),
)


LSP_14 = Skeleton.build(
    "person",
    (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
        "left_shoulder left_elbow left_wrist neck head_top"
    ).split(),
    [
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "neck"),
        ("neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "head_top"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
    ],
    group_order=(
        "head_top neck right_shoulder left_shoulder right_hip left_hip right_elbow left_elbow "
        "right_wrist left_wrist right_knee left_knee right_ankle left_ankle"
    ).split(),
)


# AI Challenger, MHP and COCO-WholeBody: published models group their keypoints in the order of the annotations.

_AIC_NAMES = (
    "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle head_top neck"
).split()
AIC_14 = Skeleton.build(
    "person",
    _AIC_NAMES,
    [
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "neck"),
        ("neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("head_top", "neck"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
    ],
    # as AI Challenger publishes them
    oks_sigmas=[
        *(0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642),
        *(0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173),
    ],
    group_order=_AIC_NAMES,
)


MHP_16 = Skeleton.build(
    "person",
    MPII_16.keypoints,
    [
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("upper_neck", "right_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("upper_neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
    ],
    oks_sigmas=[
        *(0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026),
        *(0.026, 0.026, 0.062, 0.072, 0.179, 0.179, 0.072, 0.062),
    ],
    group_order=MPII_16.keypoints,
)


COCO_WHOLEBODY_133 = extend_to_whole_body(COCO_17)


SKELETONS: dict[str, Skeleton] = {
    "coco-17": COCO_17,
    "crowdpose-14": CROWDPOSE_14,
    "mpii-16": MPII_16,
    "lsp-14": LSP_14,
    "aic-14": AIC_14,
    "mhp-16": MHP_16,
    "coco-wholebody-133": COCO_WHOLEBODY_133,
}
