"""Objects with masks: pixels grouped by their tags."""
