"""Labels of other tools: one module for each format, all by way of one COCO dataset."""
