"""The network in integers with torch, on any device: the reference that the C kernels repeat."""
