"""Reads and writes the labels of other tools, one module for each format.

A reader turns a file into `labels.LabelledImage` objects, whose coordinates are continuous pixels and whose keypoints
have names; `labels.to_coco` turns these into one COCO dataset. A writer goes the other way, from `labels.from_coco`. So
N formats need 2 N functions, not N², and names, boxes and ids are checked in one place. `convert.READERS` and
`convert.WRITERS` list the formats.

- `labels`: objects by name, and the COCO dataset between all formats.
- `loose_shapes`: points and boxes that were labelled one by one -> objects.
- `reading`, `safe_xml`, `hdf5`: files of unknown origin, within limits.

docs/extending.md describes how to add a format.
"""
