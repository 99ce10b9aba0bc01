"""Archives as programs read them: single files and pixels, without restoring the rest."""

from seec.pipeline.reading.archive import FileInfo, OpenedArchive, open_archive

__all__ = ["FileInfo", "OpenedArchive", "open_archive"]
