"""Image -> instances: prepare, network, decode, refine."""
