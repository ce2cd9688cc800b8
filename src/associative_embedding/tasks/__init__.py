"""Tasks: a sample becomes a training target (`encode`), maps become instances (`decode_groups`)."""
