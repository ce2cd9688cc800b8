"""The command line ``ae``."""
