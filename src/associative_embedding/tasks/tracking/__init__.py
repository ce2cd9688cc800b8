"""Instances of a video that keep their tag: tracks."""
