"""SIC in the bitstream: latents of each tile, and the features that the decoder makes of them.

A tile has its own latents, so that tile groups stay independent: a crop reads the latents,
which are small, but synthesises the features of its own tiles only.
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.coding.entropy import SymbolDecoder, SymbolEncoder
from seec.pipeline.codec.coding.tiles import Pixels, Tile, extent_of
from seec.pipeline.codec.model.profile import SCALE_COUNT
from seec.pipeline.codec.model.tables import LOGISTIC_ONE
from seec.pipeline.codec.model.transforms import (
    HYPER_STRIDE,
    LATENT_STRIDE,
    analysis,
    hyper_analysis,
    hyper_synthesis,
    synthesis,
)
from seec.pipeline.codec.model.weights import Z_LIMIT, Z_VALUES, Model
from seec.pipeline.codec.sic.synthesis import IntegerArithmetic

Y_LIMIT = 127
LATENT_BITS = 4  # a latent is a hidden value without its last 4 bits
SCALE_START = 64  # a scale of 0 is a standard deviation of 1
_WEIGHT = 255  # of the one component of a latent's mixture


@dataclass(frozen=True)
class Latents:
    """z [1, latents, ceil(h / 4), ceil(w / 4)] and y [1, latents, h, w] int32 of a tile."""

    z: Tensor
    y: Tensor


class SideCoder:
    """Latents and features of tiles with one model on one device. Safe to share."""

    def __init__(self, model: Model, device: str = "cpu", carrier: torch.dtype = torch.float32):
        if model.profile.side is None:
            raise ValueError("a model without SIC")
        self._sizes = model.profile.side
        self._device = device
        self._ops = IntegerArithmetic(model, device, carrier)
        tables = ("normal", "inverse_scale", "reach", "z")
        self._tables = {k: torch.from_numpy(model.tables[k]).to(device) for k in tables}

    def analyse(self, image: Pixels, tiles: Sequence[Tile]) -> list[Latents]:
        """Latents of tiles of an image [H, W, channels]."""
        return [self._analyse(image[t.y : t.y + t.height, t.x : t.x + t.width]) for t in tiles]

    def encode(self, latents: Sequence[Latents]) -> tuple[bytes, bytes]:
        """The payloads of the sections z and y for all tiles of an image, in order."""
        z_coder, y_coder = SymbolEncoder(), SymbolEncoder()
        for tile in latents:
            symbols = _symbols((tile.z + Z_LIMIT).flatten())
            z_coder.put(symbols, self._z_frequencies(tile.z.shape))
            m, value = self._distribution(tile.z, tile.y.shape), (tile.y + 128).flatten()
            y_coder.put(_symbols(value >> 4), _frequencies(m.high()))
            y_coder.put(_symbols(value & 15), _frequencies(m.low(value >> 4)))
        return z_coder.finish(), y_coder.finish()

    def decode(self, z_words: bytes, y_words: bytes, tiles: Sequence[Tile]) -> list[Latents]:
        """Inverse of encode; raises SectionCorrupt."""
        z_coder, y_coder = SymbolDecoder(z_words), SymbolDecoder(y_words)
        latents: list[Latents] = []
        for t in tiles:
            rows, columns = -(-t.height // LATENT_STRIDE), -(-t.width // LATENT_STRIDE)
            y_shape = torch.Size((1, self._sizes.latents, rows, columns))
            z_shape = torch.Size(
                (1, self._sizes.latents, -(-rows // HYPER_STRIDE), -(-columns // HYPER_STRIDE))
            )
            symbols = z_coder.take(self._z_frequencies(z_shape))
            # The last symbol of the table has no value; no encoder writes it.
            z = torch.from_numpy(symbols).to(self._device).clamp_max(2 * Z_LIMIT) - Z_LIMIT
            z = z.reshape(z_shape)
            m = self._distribution(z, y_shape)
            high = torch.from_numpy(y_coder.take(_frequencies(m.high()))).to(self._device)
            low = torch.from_numpy(y_coder.take(_frequencies(m.low(high)))).to(self._device)
            latents.append(Latents(z, (16 * high + low - 128).reshape(y_shape)))
        z_coder.finish()
        y_coder.finish()
        return latents

    def features(self, latents: Sequence[Latents], tiles: Sequence[Tile]) -> NDArray[np.int16]:
        """Features of the tiles of a group, [tiles, rows, columns, features]."""
        out = np.zeros((len(tiles), *extent_of(tiles), self._sizes.features), np.int16)
        for number, (tile, t) in enumerate(zip(latents, tiles, strict=True)):
            x = synthesis(self._ops, tile.y.clamp(-Y_LIMIT, Y_LIMIT) << LATENT_BITS, self._sizes)
            part = x[0, :, : t.height, : t.width].permute(1, 2, 0)
            out[number, : t.height, : t.width] = part.to(torch.int16).cpu().numpy()
        return out

    def _analyse(self, pixels: Pixels) -> Latents:
        height, width = pixels.shape[:2]
        whole = np.pad(
            pixels, ((0, -height % LATENT_STRIDE), (0, -width % LATENT_STRIDE), (0, 0)), "edge"
        )
        x = torch.from_numpy(whole.astype(np.int32)).to(self._device).permute(2, 0, 1)[None]
        y = _rounded(analysis(self._ops, pixel_values(x), self._sizes), Y_LIMIT)
        short = (0, -y.shape[3] % HYPER_STRIDE, 0, -y.shape[2] % HYPER_STRIDE)
        padded = torch.nn.functional.pad(y, short) << LATENT_BITS
        z = _rounded(hyper_analysis(self._ops, padded, self._sizes), Z_LIMIT)
        return Latents(z, y)

    def _z_frequencies(self, shape: torch.Size) -> NDArray[np.float32]:
        """The same for all places of a channel: [n, 64]."""
        table = self._tables["z"][:, None].expand(-1, shape[2] * shape[3], -1)
        return _frequencies(table.reshape(-1, Z_VALUES))

    def _distribution(self, z: Tensor, shape: torch.Size) -> Mixture:
        """The normal distribution of each latent, given the hyper-latents."""
        mean, scale = hyper_synthesis(self._ops, z << LATENT_BITS, self._sizes)
        mean, scale = (v[:, :, : shape[2], : shape[3]].reshape(-1, 1) for v in (mean, scale))
        index = ((scale >> 3) + SCALE_START).clamp(0, SCALE_COUNT - 1)
        ones = torch.ones_like(mean[:, 0])
        return Mixture(
            mean=64 * 128 + (mean << 2),
            weight=_WEIGHT * torch.ones_like(mean),
            inverse=self._tables["inverse_scale"][index],
            reach=self._tables["reach"][index],
            total=_WEIGHT * (LOGISTIC_ONE >> 2) * ones,
            nodes=self._tables["normal"],
            first=torch.zeros_like(ones),
            width=ones,
        )


def pixel_values(x: Tensor) -> Tensor:
    """Samples [n, 1 or 3, h, w] int32 as the hidden values that g_a takes, [n, 3, h, w]."""
    return ((x - 128) << 4).clamp_min(-2047).expand(-1, 3, -1, -1)


def _rounded(x: Tensor, limit: int) -> Tensor:
    return ((x + (1 << (LATENT_BITS - 1))) >> LATENT_BITS).clamp(-limit, limit)


def _symbols(values: Tensor) -> NDArray[np.int32]:
    return values.cpu().numpy().astype(np.int32)


def _frequencies(table: Tensor) -> NDArray[np.float32]:
    return table.to(torch.float32).cpu().numpy()
