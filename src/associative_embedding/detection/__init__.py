"""Maps -> detections: the peaks of heatmaps, with their scores and tags.

`peaks` is the entry. `peaks_on_cpu`, `peaks_on_gpu` and `peaks_in_graph` fill the same table, each by the operations
that are fast there; `peak_table` defines the table and the formulas that they share. `plateaus` merges equally high
peaks.
"""
