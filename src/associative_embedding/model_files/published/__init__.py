"""The models that other projects published, by name: the table of them, and their way from the web to a model file."""
