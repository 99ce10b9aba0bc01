"""Everything that can go wrong, as one tree.

SeecError
  SourceError       the input is at fault
    UnreadableImage   not an image we can decode
    UnreadableMask    no label map that fits the image
    SourceChanged     the file changed while it was read
  FormatError       bytes that claim to be ours are not well formed
    Truncated         ends before its own lengths say
    UnsupportedVersion  a version or feature flag that this build does not know
    SectionCorrupt    a checksum or an inner rule does not hold
    LimitExceeded     asks for more than the configured limits allow
  FixityError       bytes were right once and are not any more
    DigestMismatch    content differs from its recorded digest
    BlobMissing       a recorded object is gone
    BlobUnreadable    a recorded object is there, and its bytes cannot be read
    Lost              a repair found this file nowhere
  ModelError        the weights are at fault
    UnknownModel      no weights with the wanted id are at hand
    InexactWeights    weights whose integer arithmetic could overflow
  StorageError      the store is at fault
    ObjectExists      put-if-absent found an object
    ObjectMissing     no object of this name
    ObjectUnreadable  one object does not give its bytes, and the rest of the store answers
    ObjectFrozen      it is in cold storage, and has to be thawed first
    NotAnArchive      no archive at this place
    UnknownCommit     no commit of this number, or its state is not kept
    UnknownPath       the archive holds no such path
    ArchiveLocked     another writer holds the archive
      BlobReplaced      a repair replaced a blob that shards to commit refer to
    TargetError       the target of a restore refuses a file: its name, its kind, missing rights
    SecondSource      the archive holds the files of another source
    StoreUnavailable  nothing of the store is to be had: credentials, no bucket, quota, full disk
      TransientStorageError  may go through when tried again; the only one that is retried
  MissingPackage    an optional package that this needs is not installed

Each error names the file or object in its message and, where there is one, the next step.
"""


class SeecError(Exception):
    """Base of all errors this project raises on purpose."""


class SourceError(SeecError):
    """The input is at fault."""


class UnreadableImage(SourceError):
    """Not an image we can decode."""


class UnreadableMask(SourceError):
    """No label map that fits the image."""


class SourceChanged(SourceError):
    """The file changed while it was read."""


class FormatError(SeecError):
    """Bytes that claim to be ours are not well formed."""


class Truncated(FormatError):
    """Ends before its own lengths say."""


class UnsupportedVersion(FormatError):
    """A version or feature flag that this build does not know."""


class SectionCorrupt(FormatError):
    """A checksum or an inner rule does not hold."""


class LimitExceeded(FormatError):
    """Asks for more than the configured limits allow."""


class FixityError(SeecError):
    """Bytes were right once and are not any more."""


class DigestMismatch(FixityError):
    """Content differs from its recorded digest."""


class BlobMissing(FixityError):
    """A recorded object is gone."""


class BlobUnreadable(FixityError):
    """A recorded object is there, and its bytes cannot be read."""


class Lost(FixityError):
    """A repair found this file nowhere."""


class ModelError(SeecError):
    """The weights are at fault."""


class UnknownModel(ModelError):
    """No weights with the wanted id are at hand."""


class InexactWeights(ModelError):
    """Weights whose integer arithmetic could overflow."""


class StorageError(SeecError):
    """The store is at fault."""


class ObjectExists(StorageError):
    """Put-if-absent found an object."""


class ObjectMissing(StorageError):
    """No object of this name."""


class ObjectUnreadable(StorageError):
    """One object does not give its bytes, and the rest of the store answers.

    A bad sector, a missing right, or no file in its place: it concerns what is in this object.
    """


class ObjectFrozen(StorageError):
    """It is in cold storage, and has to be thawed first."""


class NotAnArchive(StorageError):
    """No archive at this place."""


class UnknownCommit(StorageError):
    """No commit of this number, or its state is not kept."""


class UnknownPath(StorageError):
    """The archive holds no such path."""


class ArchiveLocked(StorageError):
    """Another writer holds the archive."""


class BlobReplaced(ArchiveLocked):
    """Shards to commit refer to a blob in whose place a repair has put another one."""


class TargetError(StorageError):
    """The target of a restore refuses a file: its name, its kind, missing rights."""


class SecondSource(StorageError):
    """The archive holds the files of another source."""


class StoreUnavailable(StorageError):
    """Nothing of the store is to be had: credentials, no bucket, quota, full disk.

    It ends a run, where other errors concern one file: no file is to blame.
    """


class TransientStorageError(StoreUnavailable):
    """May go through when tried again; the only error that is retried."""


class MissingPackage(SeecError):
    """An optional package that this needs is not installed."""
