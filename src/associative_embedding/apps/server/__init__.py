"""The HTTP service ``ae serve`` and its page."""
