"""fsspec, and what an archive needs of a store: put-if-absent, ranges, listings, retries.

How much is asked of a store has limits.
"""

from pipeline.storage.limits import Limits
from pipeline.storage.parts import Upload
from pipeline.storage.retry import Retry
from pipeline.storage.source import Source
from pipeline.storage.store import Listed, Store
from pipeline.storage.target import Target

__all__ = ["Limits", "Listed", "Retry", "Source", "Store", "Target", "Upload"]
