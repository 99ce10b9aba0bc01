"""Tile groups coded with torch, on any device.

Networks give the frequencies of values (plain.py, adaptive.py); here the range coder uses them,
in the order of FORMAT.md.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.distribution import FLOOR, Mixture
from seec.pipeline.codec.coding.entropy import SymbolDecoder, SymbolEncoder
from seec.pipeline.codec.coding.tiles import (
    MARGIN,
    GroupCanvas,
    Wavefront,
    even_rows,
    join_groups,
    wavefront,
)
from seec.pipeline.codec.model.tables import log2_table
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.adaptive import AdaptiveNetwork
from seec.pipeline.codec.network.parts import Part
from seec.pipeline.codec.network.plain import PlainNetwork
from seec.pipeline.codec.network.protocol import ChannelModel, IntegerNetwork, Reader

_CHUNK = 1 << 15  # pixels whose parameters are in memory at once while encoding


class _Exchange(Protocol):
    """One end of the range coder: given frequencies of symbols, it learns or writes them."""

    def __call__(self, frequencies: Tensor, symbols: Tensor, rows: Tensor) -> Tensor:
        """Frequencies [n, 16] and symbols [n] (an encoder's) of these rows of a step."""
        ...


@dataclass(frozen=True)
class _Reading:
    """The decoders of several groups, and where in a step the pixels of each end."""

    coders: list[SymbolDecoder]
    ends: NDArray[np.int64]

    def __call__(self, frequencies: Tensor, symbols: Tensor, rows: Tensor) -> Tensor:
        """Decode a symbol for each row of frequencies, from the coder of its group."""
        table = frequencies.to(torch.float32).cpu().numpy()
        found = np.empty(len(table), np.int32)
        start = 0
        ends = np.searchsorted(rows.cpu().numpy(), self.ends)
        for coder, end in zip(self.coders, ends.tolist(), strict=True):
            if end > start:
                found[start:end] = coder.take(table[start:end])
            start = end
        return torch.from_numpy(found).to(frequencies.device)


@dataclass(frozen=True)
class _Writing:
    """The encoder of a group."""

    coder: SymbolEncoder

    def __call__(self, frequencies: Tensor, symbols: Tensor, rows: Tensor) -> Tensor:
        """Write the symbols."""
        table = frequencies.to(torch.float32).cpu().numpy()
        self.coder.put(symbols.cpu().numpy().astype(np.int32), table)
        return symbols


class TorchKernels:
    """Codes tile groups with torch; `carrier` is float32 or float64."""

    at_once = 64

    def __init__(self, model: Model, device: str = "cpu", carrier: torch.dtype = torch.float32):
        self._device, self._entropy_models = device, model.profile.entropy_models
        network = AdaptiveNetwork if model.profile.predictors else PlainNetwork
        self._network: IntegerNetwork = network(model, device, carrier)
        self._adapted = model.profile.adaptation is not None
        self._log2 = torch.from_numpy(log2_table()).to(device)

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas; see Kernels."""
        order, flat = wavefront(group), self._flat(group)
        coder = SymbolEncoder()
        if self._adapted or not group.lossless:
            self._encode_steps(flat, order, group, coder)
            return coder.finish()
        reader = self._network.recall(group)
        for first, last in _chunks(order.starts):
            part = Part.of_steps(group, order, flat, first, last)
            channel_model = reader.model_of(part).channel_model()
            symbols, frequencies = _nibbles(channel_model, part.pixels(), group.channels)
            queue = _coding_order(order.starts[first : last + 1], 2 * group.channels)
            coder.put(symbols[queue], frequencies[queue])
        return coder.finish()

    def _flat(self, group: GroupCanvas) -> Tensor:
        return torch.from_numpy(group.canvas).to(self._device).view(-1)

    def _encode_steps(
        self, flat: Tensor, order: Wavefront, group: GroupCanvas, coder: SymbolEncoder
    ) -> None:
        """Step by step as a decoder goes, because predictions see, or know, what it will."""
        reader = self._network.follow(group)
        for first in range(len(order.starts) - 1):
            part = Part.of_steps(group, order, flat, first, first + 1)
            _code_step(reader, part, part.pixels(), _Writing(coder))
        group.canvas[:] = flat.cpu().numpy().reshape(group.canvas.shape)

    def decode(self, groups: Sequence[GroupCanvas], words: Sequence[bytes]) -> None:
        """Fill each canvas from its coded words; raises SectionCorrupt.

        Groups of one shape go through the network together, step by step: a step of one
        group alone is too small to keep a device busy.
        """
        alike: dict[tuple[int, ...], list[tuple[GroupCanvas, SymbolDecoder]]] = {}
        for group, coded in zip(groups, words, strict=True):
            key = (*group.canvas.shape[1:], group.block_shift, group.channels)
            alike.setdefault(key, []).append((group, SymbolDecoder(coded)))
        for pairs in alike.values():
            self._decode_alike([g for g, _ in pairs], [coder for _, coder in pairs])

    def _decode_alike(self, groups: list[GroupCanvas], coders: list[SymbolDecoder]) -> None:
        joined, ends = join_groups(groups)
        order, flat = wavefront(joined), self._flat(joined)
        reader = self._network.follow(joined)
        for first in range(len(order.starts) - 1):
            part = Part.of_steps(joined, order, flat, first, first + 1)
            pixel = torch.zeros((len(part.at), 3), dtype=torch.int32, device=self._device)
            # A step lists pixels tile by tile, so each group's are a run of it.
            reading = _Reading(coders, np.searchsorted(part.tiles, ends))
            _code_step(reader, part, pixel, reading)
        for coder in coders:
            coder.finish()
        decoded = flat.cpu().numpy().reshape(joined.canvas.shape)
        for group, filled in zip(groups, np.split(decoded, ends[:-1]), strict=True):
            group.canvas[:] = filled

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of the even rows of each block, in 1/256 bit; shaped as in Kernels."""
        order, flat = even_rows(wavefront(group)), self._flat(group)
        reader = self._network.recall(group)
        rows, columns = group.labels.shape[1:]
        shift = group.block_shift
        block = (order.tile * rows + (order.y >> shift)) * columns + (order.x >> shift)
        costs = torch.zeros((group.labels.size, self._entropy_models), dtype=torch.int64)
        for first, last in _chunks(order.starts):
            part = Part.of_steps(group, order, flat, first, last)
            model, pixel = reader.model_of(part), part.pixels()
            where = torch.from_numpy(block[part.rows])
            for e in range(self._entropy_models):
                channel_model = model.channel_model(e)
                for channel in range(group.channels):
                    bits = self._bits(channel_model.mixture(channel, pixel), pixel[:, channel])
                    costs[:, e].index_add_(0, where, bits.cpu())
        return costs.numpy().reshape(*group.labels.shape, self._entropy_models)

    def code_lengths(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of each pixel under its own entropy model in 1/256 bit.

        [tiles, rows, columns].
        """
        order, flat = wavefront(group), self._flat(group)
        chunks = pairwise(range(len(order.starts))) if self._adapted else _chunks(order.starts)
        reader = (self._network.follow if self._adapted else self._network.recall)(group)
        lengths = np.zeros((len(group.sizes), group.rows, group.columns), np.int64)
        for first, last in chunks:
            part = Part.of_steps(group, order, flat, first, last)
            model, pixel, width = reader.model_of(part), part.pixels(), part.widths()
            channel_model = model.channel_model()
            bits = torch.zeros(len(part.at), dtype=torch.int64, device=self._device)
            coded = width.nonzero()[:, 0]
            for channel in range(group.channels):
                m = channel_model.mixture(channel, pixel, width).rows(coded)
                bits[coded] += self._bits(m, pixel[coded, channel])
            rows = part.rows
            lengths[order.tile[rows], order.y[rows], order.x[rows]] = bits.cpu().numpy()
            model.learn(pixel)
        return lengths

    def _bits(self, m: Mixture, value: Tensor) -> Tensor:
        """Code length of values [n] in 1/256 bit, [n] int64."""
        mass = m.mass(m.bin_of(value)) + FLOOR
        return (self._log2_q8(m.total + 256 * FLOOR) - self._log2_q8(mass)).to(torch.int64)

    def _log2_q8(self, value: Tensor) -> Tensor:
        exponent = torch.frexp(value.double())[1] - 1
        up, down = (exponent - 10).clamp_min(0), (10 - exponent).clamp_min(0)
        return (exponent << 8) + self._log2[((value >> up) << down) - 1024]


def _code_step(reader: Reader, part: Part, pixel: Tensor, exchange: _Exchange) -> None:
    """Code the pixels [n, 3] of a step, and leave in the canvas what a decoder sees."""
    model = reader.model_of(part)
    channel_model, width = model.channel_model(), part.widths()
    coded = width.nonzero()[:, 0]
    channels = part.group.channels
    for channel in range(channels):
        m = channel_model.mixture(channel, pixel, width)
        some = m.rows(coded)
        bins = some.bin_of(pixel[coded, channel])
        high = exchange(some.high(), bins >> 4, coded)
        low = exchange(some.low(high), bins & 15, coded)
        value = some.value_of(16 * high + low)
        if some is not m:
            value = m.likeliest().index_put_((coded,), value)
        pixel[:, channel] = value
    if channels == 1:
        pixel[:] = pixel[:, :1]
    part.flat[part.at[:, None] + torch.arange(3, device=pixel.device)] = pixel.to(torch.uint8)
    _extend_margins(part)
    model.learn(pixel)


def _nibbles(
    channel_model: ChannelModel, pixel: Tensor, channels: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Symbols [2 C n] and frequencies [2 C n, 16]: channel by channel, high then low."""
    symbols, frequencies = [], []
    for channel in range(channels):
        m = channel_model.mixture(channel, pixel)
        high = pixel[:, channel] >> 4
        symbols += [high, pixel[:, channel] & 15]
        frequencies += [m.high(), m.low(high)]
    return (
        torch.cat(symbols).cpu().numpy(),
        torch.cat(frequencies).to(torch.float32).cpu().numpy(),
    )


def _extend_margins(part: Part) -> None:
    """Repeat the edge pixels of a decoded step into the margins."""
    flat, at, group, order, rows = part.flat, part.at, part.group, part.order, part.rows
    reach = torch.arange(3 * MARGIN, device=flat.device)
    colour = reach % 3
    stride = 3 * group.canvas.shape[2]
    tile, y, x = order.tile[rows], order.y[rows], order.x[rows]
    left = torch.from_numpy(np.flatnonzero((x == 0) & (y + 1 < group.sizes[tile, 0])))
    right = torch.from_numpy(np.flatnonzero(x + 1 == group.sizes[tile, 1]))
    for picked, shift in ((left, stride - 3 * MARGIN), (right, 3)):
        start = at[picked.to(flat.device), None]
        flat[start + shift + reach] = flat[start + colour]


def _chunks(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of steps with about _CHUNK pixels each."""
    first = 0
    while first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + _CHUNK, "right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _coding_order(starts: NDArray[np.int64], kinds: int) -> NDArray[np.int64]:
    """Where each symbol of a chunk comes from: step by step, kind by kind, pixel by pixel.

    The symbols lie kind by kind ([kinds, n]); a kind is a nibble of a channel.
    """
    n = int(starts[-1] - starts[0])
    step = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    kind = np.repeat(np.arange(kinds), n)
    return np.lexsort((kind, np.tile(step, kinds)))
