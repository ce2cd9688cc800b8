"""Converts weights of other projects to model files."""
