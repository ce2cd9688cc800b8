"""Recipe and data -> a trained model."""
