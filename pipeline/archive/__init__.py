"""Read and write archives: what counts, shards, commits, plans."""

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.state import State

__all__ = ["Archive", "State"]
