"""Stores by fsspec, with put-if-absent, ranges, listings, retries and limits."""

from seec.pipeline.storage.limits import Limits
from seec.pipeline.storage.parts import Upload
from seec.pipeline.storage.retry import Retry
from seec.pipeline.storage.source import Source
from seec.pipeline.storage.store import Listed, Store
from seec.pipeline.storage.target import Target

__all__ = ["Limits", "Listed", "Retry", "Source", "Store", "Target", "Upload"]
