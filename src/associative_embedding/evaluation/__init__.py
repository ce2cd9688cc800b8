"""Predictions against ground truth: the official numbers, and what limits them."""
