"""What a model is evaluated on, by which rules, and where the metrics go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationSettings:
    """Options of ``ae evaluate``.

    Attributes:
        annotations: a COCO json, or for masks the folder of a VOC tree or of label images, see `label_pairs`.
        images: folder of the images; None = where VOC trees and label images have them.
        split: image set of a VOC tree, such as val.
        held_out: use only the images that a recipe with this ``held_out`` keeps for validation, a share in [0, 1];
            0 = all.
        ids: file with the ids of the images to use, one a line; None = all.
        limit: use only the first N images; 0 = all.
        protocol: rules of the metrics. Poses: "coco" (None), "crowdpose" or "mpii"; masks: "coco" or "voc", None = the
            rules that belong to the format of the annotations.
        groups: ``mpii_groups_v12.mat``, for the protocol mpii: each group is predicted in the crop around it; None =
            all people of an image are one group, and the whole image is predicted.
        json: file for metrics, model and settings.
        results: file for official COCO results; its json is zipped where the name ends in ``.zip``.
        submission: name of the method: the results go into the zip file for COCO's server, see `submission_path`, or
            with `groups` into the file of MPII's toolkit, see `mpii_submission`.
    """

    annotations: str
    images: str | None = None
    split: str = ""
    held_out: float = 0.0
    ids: str | None = None
    limit: int = 0
    protocol: str | None = None
    groups: str | None = None
    json: str | None = None
    results: str | None = None
    submission: str | None = None
