"""Drawn figures and videos, to train and test without data."""
