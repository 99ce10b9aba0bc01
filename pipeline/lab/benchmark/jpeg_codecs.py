"""What makes JPEG files smaller and gives them back byte for byte."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs

from seec.pipeline.dct.codec import decode, encode
from seec.pipeline.dct.pictures import put_file_together, take_file_apart
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.lab.benchmark.codecs import OURS
from seec.schemas.errors import UnreadableImage

_LONGEST_S = 600


@dataclass(frozen=True)
class JpegCodec:
    """encode: a JPEG file to fewer bytes, or UnreadableImage if it is not taken. decode: back."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Program:
    """A pair of commands that may be installed. They run in a folder of their own.

    compress makes `a<suffix>` of `a.jpg`, and expand makes `a.jpg` of that.
    """

    name: str
    suffix: str
    compress: tuple[str, ...]
    expand: tuple[str, ...]

    def is_installed(self) -> bool:
        """Whether both commands are on PATH."""
        return all(shutil.which(command[0]) for command in (self.compress, self.expand))

    def codec(self) -> JpegCodec:
        """Runs the commands."""
        packed = f"a{self.suffix}"
        return JpegCodec(
            self.name,
            lambda data: _converted(self.compress, "a.jpg", data, packed),
            lambda data: _converted(self.expand, packed, data, "a.jpg"),
        )


def _converted(command: Sequence[str], source: str, data: bytes, target: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / source).write_bytes(data)
        try:
            subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LONGEST_S,
                check=True,
            )
            return (folder / target).read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise UnreadableImage(f"{command[0]}: {error}") from None


def _jpegxl_encode(data: bytes) -> bytes:
    try:
        return bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))
    except imagecodecs.JpegxlError as error:
        raise UnreadableImage(str(error)) from None


def _jpegxl_decode(data: bytes) -> bytes:
    return bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1))


# imagecodecs has no other effort for JPEG files.
_JPEGXL = JpegCodec("jpegxl-e7", _jpegxl_encode, _jpegxl_decode)
PROGRAMS = (
    Program(
        "jpegxl-e9",
        ".jxl",
        ("cjxl", "--lossless_jpeg=1", "--effort=9", "--num_threads=0", "a.jpg", "a.jxl"),
        ("djxl", "--num_threads=0", "a.jxl", "a.jpg"),
    ),
    Program("packjpg", ".pjg", ("packJPG", "-np", "a.jpg"), ("packJPG", "-np", "a.pjg")),
    Program("brunsli", ".br", ("cbrunsli", "a.jpg", "a.br"), ("dbrunsli", "a.br", "a.jpg")),
    Program("lepton", ".lep", ("lepton", "a.jpg", "a.lep"), ("lepton", "a.lep", "a.jpg")),
    Program(
        "lepton-rust",
        ".lep",
        ("lepton_jpeg_util", "a.jpg", "a.lep"),
        ("lepton_jpeg_util", "a.lep", "a.jpg"),
    ),
)
JPEG_CODEC_NAMES = (OURS, _JPEGXL.name, *(program.name for program in PROGRAMS))


def make_jpeg_codecs(names: Sequence[str], ours: Sequence[JpegCodec] = ()) -> list[JpegCodec]:
    """The codecs of these names that take JPEG files and are installed; `ours` stand for OURS."""
    return [codec for name in names for codec in _of_name(name, ours)]


def _of_name(name: str, ours: Sequence[JpegCodec]) -> Iterator[JpegCodec]:
    if name == OURS:
        yield from ours
    elif name == _JPEGXL.name:
        yield _JPEGXL
    for program in PROGRAMS:
        if program.name == name and program.is_installed():
            yield program.codec()


def our_jpeg_codec(model: DctModel, name: str = OURS) -> JpegCodec:
    """SEEC with this model."""
    return JpegCodec(
        name,
        lambda data: encode(take_file_apart(data), model),
        lambda data: put_file_together(decode(data, {model.short_id: model}.get)),
    )
