"""Drawn figures and videos, for training and tests without a download."""
