"""Input and output: files, images, videos, web addresses, object stores, and the lines that people read."""
