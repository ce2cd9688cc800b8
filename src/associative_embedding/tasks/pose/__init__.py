"""Several people in an image: keypoints are grouped by their tags (paper, section 3.3)."""
