"""The result for one image: the instances found, with scores, tags, and keypoints or masks."""

from associative_embedding.instances.coco import coco_dataset
from associative_embedding.instances.picture import draw_instances
from associative_embedding.instances.result import Instances, concatenate
from associative_embedding.instances.save import save_instances

__all__ = ["Instances", "coco_dataset", "concatenate", "draw_instances", "save_instances"]
