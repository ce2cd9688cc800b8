"""Draws pictures: skeletons, masks and tags. Takes arrays, no results of a task."""
