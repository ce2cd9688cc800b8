"""Data sets made ready to train on: MPII to COCO, splits, tar shards."""
