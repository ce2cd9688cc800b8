"""Model files: find, read, write, describe, export and convert them."""
