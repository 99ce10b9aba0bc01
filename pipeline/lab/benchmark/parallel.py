"""Speed with several threads: tile groups of one image beside each other, or whole images.

The C kernels let go of the interpreter while they work, so threads are enough.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seec.pipeline.lab.benchmark.codecs import Codec, Pixels
from seec.pipeline.lab.benchmark.measure import Times, check_pixels, read_pixels, warm_up
from seec.pipeline.lab.benchmark.results import FolderResult, Parallel, Sample
from seec.schemas.errors import DigestMismatch, UnreadableImage

In = TypeVar("In")
Out = TypeVar("Out")
_CHUNK_PIXELS = 64_000_000


@dataclass(frozen=True)
class Arrangement:
    """How threads are put to work.

    codec: keeps `codec_threads` threads busy with one image. images: so many are coded at once.
    """

    codec: Codec
    codec_threads: int = 1
    images: int = 1


def measure_parallel(
    result: FolderResult,
    paths: Sequence[Path],
    arrangement: Arrangement,
    advance: Callable[[], None] = lambda: None,
) -> Parallel:
    """Code the images of a folder once more; `advance` is called for each.

    result: of the same paths and a codec of the same name on one thread. Not empty. Holds images
    of 64 megapixels at a time. Raises DigestMismatch if bytes or pixels are others.
    """
    codec = arrangement.codec
    warm_up(codec)
    samples = result.of(codec.name)
    encode_all, decode_all = Times(), Times()
    for chunk in _chunks(paths, samples):
        pixels = [image for image, _ in chunk]
        blobs, encode = _at_once(codec.encode, pixels, arrangement.images)
        decoded, decode = _at_once(codec.decode, blobs, arrangement.images)
        encode_all, decode_all = encode_all + encode, decode_all + decode
        for (image, sample), blob, back in zip(chunk, blobs, decoded, strict=True):
            check_pixels(codec, sample.image, image, back)
            if hashlib.sha256(blob).hexdigest() != sample.blob_digest:
                raise DigestMismatch(f"{sample.image}: threads change the bytes of {codec.name}")
            advance()
    return _summary(arrangement, samples, encode_all, decode_all)


def _summary(
    arrangement: Arrangement, samples: Sequence[Sample], encode: Times, decode: Times
) -> Parallel:
    megapixels = sum(s.megapixels for s in samples)
    return Parallel(
        codec=arrangement.codec.name,
        threads=max(arrangement.images, arrangement.codec_threads),
        beside="images" if arrangement.images > 1 else "tiles",
        encode_mp_per_s=megapixels / encode.clock_s,
        decode_mp_per_s=megapixels / decode.clock_s,
        encode_mp_per_cpu_s=megapixels / encode.cpu_s,
        decode_mp_per_cpu_s=megapixels / decode.cpu_s,
        encode_gain=sum(s.encode_s for s in samples) / encode.clock_s,
        decode_gain=sum(s.decode_s for s in samples) / decode.clock_s,
    )


def _at_once(
    function: Callable[[In], Out], arguments: Sequence[In], threads: int
) -> tuple[list[Out], Times]:
    """What the function makes of each argument, on so many threads, and how long that took."""
    with ThreadPoolExecutor(threads) as pool:
        start = Times.now()
        made = list(pool.map(function, arguments))
        return made, Times.now() - start


def _chunks(
    paths: Sequence[Path], samples: Sequence[Sample]
) -> Iterator[list[tuple[Pixels, Sample]]]:
    """The images with their samples, as many at a time as may be in memory."""
    chunk: list[tuple[Pixels, Sample]] = []
    room = _CHUNK_PIXELS
    for pixels, sample in zip(_readable(paths), samples, strict=True):
        room -= sample.width * sample.height
        if chunk and room < 0:
            yield chunk
            chunk, room = [], _CHUNK_PIXELS - sample.width * sample.height
        chunk.append((pixels, sample))
    if chunk:
        yield chunk


def _readable(paths: Sequence[Path]) -> Iterator[Pixels]:
    for path in paths:
        with suppress(UnreadableImage):
            yield read_pixels(path)
