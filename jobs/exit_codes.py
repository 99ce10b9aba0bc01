"""How commands end: exit codes, what they mean, and which errors have which."""

from enum import IntEnum

from seec.schemas.errors import (
    ArchiveLocked,
    FixityError,
    FormatError,
    LimitExceeded,
    MissingPackage,
    NotAnArchive,
    ObjectFrozen,
    SecondSource,
    SeecError,
    TargetError,
    UnknownCommit,
    UnsupportedVersion,
)


class ExitCode(IntEnum):
    """How a command ends. Stable: scripts rely on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    INCOMPLETE = 3
    DAMAGE = 4
    REFUSED = 5
    UNMATCHED = 6
    FROZEN = 7
    NOT_AN_ARCHIVE = 10
    LOCKED = 11
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    ExitCode.OK: "success",
    ExitCode.UNEXPECTED: "unexpected error",
    ExitCode.USAGE: "wrong options or arguments",
    ExitCode.INCOMPLETE: "finished, but the archive does not hold every file",
    ExitCode.DAMAGE: "damage found",
    ExitCode.REFUSED: "finished, but the target refused some files",
    ExitCode.UNMATCHED: "finished, but nothing matched one of --include",
    ExitCode.FROZEN: "objects are in cold storage and have to be thawed first",
    ExitCode.NOT_AN_ARCHIVE: "not an archive",
    ExitCode.LOCKED: "another writer holds the archive",
    ExitCode.HUNG_UP: "interrupted by SIGHUP",
    ExitCode.INTERRUPTED: "interrupted by SIGINT (Ctrl-C)",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}

# The first class that matches decides. A file that asks for a newer build or for more than
# the limits allow is not damaged, so these two stand before FormatError.
_OF_ERROR: tuple[tuple[type[SeecError], ExitCode], ...] = (
    (NotAnArchive, ExitCode.NOT_AN_ARCHIVE),
    (ArchiveLocked, ExitCode.LOCKED),
    (TargetError, ExitCode.REFUSED),
    (ObjectFrozen, ExitCode.FROZEN),
    (UnknownCommit, ExitCode.USAGE),
    (MissingPackage, ExitCode.USAGE),
    (SecondSource, ExitCode.USAGE),
    (UnsupportedVersion, ExitCode.UNEXPECTED),
    (LimitExceeded, ExitCode.UNEXPECTED),
    (FormatError, ExitCode.DAMAGE),
    (FixityError, ExitCode.DAMAGE),
    (SeecError, ExitCode.UNEXPECTED),
)


def exit_code_of(error: SeecError) -> ExitCode:
    """The exit code that an error ends a command with."""
    return next(code for kind, code in _OF_ERROR if isinstance(error, kind))
