"""Labels and results of other tools: one small module each, all by way of one COCO dataset."""
