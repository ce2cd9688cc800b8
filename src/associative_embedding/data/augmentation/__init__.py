"""Random views of a sample, and samples composed of several."""
