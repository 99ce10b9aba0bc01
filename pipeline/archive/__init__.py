"""Read and write archives: what counts, shards, commits, plans."""

from pipeline.archive.archive import Archive
from pipeline.archive.state import State

__all__ = ["Archive", "State"]
