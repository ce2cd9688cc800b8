"""Objects with masks: foreground pixels are grouped by their tags (paper, section 3.4)."""
