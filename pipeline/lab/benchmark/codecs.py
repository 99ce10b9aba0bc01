"""The codecs that are compared, peers on one thread each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

import seec.pipeline.codec
from seec.pipeline.codec import Model
from seec.pipeline.codec.search.plan import ColourSetChoice

Pixels = NDArray[np.uint8]
OURS = "seec"
STRONGEST_PEER = "jpegxl-e9"


@dataclass(frozen=True)
class Codec:
    """A lossless image codec.

    encode: [H, W] or [H, W, 3] uint8 to a file's bytes. decode: back, the same array.
    """

    name: str
    encode: Callable[[Pixels], bytes]
    decode: Callable[[bytes], Pixels]


def make_codecs(names: Sequence[str], ours: Sequence[Codec] = ()) -> list[Codec]:
    """The codecs of these names, ready to run; `ours` stand where OURS does.

    Raises ValueError for a name that is not in CODEC_NAMES.
    """
    check_names(names, CODEC_NAMES)
    return [codec for name in names for codec in (ours if name == OURS else (_PEERS[name],))]


def check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """ValueError that lists the known codecs, for a name that is none of theirs."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no codec {', '.join(unknown)}; there are {', '.join(known)}")


def our_codec(
    model: Model, name: str = OURS, *, colour_set: ColourSetChoice = "auto", threads: int = 1
) -> Codec:
    """SEEC with these weights. threads: tile groups of an image that are worked on at once."""
    encode = partial(
        seec.pipeline.codec.encode, model=model, colour_set=colour_set, threads=threads
    )
    decode = partial(seec.pipeline.codec.decode, models={model.id: model}, threads=threads)
    return Codec(name, encode, decode)


def is_ours(name: str) -> bool:
    """Whether a codec of this name is SEEC: the name is OURS, or begins with it and a hyphen."""
    return name.partition("-")[0] == OURS


def _jpegxl(effort: int) -> Codec:
    return Codec(
        f"jpegxl-e{effort}",
        _encode_with(imagecodecs.jpegxl_encode, effort=effort, lossless=True, numthreads=1),
        partial(imagecodecs.jpegxl_decode, numthreads=1),
    )


def _webp() -> Codec:
    # WebP knows no gray: three equal channels cost it almost nothing. Method 6 at level 100
    # would be 0.2 % smaller and take twenty times as long.
    encode = _encode_with(imagecodecs.webp_encode, lossless=True, method=6, level=75, numthreads=1)
    return Codec(
        "webp",
        lambda pixels: encode(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)),
        imagecodecs.webp_decode,
    )


def _encode_with(function: Callable[..., Any], **options: Any) -> Callable[[Pixels], bytes]:
    return lambda pixels: bytes(function(pixels, **options))


_PEERS = {
    codec.name: codec
    for codec in (
        Codec("png", _encode_with(imagecodecs.png_encode, level=9), imagecodecs.png_decode),
        _webp(),
        Codec(
            "jpeg2000",
            _encode_with(imagecodecs.jpeg2k_encode, level=0, reversible=True, numthreads=1),
            partial(imagecodecs.jpeg2k_decode, numthreads=1),
        ),
        _jpegxl(3),
        _jpegxl(7),
        _jpegxl(9),
    )
}
CODEC_NAMES = (OURS, *_PEERS)
