"""Instances in a video: those that keep their tag from frame to frame form a track."""
