"""Writes the golden recipes of deflate streams: `python -m tests.vectors.make_deflate`."""

import zlib
from pathlib import Path

from seec.pipeline.deflate import analyse
from tests.deflated import flushed, libdeflate, zlib_ng, zlib_stream, zopfli
from tests.pictures import textured

FOLDER = Path(__file__).parent / "deflate"


def golden_streams() -> dict[str, bytes]:
    """Small streams by name."""
    picture = textured(24, 30, 3).tobytes()
    words = b"".join(b"%d and %d make %d\n" % (i, i * i % 77, i * 7) for i in range(300))
    both = words + picture + words[:999]
    return {
        **{f"zlib-{n}": zlib_stream(both, n) for n in (0, 1, 4, 6, 9)},
        "zlib-small-blocks": zlib_stream(both, 6, 1),
        "zlib-filtered": zlib_stream(both, 6, 8, zlib.Z_FILTERED),
        "zlib-runs": zlib_stream(picture + bytes(900), 6, 8, zlib.Z_RLE),
        "zlib-small-window": zlib_stream(both, 6, 8, 0, 9),
        "flushed": flushed(both, piece=700),
        "reset": flushed(both, zlib.Z_FULL_FLUSH, 700),
        "zlib-ng-1": zlib_ng(both, 1),
        "libdeflate-6": libdeflate(both, 6),
        "zopfli": zopfli(both),
    }


def main() -> None:
    """Write streams and recipes."""
    FOLDER.mkdir(exist_ok=True)
    for name, stream in golden_streams().items():
        (FOLDER / f"{name}.deflate").write_bytes(stream)
        (FOLDER / f"{name}.recipe").write_bytes(analyse(stream, 1 << 20)[1])


if __name__ == "__main__":
    main()
