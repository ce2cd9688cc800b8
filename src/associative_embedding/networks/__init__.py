"""Image -> maps: backbones, pyramids, and the head that predicts heatmaps and tags."""
