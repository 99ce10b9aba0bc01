"""The integer arithmetic of the decoder in torch, on any device.

Layers are matrix products of small integers carried in floats: exact in any order, because
loading a model proves that no partial sum reaches 2^24 (weights.py). Everything else is
int32. This is the reference that FORMAT.md describes and that the C kernels repeat.
"""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codec.distribution import FLOOR, Mixture, bins_around
from pipeline.codec.entropy import SymbolDecoder, SymbolEncoder
from pipeline.codec.profile import (
    ACTIVITY_TAPS,
    BETA_LIMIT,
    INPUT_LIMIT,
    LEAK_SHIFT,
    NW,
    SCALE_BIAS,
    SCALE_COUNT,
    TAPS,
    N,
    W,
)
from pipeline.codec.synthesis import CarriedLayer
from pipeline.codec.tables import LOGISTIC_ONE, log2_table
from pipeline.codec.tiles import MARGIN, GroupCanvas, Wavefront, even_rows, join_groups, wavefront
from pipeline.codec.weights import Layer, Model

_CHUNK = 1 << 15  # pixels whose parameters are in memory at once while encoding


@dataclass(frozen=True)
class Context:
    """Per pixel: MED prediction and activity, [..., 3] int32."""

    med: Tensor
    activity: Tensor


def front_end(taps: Tensor, log_activity: Tensor, reciprocal: Tensor) -> tuple[Context, Tensor]:
    """The integers before the network.

    taps: [..., 22, 3] int32, the causal neighbours; the tables as in tables.py.
    Returns the context, and the network inputs [..., 72] int32.
    """
    west, north = taps[..., W, :], taps[..., N, :]
    low, high = torch.minimum(west, north), torch.maximum(west, north)
    med = torch.minimum(torch.maximum(west + north - taps[..., NW, :], low), high)
    difference = taps - med[..., None, :]
    activity = difference[..., list(ACTIVITY_TAPS), :].abs().sum(-2, dtype=torch.int32)
    scaled = (difference * reciprocal[activity.sum(-1)][..., None, None] + 2048) >> 12
    scaled = scaled.clamp(-INPUT_LIMIT, INPUT_LIMIT).transpose(-1, -2).flatten(-2)
    level = log_activity[activity] - 32
    return Context(med, activity), torch.cat([scaled, level, (med - 128) >> 1], -1)


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
        self._device, self._carrier = device, carrier
        self._experts, self._mixtures = model.profile.experts, model.profile.mixtures
        self._context = self._layer(model.layers["context"], 0)
        self._fusion = self._layer(model.layers["fusion"], 0)
        self._hidden = [self._layer(model.layers["expert_hidden"], e) for e in range(self._experts)]
        self._output = [self._layer(model.layers["expert_output"], e) for e in range(self._experts)]
        self._tables = {k: torch.from_numpy(v).to(device) for k, v in model.tables.items()}
        self._log2 = torch.from_numpy(log2_table()).to(device)

    def _layer(self, layer: Layer, group: int) -> CarriedLayer:
        return CarriedLayer(layer, group, self._device, self._carrier)

    # ------------------------------------------------------------ tile groups

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas; see Kernels."""
        order = wavefront(group)
        flat = torch.from_numpy(group.canvas).to(self._device).view(-1)
        coder = SymbolEncoder()
        if not group.lossless:
            self._encode_steps(flat, order, group, coder)
            return coder.finish()
        for first, last in _chunks(order.starts):
            rows, at, pixel = self._part(flat, order, first, last)
            context, params = self._predict(flat, at, order, rows, group)
            symbols, frequencies = self._nibbles(context, params, pixel, group.channels)
            queue = _coding_order(order.starts[first : last + 1], 2 * group.channels)
            coder.put(symbols[queue], frequencies[queue])
        return coder.finish()

    def _encode_steps(
        self, flat: Tensor, order: Wavefront, group: GroupCanvas, coder: SymbolEncoder
    ) -> None:
        """Step by step as a decoder goes, because predictions see what it will see."""
        for first in range(len(order.starts) - 1):
            rows, at, pixel = self._part(flat, order, first, first + 1)
            self._code_step(flat, order, rows, at, group, pixel, _Writing(coder))
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
        order = wavefront(joined)
        flat = torch.from_numpy(joined.canvas).to(self._device).view(-1)
        for first in range(len(order.starts) - 1):
            rows = slice(order.starts[first], order.starts[first + 1])
            at = torch.from_numpy(order.offset[rows]).to(self._device)
            pixel = torch.zeros((len(at), 3), dtype=torch.int32, device=self._device)
            # A step lists pixels tile by tile, so each group's are a run of it.
            reading = _Reading(coders, np.searchsorted(order.tile[rows], ends))
            self._code_step(flat, order, rows, at, joined, pixel, reading)
        for coder in coders:
            coder.finish()
        decoded = flat.cpu().numpy().reshape(joined.canvas.shape)
        for group, part in zip(groups, np.split(decoded, ends[:-1]), strict=True):
            group.canvas[:] = part

    def _code_step(
        self,
        flat: Tensor,
        order: Wavefront,
        rows: slice,
        at: Tensor,
        group: GroupCanvas,
        pixel: Tensor,
        exchange: _Exchange,
    ) -> None:
        """Code the pixels [n, 3] of a step, and leave in the canvas what a decoder sees."""
        context, params = self._predict(flat, at, order, rows, group)
        width = torch.from_numpy(order.width[rows]).to(self._device, torch.int32)
        coded = width.nonzero()[:, 0]
        for channel in range(group.channels):
            m = self._mixture(context, params, pixel, channel, width)
            value = m.likeliest()
            some = m.rows(coded)
            bins = some.bin_of(pixel[coded, channel])
            high = exchange(some.high(), bins >> 4, coded)
            low = exchange(some.low(high), bins & 15, coded)
            value[coded] = some.value_of(16 * high + low)
            pixel[:, channel] = value
        if group.channels == 1:
            pixel[:] = pixel[:, :1]
        flat[at[:, None] + torch.arange(3, device=self._device)] = pixel.to(torch.uint8)
        self._extend_margins(flat, at, order, rows, group)

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of the even rows of each block, [tiles, B, B, experts], 1/256 bit."""
        order = even_rows(wavefront(group))
        flat = torch.from_numpy(group.canvas).to(self._device).view(-1)
        blocks = group.labels.shape[1]
        shift = group.block_shift
        block = (order.tile * blocks + (order.y >> shift)) * blocks + (order.x >> shift)
        costs = torch.zeros((group.labels.size, self._experts), dtype=torch.int64)
        for first, last in _chunks(order.starts):
            rows, at, pixel = self._part(flat, order, first, last)
            context, features = self._features(flat, at, order, rows, group)
            where = torch.from_numpy(block[rows])
            for e in range(self._experts):
                params = self._speak(e, features)
                for channel in range(group.channels):
                    m = self._mixture(context, params, pixel, channel)
                    costs[:, e].index_add_(0, where, self._bits(m, pixel[:, channel]).cpu())
        return costs.numpy().reshape(*group.labels.shape, self._experts)

    def code_lengths(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of each pixel under its own expert, [tiles, edge, edge], 1/256 bit."""
        order = wavefront(group)
        flat = torch.from_numpy(group.canvas).to(self._device).view(-1)
        lengths = np.zeros((len(group.sizes), group.edge, group.edge), np.int64)
        for first, last in _chunks(order.starts):
            rows, at, pixel = self._part(flat, order, first, last)
            context, params = self._predict(flat, at, order, rows, group)
            width = torch.from_numpy(order.width[rows]).to(self._device, torch.int32)
            bits = torch.zeros(len(at), dtype=torch.int64, device=self._device)
            coded = width.nonzero()[:, 0]
            for channel in range(group.channels):
                m = self._mixture(context, params, pixel, channel, width).rows(coded)
                bits[coded] += self._bits(m, pixel[coded, channel])
            lengths[order.tile[rows], order.y[rows], order.x[rows]] = bits.cpu().numpy()
        return lengths

    def _part(
        self, flat: Tensor, order: Wavefront, first: int, last: int
    ) -> tuple[slice, Tensor, Tensor]:
        """Some steps of a full canvas: their rows of the order, offsets [n], pixels [n, 3]."""
        rows = slice(order.starts[first], order.starts[last])
        at = torch.from_numpy(order.offset[rows]).to(self._device)
        pixel = flat[at[:, None] + torch.arange(3, device=self._device)].to(torch.int32)
        return rows, at, pixel

    # ------------------------------------------------------------ network

    def _inputs(self, flat: Tensor, at: Tensor, group: GroupCanvas) -> tuple[Context, Tensor]:
        """Context and network inputs [n, 72] of the pixels at these canvas offsets."""
        columns = group.canvas.shape[2]
        offsets = torch.tensor([3 * (dy * columns + dx) for dy, dx in TAPS])
        offsets = (offsets[:, None] + torch.arange(3)).to(self._device)
        taps = flat[at[:, None, None] + offsets].to(torch.int32)  # [n, 22, 3]
        context, inputs = front_end(taps, self._tables["log_activity"], self._tables["reciprocal"])
        return context, inputs.to(self._carrier)

    def _features(
        self, flat: Tensor, at: Tensor, order: Wavefront, rows: slice, group: GroupCanvas
    ) -> tuple[Context, Tensor]:
        """Context and fused features of these rows of the order."""
        context, inputs = self._inputs(flat, at, group)
        side = group.side[order.tile[rows], order.y[rows], order.x[rows]]
        return context, self._fuse(inputs, torch.from_numpy(side).to(self._device, self._carrier))

    def _fuse(self, inputs: Tensor, side: Tensor) -> Tensor:
        """The masked convolution, then the fusion with the features of SIC."""
        context = self._leak(self._context(inputs))
        return self._leak(self._fusion(torch.cat([context, side], -1)))

    def _speak(self, expert: int, features: Tensor) -> Tensor:
        return self._output[expert](self._leak(self._hidden[expert](features)))

    def _leak(self, y: Tensor) -> Tensor:
        return torch.maximum(y, y >> LEAK_SHIFT).to(self._carrier)

    def _predict(
        self, flat: Tensor, at: Tensor, order: Wavefront, rows: slice, group: GroupCanvas
    ) -> tuple[Context, Tensor]:
        """Context and mixture parameters [n, 12 K] int32, each pixel by its own expert."""
        context, features = self._features(flat, at, order, rows, group)
        labels = order.label[rows]
        params = torch.empty((len(at), 12 * self._mixtures), dtype=torch.int32, device=self._device)
        for e in np.unique(labels).tolist():
            own = torch.from_numpy(np.flatnonzero(labels == e)).to(self._device)
            params[own] = self._speak(e, features[own])
        return context, params

    # ------------------------------------------------------------ mixture

    def _mixture(
        self,
        context: Context,
        params: Tensor,
        pixel: Tensor,
        channel: int,
        width: Tensor | None = None,
    ) -> Mixture:
        """The mixture of one channel; pixel [n, 3] int32: the channels before it are known.

        width: [n] int32, of the bins; None is 1, lossless.
        """
        k = self._mixtures
        p = params.view(-1, 12, k)
        pi, mu, scale = p[:, channel], p[:, 3 + channel], p[:, 6 + channel]
        beta = p[:, 9:12].clamp(-BETA_LIMIT, BETA_LIMIT)
        activity = context.activity[:, channel]
        residual = pixel - context.med
        gain = (activity + 3).clamp_min(6)
        mean = 64 * context.med[:, channel, None] + ((mu * gain[:, None]) >> 2)
        if channel == 1:
            mean = mean + beta[:, 0] * residual[:, :1]
        if channel == 2:
            mean = mean + beta[:, 1] * residual[:, :1] + beta[:, 2] * residual[:, 1:2]
        below = (pi.amax(-1, keepdim=True) - pi).clamp_max(511)
        weight = self._tables["exp"][below]
        index = (scale >> 2) + self._tables["log_activity"][activity][:, None] + SCALE_BIAS
        index = index.clamp(0, SCALE_COUNT - 1)
        width = torch.ones_like(activity) if width is None else width
        return Mixture(
            mean,
            weight,
            self._tables["inverse_scale"][index],
            self._tables["reach"][index],
            (LOGISTIC_ONE >> 2) * weight.sum(-1, dtype=torch.int32),
            self._tables["logistic"],
            bins_around(context.med[:, channel], width),
            width,
        )

    def _bits(self, m: Mixture, value: Tensor) -> Tensor:
        """Code length of values [n] in 1/256 bit, [n] int64."""
        mass = m.mass(m.bin_of(value)) + FLOOR
        return (self._log2_q8(m.total + 256 * FLOOR) - self._log2_q8(mass)).to(torch.int64)

    def _log2_q8(self, value: Tensor) -> Tensor:
        exponent = torch.frexp(value.double())[1] - 1
        up, down = (exponent - 10).clamp_min(0), (10 - exponent).clamp_min(0)
        return (exponent << 8) + self._log2[((value >> up) << down) - 1024]

    # ------------------------------------------------------------ symbols

    def _nibbles(
        self, context: Context, params: Tensor, pixel: Tensor, channels: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Symbols [2 C n] and frequencies [2 C n, 16]: channel by channel, high then low."""
        symbols, frequencies = [], []
        for channel in range(channels):
            m = self._mixture(context, params, pixel, channel)
            high = pixel[:, channel] >> 4
            symbols += [high, pixel[:, channel] & 15]
            frequencies += [m.high(), m.low(high)]
        return (
            torch.cat(symbols).cpu().numpy(),
            torch.cat(frequencies).to(torch.float32).cpu().numpy(),
        )

    def _extend_margins(
        self, flat: Tensor, at: Tensor, order: Wavefront, rows: slice, group: GroupCanvas
    ) -> None:
        """Repeat the edge pixels of a decoded step into the margins."""
        reach = torch.arange(3 * MARGIN, device=self._device)
        colour = reach % 3
        stride = 3 * group.canvas.shape[2]
        tile, y, x = order.tile[rows], order.y[rows], order.x[rows]
        left = torch.from_numpy(np.flatnonzero((x == 0) & (y + 1 < group.sizes[tile, 0])))
        right = torch.from_numpy(np.flatnonzero(x + 1 == group.sizes[tile, 1]))
        for picked, shift in ((left, stride - 3 * MARGIN), (right, 3)):
            start = at[picked.to(self._device), None]
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
