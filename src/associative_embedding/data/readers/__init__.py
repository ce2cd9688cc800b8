"""Annotation files and images -> samples."""
