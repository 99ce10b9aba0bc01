"""SIC in training: the graph of transforms.py in floats that hold the decoder's integers."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator
from math import log

import numpy as np
import torch
from torch import Tensor, nn

from seec.pipeline.codec.model.profile import HIDDEN_BITS, HIDDEN_LIMIT, SideSizes
from seec.pipeline.codec.model.tables import EXP_ENTRIES, Tables, build_tables, normal_table
from seec.pipeline.codec.model.transforms import (
    analysis,
    hyper_analysis,
    hyper_synthesis,
    join_windows,
    position_index,
    shapes,
    split_windows,
    synthesis,
)
from seec.pipeline.codec.model.weights import Z_LIMIT, Z_VALUES
from seec.pipeline.codec.sic import synthesis as integers
from seec.pipeline.codec.sic.latents import LATENT_BITS, Y_LIMIT, pixel_values
from seec.pipeline.codec.training.quantised import IntegerLinear, leaky, straight_through

_GRID = 2**HIDDEN_BITS
_UNIT = 2**LATENT_BITS  # hidden integers per latent
_POSITION_GRID = 64
_LEAST = 1e-6
_Z_TOTAL = 1 << 16


def _to_integers(x: Tensor) -> Tensor:
    return (x.detach() * _GRID).round().to(torch.int32)


class _TrainingArithmetic(nn.Module):
    """Arithmetic (transforms.py) with straight-through gradients."""

    def __init__(self, p: SideSizes):
        super().__init__()
        layers, positions = shapes(p)
        self.layers = nn.ModuleDict(
            {
                _key(name): IntegerLinear(inputs, out, HIDDEN_BITS, HIDDEN_BITS, 1)
                for name, (out, inputs) in layers.items()
            }
        )
        self.positions = nn.ParameterDict(
            {_key(name): torch.zeros(shape) for name, shape in positions.items()}
        )
        self.exp: Tensor
        self.register_buffer("exp", torch.from_numpy(build_tables()["exp"]), persistent=False)
        for name in layers:
            if name.endswith(".gdn"):
                self._start_as_identity(self.layers[_key(name)])

    @staticmethod
    def _start_as_identity(gate: nn.Module) -> None:
        with torch.no_grad():
            assert isinstance(gate, IntegerLinear)
            gate.weight.abs_().mul_(0.1)
            gate.bias.fill_(1.0)

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        columns, size = integers.unfolded(x, kernel, stride)
        return integers.folded(self.layers[_key(name)](columns), len(x), size)

    def leak(self, x: Tensor) -> Tensor:
        return leaky(x)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return (a + b).clamp(-HIDDEN_LIMIT / _GRID, HIDDEN_LIMIT / _GRID)

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        gate = self.layer(name, x.abs(), x.shape[1])
        if inverse:
            value, function = x * gate, integers.multiply
        else:
            value, function = x / gate.clamp_min(integers.GATE_LEAST / _GRID), integers.divide
        exact = function(_to_integers(x), _to_integers(gate)) / _GRID
        return straight_through(value.clamp(-HIDDEN_LIMIT / _GRID, HIDDEN_LIMIT / _GRID), exact)

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        tokens, real = split_windows(qkv, window, shift)
        position = self.positions[_key(name)]
        n, t, _ = tokens.shape
        q, k, v = tokens.reshape(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
        score = (q @ k.transpose(-1, -2)) / 4 + position[:, position_index(window)]
        score = score.masked_fill(~real[:, None, None, :], -1e4)
        value = (torch.softmax(score, -1) @ v).transpose(1, 2).reshape(n, t, -1)
        table = _position_integers(position)
        exact = integers.attention(_to_integers(tokens), real, table, self.exp, torch.float32)
        return join_windows(straight_through(value, exact / _GRID), qkv, window, shift)


def _position_integers(position: Tensor) -> Tensor:
    """A table of positions in 1/64 nat, int32."""
    return (position.detach() * _POSITION_GRID).round().clamp(-EXP_ENTRIES, EXP_ENTRIES).int()


def _key(name: str) -> str:
    return name.replace(".", "_")


class SideNetwork(nn.Module):
    """g_a, h_a, h_s, g_s and the distribution of z.

    Values between them are hidden values; a latent is 1/8 of one.
    """

    def __init__(self, sizes: SideSizes):
        super().__init__()
        self.sizes = sizes
        self.arithmetic = _TrainingArithmetic(sizes)
        spread = torch.arange(Z_VALUES) - Z_LIMIT
        self.z_logits = nn.Parameter((-spread.abs() / 4.0).repeat(sizes.latents, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Code patches [n, 3, h, w] uint8; h and w are multiples of 64.

        Returns features [n, features, h, w] (hidden values) and the bits of y and z (a scalar).
        """
        ops, p = self.arithmetic, self.sizes
        x = pixel_values(pixels.to(torch.int32)) / _GRID
        y, y_noisy = self._latents(analysis(ops, x, p), Y_LIMIT)
        z, z_noisy = self._latents(hyper_analysis(ops, y * (_UNIT / _GRID), p), Z_LIMIT)
        mean, scale = hyper_synthesis(ops, z * (_UNIT / _GRID), p)
        bits = _normal_bits(y_noisy, mean * (_GRID / _UNIT), scale) + self._z_bits(z_noisy)
        return synthesis(ops, y * (_UNIT / _GRID), p), bits

    def layers(self) -> Iterator[tuple[str, IntegerLinear]]:
        """All layers by their names in the graph."""
        for name in shapes(self.sizes)[0]:
            layer = self.arithmetic.layers[_key(name)]
            assert isinstance(layer, IntegerLinear)
            yield name, layer

    def tables(self) -> Tables:
        """The integer tables that a model file with SIC has on top."""
        chances = torch.softmax(self.z_logits.detach(), -1).cpu().numpy()
        frequencies = np.maximum(np.rint(chances * _Z_TOTAL), 1).astype(np.int32)
        positions = {
            name: _position_integers(self.arithmetic.positions[_key(name)]).cpu().numpy()
            for name in shapes(self.sizes)[1]
        }
        return {"normal": normal_table(), "z": frequencies, **positions}

    def _latents(self, x: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Rounded latents for the transforms, noisy ones for the rate."""
        value = x * (_GRID / _UNIT)
        rounded = straight_through(value, torch.floor(value.detach() + 0.5).clamp(-limit, limit))
        noise = torch.rand_like(value) - 0.5 if self.training else rounded - value
        return rounded, (value + noise).clamp(-limit, limit)

    def _z_bits(self, z: Tensor) -> Tensor:
        """Between two whole numbers the code length is interpolated."""
        lengths = -torch.log_softmax(self.z_logits, -1) / log(2)
        at = (z + Z_LIMIT).transpose(0, 1).flatten(1)  # [latents, n]
        low = at.detach().floor().clamp(0, Z_VALUES - 2)
        share = at - low
        below, above = lengths.gather(1, low.long()), lengths.gather(1, low.long() + 1)
        return (below + share * (above - below)).sum()


def _normal_bits(y: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Code length of latents under the normal distribution of hyper_synthesis."""
    mean, scale = mean[..., : y.shape[2], : y.shape[3]], scale[..., : y.shape[2], : y.shape[3]]
    deviation = torch.exp2(scale.clamp(-4, 7)) * 2**0.5
    away = (y - mean).abs()
    upper = torch.erfc((away - 0.5) / deviation)
    mass = (upper - torch.erfc((away + 0.5) / deviation)) / 2
    return -torch.log2(mass.clamp_min(_LEAST)).sum()
