"""The command `ae`."""
