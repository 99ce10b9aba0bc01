"""The transforms of SIC in integers, exact on every device."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

import torch
from torch import Tensor
from torch.nn.functional import unfold

from seec.pipeline.codec.model.profile import HIDDEN_BITS, HIDDEN_LIMIT, LEAK_SHIFT
from seec.pipeline.codec.model.transforms import join_windows, position_index, split_windows
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.layers import CarriedLayer

GATE_LEAST = 16  # a divisor of GDN is at least this, 1/8
_QUERY_LIMIT = 255


class IntegerArithmetic:
    """The decoder's arithmetic for the graph in transforms.py; values are int32."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        self._carrier = carrier
        self._layers = {
            name: CarriedLayer(layer, 0, device, carrier)
            for name, layer in model.layers.items()
            if name not in ("hidden", "output")
        }
        self._tables = {k: torch.from_numpy(v).to(device) for k, v in model.tables.items()}

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        """See Arithmetic."""
        columns, size = unfolded(x.to(self._carrier), kernel, stride)
        return folded(self._layers[name](columns), len(x), size)

    def leak(self, x: Tensor) -> Tensor:
        """See Arithmetic."""
        return torch.maximum(x, x >> LEAK_SHIFT)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """See Arithmetic."""
        return (a + b).clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        """See Arithmetic."""
        gate = self.layer(name, x.abs(), x.shape[1])
        return multiply(x, gate) if inverse else divide(x, gate)

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        """See Arithmetic."""
        tokens, real = split_windows(qkv, window, shift)
        table = self._tables[name]
        seen = attention(tokens, real, table, self._tables["exp"], self._carrier)
        return join_windows(seen, qkv, window, shift)


def unfolded(x: Tensor, kernel: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """The inputs of each output of a convolution [n h w, C kernel^2], and (h, w)."""
    size = (-(-x.shape[2] // stride), -(-x.shape[3] // stride))
    if kernel > 1:
        x = unfold(x, kernel, padding=kernel // 2, stride=stride)
    return x.flatten(2).transpose(1, 2).flatten(0, 1), size


def folded(rows: Tensor, n: int, size: tuple[int, int]) -> Tensor:
    """[n h w, C] to [n, C, h, w]."""
    return rows.reshape(n, *size, -1).permute(0, 3, 1, 2)


def multiply(x: Tensor, gate: Tensor) -> Tensor:
    """The product of hidden values, rounded half up."""
    half = 1 << (HIDDEN_BITS - 1)
    return ((x * gate + half) >> HIDDEN_BITS).clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)


def divide(x: Tensor, gate: Tensor) -> Tensor:
    """The quotient of hidden values, rounded half up; the gate counts as 1/8 at least."""
    gate = gate.clamp_min(GATE_LEAST)
    doubled = (x << (HIDDEN_BITS + 1)) + gate
    quotient = doubled.div(2 * gate, rounding_mode="floor")
    return quotient.clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)


def attention(
    tokens: Tensor, real: Tensor, position: Tensor, exp: Tensor, carrier: torch.dtype
) -> Tensor:
    """Softmax attention among the tokens of each window.

    tokens: [windows, T, 3 C] int32, queries, keys and values. real: [windows, T] bool.
    position: [heads, (2 window - 1)^2] int32, added to scores. Scores are in 1/64 nat, queries
    and keys lose 3 bits and are clamped, weights add to about 256. Returns [windows, T, C].
    """
    n, t, _ = tokens.shape
    heads = len(position)
    q, k, v = tokens.reshape(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q = (q >> 3).clamp(-_QUERY_LIMIT, _QUERY_LIMIT).to(carrier)
    k = (k >> 3).clamp(-_QUERY_LIMIT, _QUERY_LIMIT).to(carrier)
    score = (q @ k.transpose(-1, -2)).to(torch.int32) >> 4
    window = round(t**0.5)
    score = score + position[:, position_index(window).to(position.device)]
    score = torch.where(real[:, None, None, :], score, -(1 << 20))
    weight = exp[(score.amax(-1, keepdim=True) - score).clamp_max(len(exp) - 1)]
    weight = torch.where(real[:, None, None, :], weight, 0)
    total = weight.sum(-1, keepdim=True, dtype=torch.int32).clamp_min(1)
    share = (256 * weight + (total >> 1)).div(total, rounding_mode="floor")
    mixed = (share.to(carrier) @ v.to(carrier)).to(torch.int32)
    mixed = ((mixed + 128) >> 8).clamp(-HIDDEN_LIMIT, HIDDEN_LIMIT)
    return mixed.transpose(1, 2).reshape(n, t, -1)
