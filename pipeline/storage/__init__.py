"""fsspec, and what an archive needs of a store: put-if-absent, ranges, listings, retries."""

from pipeline.storage.retry import Retry
from pipeline.storage.source import Source
from pipeline.storage.store import Listed, Store
from pipeline.storage.target import Target

__all__ = ["Listed", "Retry", "Source", "Store", "Target"]
