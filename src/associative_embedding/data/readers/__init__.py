"""Read annotation files and images into samples: COCO keypoints and masks, VOC masks, video frames, person crops."""
