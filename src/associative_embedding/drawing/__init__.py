"""Arrays -> pictures: skeletons, masks, tags."""
