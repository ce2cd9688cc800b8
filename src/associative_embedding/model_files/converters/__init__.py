"""Other projects' weights -> model files."""
