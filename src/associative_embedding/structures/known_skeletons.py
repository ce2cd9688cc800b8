"""The skeletons of COCO, CrowdPose, MPII and LSP."""

from __future__ import annotations

from associative_embedding.structures.skeleton import Skeleton

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


SKELETONS: dict[str, Skeleton] = {
    "coco-17": COCO_17,
    "crowdpose-14": CROWDPOSE_14,
    "mpii-16": MPII_16,
    "lsp-14": LSP_14,
}
