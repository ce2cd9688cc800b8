"""Settings of the C libraries for a process that runs a model; they read them at its start."""

# Otherwise glibc returns the large buffers of a forward pass to the system after every image, and the next image pays
# for them again: the tag loss takes 22 instead of 7 ms (docs/performance.md).
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
