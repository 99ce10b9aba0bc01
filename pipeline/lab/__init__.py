"""Training and benchmarks: what a user of an archive never loads."""
