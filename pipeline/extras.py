"""Optional packages: what to install where one of them is missing."""

from collections.abc import Generator
from contextlib import contextmanager

from seec.schemas.errors import MissingPackage

DISTRIBUTION = "seec-archive"


@contextmanager
def needs(extra: str, what: str) -> Generator[None]:
    """Around imports that need an extra of this distribution.

    what: names the feature, at the start of the message. Raises MissingPackage, with the command
    that installs the extra, in place of ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "seec":
            raise
        raise missing(extra, what, error.name) from None


def missing(extra: str, what: str, module: str) -> MissingPackage:
    """The error to raise where `what` needs a module of an extra."""
    return MissingPackage(
        f"{what} needs {module}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'"
    )
