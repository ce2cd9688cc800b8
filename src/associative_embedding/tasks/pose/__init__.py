"""Several people in an image: keypoints grouped by their tags."""
