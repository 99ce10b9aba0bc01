"""Percent saved and speed of the JPEG coder, against JPEG XL, by set of files, as a table.

    python -m seec.pipeline.lab.dct.measure photos=FOLDER kodak:90,4:2:0=FOLDER

A set is NAME=FOLDER, of JPEG files as they are, or NAME:QUALITY,SAMPLING=FOLDER, of images that
Pillow makes JPEG files of. Each file is coded, decoded and compared; times are of this process's
CPU, on one core, with the model in memory. `worst` is the most bytes that a file of
the set takes above JPEG XL; below 0 all are smaller.
"""

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
from PIL import Image

from seec.pipeline.dct.codec import decode, encode
from seec.pipeline.dct.native import make_coder
from seec.pipeline.dct.packaged import find_packaged, packaged_model, packaged_profiles
from seec.pipeline.dct.pictures import put_file_together, take_file_apart
from seec.pipeline.images.split import is_validation
from seec.schemas.errors import UnreadableImage

_SAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
_JPEG = (".jpg", ".jpeg")


@dataclass
class Totals:
    """Sums over a set; coded: bytes by profile, times: seconds of encoding and of decoding.

    worst: of all files the most bytes above those of JPEG XL, by profile.
    """

    files: int = 0
    size: int = 0
    jpegxl: int = 0
    refused: int = 0
    coded: dict[str, int] = field(default_factory=dict[str, int])
    times: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    worst: dict[str, int] = field(default_factory=dict[str, int])


def main() -> None:
    """Measure the sets that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME[:QUALITY,SAMPLING]=FOLDER")
    parser.add_argument("--profiles", default=",".join(packaged_profiles()))
    parser.add_argument("--limit", type=int, default=0, help="files of a set, spread over it")
    parser.add_argument("--progressive", action="store_true", help="also optimised progressive")
    parser.add_argument(
        "--validation", action="store_true", help="only files that training leaves out"
    )
    asked = parser.parse_args()
    profiles = asked.profiles.split(",")
    for profile in profiles:
        make_coder(packaged_model(profile))  # an archive's files share it
    heads = [f"{p} % | {p} worst | {p} MB/s" for p in profiles]
    print(f"| set | files | bytes | refused | JPEG XL % | {' | '.join(heads)} |")  # noqa: T201
    print("| --- " * (5 + 3 * len(profiles)) + "|")  # noqa: T201
    for text in asked.sets:
        name, _, folder = text.partition("=")
        files = _chosen(Path(folder), asked.limit, validation=asked.validation)
        print(_row(name, _measured(_read(name, files), profiles)), flush=True)  # noqa: T201
        if asked.progressive:
            again = (_progressive(data) for data in _read(name, files))
            totals = _measured(again, profiles)
            print(_row(f"{name}, progressive", totals), flush=True)  # noqa: T201


def _chosen(folder: Path, limit: int, *, validation: bool) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.is_file())
    if validation:
        files = [p for p in files if is_validation(p.name)]
    if limit and len(files) > limit:
        files = [files[len(files) * i // limit] for i in range(limit)]
    return files


def _read(name: str, files: list[Path]) -> Iterator[bytes]:
    _, _, made = name.partition(":")
    for path in files:
        if not made:
            if path.suffix.lower() in _JPEG:
                yield path.read_bytes()
            continue
        quality, sampling = made.split(",")
        out = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(
                out, "JPEG", quality=int(quality), subsampling=_SAMPLING[sampling]
            )
        yield out.getvalue()


def _progressive(data: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(out, "JPEG", quality="keep", progressive=True, optimize=True)
    return out.getvalue()


def _measured(files: Iterator[bytes], profiles: list[str]) -> Totals:
    t = Totals()
    for data in files:
        t.files, t.size = t.files + 1, t.size + len(data)
        try:
            jpegxl = len(imagecodecs.jpegxl_encode_jpeg(data))
        except imagecodecs.JpegxlError:
            jpegxl = len(data)
        t.jpegxl += jpegxl
        for profile in profiles:
            size = _coded_size(t, data, profile)
            t.coded[profile] = t.coded.get(profile, 0) + size
            t.worst[profile] = max(t.worst.get(profile, size - jpegxl), size - jpegxl)
    return t


def _coded_size(t: Totals, data: bytes, profile: str) -> int:
    model = packaged_model(profile)
    began = time.process_time()
    try:
        coded = encode(take_file_apart(data), model)
    except UnreadableImage:
        t.refused += 1
        return len(data)
    between = time.process_time()
    back = put_file_together(decode(coded, find_packaged))
    ended = time.process_time()
    if back != data:
        raise AssertionError("a file that does not come back")
    spent = t.times.get(profile, (0.0, 0.0))
    t.times[profile] = spent[0] + between - began, spent[1] + ended - between
    return len(coded)


def _row(name: str, t: Totals) -> str:
    def saved(size: int) -> str:
        return f"{100 - 100 * size / max(t.size, 1):.2f}"

    cells = [name, str(t.files), str(t.size), str(t.refused), saved(t.jpegxl)]
    for profile, size in t.coded.items():
        encoding, decoding = t.times.get(profile, (0.0, 0.0))
        cells += [
            saved(size),
            str(t.worst[profile]),
            f"{t.size / max(encoding, 1e-9) / 1e6:.2f} / {t.size / max(decoding, 1e-9) / 1e6:.2f}",
        ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
