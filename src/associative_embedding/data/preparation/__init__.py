"""Prepare data sets before training: convert MPII to COCO, split a COCO json, pack images into tar shards."""
