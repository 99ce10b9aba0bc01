"""Read and write image files; what is lossless, what a digest of pixels is."""
