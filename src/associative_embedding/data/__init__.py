"""Training data: sources are read, augmented, drawn, prepared, converted, and streamed."""
