"""Files, images, videos and consoles: all that touches the outside."""
