"""The values that all rooms share. They import no other room."""
