"""Predicts any number of images on one or many machines (``ae predict --engine ray``)."""
