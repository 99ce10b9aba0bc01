r"""File names as text: any bytes a file system allows, reversibly, in a string column.

A name that is UTF-8 and holds no backslash is its own text. A backslash becomes two, and a byte
that is not part of valid UTF-8 becomes `\xNN` (lower-case hexadecimal).
"""

import re
from unicodedata import normalize

from seec.schemas.errors import SectionCorrupt

_ESCAPES = re.compile(r"\\(\\|x[0-9a-f]{2})?")
_LOW_SURROGATE = 0xDC00
# Parts of keys that no file system has, and how they are written there.
_KEY_PARTS = {"": "%", ".": "%2E", "..": "%2E%2E"}
_LIKE_WRITTEN = re.compile(r"%+(2E(%2E)?)?")


def escape(name: bytes) -> str:
    """The text of a file name, relative path or any other byte string."""
    text = name.decode("utf-8", "surrogateescape").replace("\\", "\\\\")
    return "".join(
        f"\\x{ord(c) - _LOW_SURROGATE:02x}" if "\udc80" <= c <= "\udcff" else c for c in text
    )


def unescape(text: str) -> bytes:
    """The bytes whose text this is; SectionCorrupt where `escape` never wrote such a text."""

    def restore(match: re.Match[str]) -> str:
        escaped = match.group(1)
        if escaped is None:
            raise SectionCorrupt(f"path {text!r}: a single backslash")
        return "\\" if escaped == "\\" else chr(_LOW_SURROGATE + int(escaped[1:], 16))

    try:
        name = _ESCAPES.sub(restore, text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise SectionCorrupt(f"path {text!r}: not the text of any bytes") from None
    if escape(name) != text:
        raise SectionCorrupt(f"path {text!r}: not written the one allowed way")
    return name


def folded(text: str) -> str:
    """What may be left of a path on a file system that ignores case or Unicode normal form."""
    return normalize("NFC", normalize("NFD", text).casefold())


def key_as_path(key: str) -> str:
    """The path of a file for the key of an object, both as text; most keys are their own path.

    Parts that no file system has are written as `_KEY_PARTS` says. A part that looks like one of
    these gets one more `%` before it, so that no two keys have one path.
    """
    return "/".join(
        _KEY_PARTS.get(part) or (f"%{part}" if _LIKE_WRITTEN.fullmatch(part) else part)
        for part in key.split("/")
    )


def is_safe(name: bytes) -> bool:
    """Whether a relative path stays below the directory that it is joined to."""
    parts = name.split(b"/")
    return b"\0" not in name and not any(part in (b"", b".", b"..") for part in parts)
