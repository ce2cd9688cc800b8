"""The official metrics as functions of arrays, masks or COCO dictionaries; they contain no model.

- `oks`: object keypoint similarity; COCO and CrowdPose average precision of keypoints.
- `mpii`, `mpii_groups`: MPII Multi-Person average precision and PCKh; `mpii_people`, `mpii_coco`: both on COCO files.
- `coco_masks`, `voc`: average precision of instance masks by the rules of COCO and of PASCAL VOC.
- `cells`: Data Science Bowl score, aggregated Jaccard index and panoptic quality of masks without scores.
- `tracking`: MOTA, IDF1 and HOTA of tracks, MOTA of tracked keypoints.
- `grouping`: share of annotated keypoints that the tags group correctly. This one is our own.
- `coco_eval`, `ranking`: what several of them share.
"""
