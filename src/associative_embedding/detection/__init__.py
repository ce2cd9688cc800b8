"""Maps -> detections: the peaks of heatmaps, with their scores and tags."""
