"""Model files: find, read, write, describe, export, convert."""
